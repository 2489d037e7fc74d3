"""Waiting for storage that is full or away: what is written there is worth more than the minutes that it takes."""

import time
from collections.abc import Callable
from typing import TypeVar

from core.errors import UserError, first_line

SECONDS = 300.0
RETRY_SECONDS = 2.0


class AwayError(UserError):
    """Storage took nothing for too long; whoever wrote to it is not to blame."""


Found = TypeVar("Found")
Say = Callable[[str], None]


class Patience:
    """Does things again that fail with an OSError.

    Args:
        say: hears when waiting begins and when it was worth it.
        seconds: how long it lasts.
        after: what the user is told to do when it ends.
    """

    def __init__(self, say: Say, seconds: float = SECONDS, after: str = "") -> None:
        self.say = say
        self.seconds = seconds
        self.after = after

    def __call__(self, action: Callable[[], Found], what: object) -> Found:
        """Do ``action``, which must do no harm when it is done again; ``what`` names what it writes.

        Raises:
            AwayError: it failed for too long.
        """
        start = time.monotonic()
        waiting = False
        while True:
            try:
                found = action()
            except OSError as error:
                passed = time.monotonic() - start
                if passed >= self.seconds:
                    raise AwayError(f"{what}: {first_line(error)}, for {passed:.0f} s{self.after}") from None
                if not waiting:
                    self.say(f"{what}: {first_line(error)}; trying again for up to {self.seconds:.0f} s")
                waiting = True
                time.sleep(min(RETRY_SECONDS, self.seconds / 10))
                continue
            if waiting:
                self.say(f"{what}: written after {time.monotonic() - start:.0f} s")
            return found


def unheard(_: str) -> None:
    """For workers, who have nobody to talk to."""


HASTE = Patience(unheard, 0.0)
"""None at all."""
