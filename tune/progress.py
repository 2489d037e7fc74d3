"""Long work shows that it lives: a line every few seconds, or one line that is kept up to date on a terminal."""

import shutil
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType

from core.errors import silence_stdout

EVERY_SECONDS = 5.0


def clock(seconds: float) -> str:
    """``1:05`` or ``2:03:09``."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def say(text: str) -> None:
    """A line for the reader, at once; on a terminal it takes the place of the one that is kept up to date.

    Where nobody reads any more (``| head``), the work goes on in silence.
    """
    _show(f"\r\x1b[K{text}" if sys.stdout.isatty() else text)


def _show(text: str, end: str = "\n") -> None:
    try:
        print(text, end=end, flush=True)
    except BrokenPipeError:
        silence_stdout()
    except OSError:  # its file is on a full disk, or its terminal gone: what is said is worth less than the work
        pass


class Progress:
    """Prints ``line()`` now and then while the ``with`` block runs, also when nothing else happens."""

    def __init__(self, line: Callable[[], str], every: float = EVERY_SECONDS) -> None:
        self.line = line
        self.every = every
        self.over = threading.Event()
        self.live = sys.stdout.isatty()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Progress":
        self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.over.set()
        self.thread.join()
        if kind is None:
            self._show(last=True)
        elif self.live:
            _show("")  # so that what is wrong stands in a line of its own

    def _run(self) -> None:
        while not self.over.wait(0.5 if self.live else self.every):
            self._show(last=False)

    def _show(self, last: bool) -> None:
        text = self.line()
        if not self.live:
            _show(text)
        elif last:
            _show(f"\r\x1b[K{text}")
        else:  # a longer one would go on in the next row, which would stay there
            _show(f"\r\x1b[K{text[: shutil.get_terminal_size().columns - 1]}", end="")


class Counter:
    """Progress of work that is counted, such as decoding faces; says nothing about work that ends within a second.

    The first of many may take long by itself (processes start, files open), so nothing is foretold from it alone.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self.start = time.monotonic()
        self.shown = self.start - EVERY_SECONDS + 1.0

    def __call__(self, done: int, total: int) -> None:
        """``done`` of ``total`` are done; 0 of 0 while another process does it (:func:`core.turns.alone`)."""
        now = time.monotonic()
        if now - self.shown < EVERY_SECONDS and not (0 < done == total and now - self.start > 1.0):
            return
        self.shown = now
        passed = now - self.start
        if total == 0:
            _show(f"{self.title}: another process is at it, {clock(passed)}")
            return
        left = f"about {clock(passed / done * (total - done))} left"
        tail = left if 1 < done < total else clock(passed)
        _show(f"{self.title}: {done}/{total}, {tail}")


class Doing:
    """What is being done: said when it begins, and, while it lasts, how much of it is done."""

    def __init__(self) -> None:
        self.start = time.monotonic()
        self.text = "beginning"

    def __call__(self, title: str) -> Callable[[int, int], None]:
        """Begin a piece of work; the result hears how much of how much is done."""
        say(title)
        self.text = title

        def hear(done: int, total: int) -> None:
            self.text = f"{title}, {done}/{total}"

        return hear

    def line(self) -> str:
        """The work under way and the time since the test began."""
        return f"{self.text}; {clock(time.monotonic() - self.start)}"
