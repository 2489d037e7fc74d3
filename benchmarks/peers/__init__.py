"""What a user would write without Tandem, for side-by-side measurements; nothing of Tandem's is used in here."""
