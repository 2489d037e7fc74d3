"""The one kind of error that a user can mend, and how a script ends on it."""

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

LONGEST_MESSAGE = 1000  # characters; what is wrong in a file may be as long as the file


def printable(text: str) -> str:
    """Text that may come from a file or be a file's name; line breaks and control characters become escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class UserError(Exception):
    """Bad input. The message is one line that says what, where and the rule it breaks.

    What it quotes may come from a file: line breaks and a terminal's control characters are shown as escapes.
    """

    def __str__(self) -> str:
        text = printable(super().__str__())
        if len(text) > LONGEST_MESSAGE:
            half = LONGEST_MESSAGE // 2
            return f"{text[:half]} ... {text[-half:]}"
        return text


def first_line(error: BaseException) -> str:
    """What a long error says first: at most 200 characters, and never nothing."""
    reason = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
    return str(reason).splitlines()[0][:200]


def silence_stdout() -> None:
    """Let what is printed from now on vanish: whoever read it has gone, and that must not end the work."""
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _flush() -> None:
    try:
        sys.stdout.flush()
    except OSError:  # that nothing more can be said there must not hide the error
        silence_stdout()


def _tell(text: str) -> None:
    with suppress(OSError):  # a terminal that is gone hears nothing more; the exit code still says it
        print(text, file=sys.stderr, flush=True)


def run_script(main: Callable[[], None]) -> None:
    """Run a script's ``main``; a :class:`UserError` becomes one line on stderr and exit code 2."""
    try:
        main()
        sys.stdout.flush()  # here, where a closed pipe is heard of
    except UserError as error:
        _flush()
        _tell(f"error: {error}")
        sys.exit(2)
    except BrokenPipeError:  # as after ``| head``
        silence_stdout()
        sys.exit(141)  # what a shell says of a program that a closed pipe has ended
    except OSError as error:  # a disk or network that failed where no better word was found for it
        _flush()
        place = f"{error.filename}: " if error.filename else ""
        _tell(f"error: {place}{error.strerror or error}")
        sys.exit(2)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ray takes a second to end, in which another would be a traceback
        _flush()
        _tell("interrupted")
        sys.exit(130)
