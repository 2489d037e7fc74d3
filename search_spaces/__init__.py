"""What may vary, as plain data: one file per experiment, and ``joint``."""
