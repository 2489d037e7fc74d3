"""Ends a worker process whose trial hangs: in Python, in a kernel, or waiting for a disk."""

import faulthandler
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def watched(seconds: float | None) -> Iterator[None]:
    """End this process if the block takes longer; where it stood then goes to the worker's log.

    The watch needs no Python lock, so that a hang inside a library ends too. The driver notices that the process is
    gone, and why (:class:`tune.silence.Silence`).
    """
    if seconds is None:
        yield
        return
    faulthandler.dump_traceback_later(seconds, exit=True, file=sys.__stderr__ or sys.stderr)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
