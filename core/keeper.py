"""One driver's hold on a run that is kept under a URL: the lease, and a working copy in step with what is there."""

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from core.atomic import write_text
from core.errors import UserError
from core.kept_predictions import PREDICTIONS
from core.lease import LEASE, Lease
from core.mirror import Mirror
from core.patience import Patience, Say, first_line
from core.run_folder import CHECKPOINT, RunFolder

SYNC_SECONDS = 10.0
OWNER = ".owner"  # in the working copy: the last lease under which it was worked on, and those tried for since


@contextmanager
def reaching(url: str) -> Iterator[None]:
    """Say in one line that a URL cannot be reached."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{url}: cannot be reached ({first_line(error)})") from None


class Keeper:
    """Keeps a run's working copy and its URL in step while a driver works on it."""

    def __init__(self, run: RunFolder, mirror: Mirror, say: Say) -> None:
        self.run = run
        self.mirror = mirror
        self.say = say
        self.lease = Lease(mirror)
        self.over = threading.Event()
        self.threads = [threading.Thread(target=work, daemon=True) for work in (self._live, self._copy)]
        """The lease has one of its own: a large file may take longer to copy than a lease lasts."""

    def begin(self, exists: str) -> None:
        """Take the lease, make the working copy the newest, and keep both in step from now on.

        Args:
            exists: what is wrong if the run is there already; empty for one that should be.

        Raises:
            UserError: somebody else works on it, or it cannot be reached.
        """
        living, copying = self.threads
        with reaching(self.mirror.url):
            if exists and self.mirror.read(self.run.search.name) is not None:
                self._forget()  # what was made here is nobody's run; the lease stays whoever's it is
                raise UserError(exists)
            ours = self._take()
            there = self.mirror.read(self.run.search.name) is not None
            if there and not ours:
                self._forget()  # another machine has worked on it since, or made it
            if there and exists:
                self.lease.release()
                raise UserError(exists)
            living.start()
            try:
                # Before the copying: what it leaves undone if it is cut off, the next time does.
                write_text(self.run.path / OWNER, self.lease.identity)
                # Predictions may be half-way ones, and final ones of the same size be taken for them: fetched later.
                self.mirror.pull(wanted=lambda name: name != LEASE and not name.endswith((CHECKPOINT, PREDICTIONS)))
                self.mirror.push()
            except BaseException:
                self.over.set()
                raise
        copying.start()

    def _take(self) -> bool:
        """Take the lease; whether the working copy goes on where the last holder of it was."""
        owner = self.run.path / OWNER
        ours = owner.read_text().split() if owner.is_file() else []
        if self.lease.holder().get("identity") in ours:
            # If this attempt is cut off once the lease says that it is ours, the next one must know that, too.
            write_text(owner, "\n".join([*ours, self.lease.identity]))
        return self.lease.take() in ours

    def end(self, patience: Patience | None) -> None:
        """Bring both in step for the last time and let others have the run.

        Args:
            patience: for a URL that cannot be reached; None to try once.

        Raises:
            UserError: it could not be done; the working copy has everything.
        """
        self.over.set()
        for thread in self.threads:
            thread.join()
        if patience is not None:
            patience(self._last, self.mirror.url)
            if self.mirror.lost:
                raise UserError(self.mirror.lost)
            return
        try:
            self._last()
        except OSError as error:
            self.say(f"{self.mirror.url}: cannot be reached ({first_line(error)}); everything is in {self.run.path}")

    def _last(self) -> None:
        if self._ours():
            self.mirror.push()
            self.lease.release()

    def _ours(self) -> bool:
        """Give a sign of life; False if somebody has taken the run over."""
        if not self.mirror.lost and not self.lease.renew():
            self.mirror.lost = f"{self.mirror.url}: another process has taken this run over"
        return not self.mirror.lost

    def _forget(self) -> None:
        for path in self.run.path.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != ".lock":
                path.unlink()

    def _live(self) -> None:
        while not self.over.wait(SYNC_SECONDS):
            try:
                if not self._ours():
                    return
            except OSError:
                continue  # copying meets the same, and says so

    def _copy(self) -> None:
        since = ""
        while not self.over.wait(SYNC_SECONDS):
            begun = time.strftime("%H:%M:%S")
            try:
                if not self._ours():  # after an outage somebody else may have it
                    return
                self.mirror.push()
            except OSError as error:
                since = since or begun
                self.mirror.trouble = f"; storage away since {since} ({first_line(error)})"
            else:
                since, self.mirror.trouble = "", ""
