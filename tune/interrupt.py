"""What ends a search from outside: Ctrl-C (once: tidily; twice: at once), kill, a closed terminal, a lost lease."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from ray.tune import Stopper

from core.errors import UserError
from core.patience import Say
from core.run_folder import RunFolder

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupt(Stopper):
    """Hears the signals while its ``with`` block runs, and as one of Ray's stoppers ends what Ray is running.

    Machines that are taken back and job systems send the same signal as ``kill`` does (SIGTERM), a terminal that is
    closed SIGHUP. A signal that this process was started to ignore, as ``nohup`` has it, stays ignored.
    """

    def __init__(self, run: RunFolder, say: Say) -> None:
        self.run = run
        self.say = say
        self.asked = False
        self.before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interrupt":
        if threading.current_thread() is threading.main_thread():  # no other may set handlers
            heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
            self.before = {number: signal.signal(number, self._hear) for number in heard}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def __getstate__(self) -> dict[str, Any]:
        """Ray writes its stoppers down; this one lives in its process alone."""
        return {}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Single trials are stopped elsewhere."""
        return False

    def stop_all(self) -> bool:
        """Whether somebody wants the search to end, or goes on with it elsewhere."""
        return self.asked or bool(self.run.lost)

    def check(self) -> None:
        """Go no further where :meth:`stop_all` says so.

        Raises:
            KeyboardInterrupt: somebody wants the search to end.
            UserError: somebody else goes on with it.
        """
        if self.run.lost:
            raise UserError(self.run.lost)
        if self.asked:
            raise KeyboardInterrupt

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGHUP:
            return  # shell and kernel each send it, within milliseconds, and nobody is there any more to be impatient
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        self.say("ending tidily, which may take some seconds; Ctrl-C again ends at once")
