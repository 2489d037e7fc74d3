"""Work that several processes may want done at once: one does it, and the others wait, aloud."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

Progress = Callable[[int, int], None]
"""Called with how many of how many are done; with 0 of 0 while another process does it."""
LOOK_SECONDS = 1.0


@contextmanager
def alone(lock: Path, progress: Progress | None = None) -> Iterator[None]:
    """Hold ``lock`` for the length of the block, however long others have it.

    Raises:
        OSError: the lock's file cannot be written.
    """
    held = FileLock(lock)
    while not held.is_locked:
        with suppress(Timeout):
            held.acquire(timeout=LOOK_SECONDS)
        if not held.is_locked and progress is not None:
            progress(0, 0)
    try:
        yield
    finally:
        held.release()
