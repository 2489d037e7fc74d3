"""One driver's hold on a run that is kept under a URL: the lease, and a working copy in step with what is there."""

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from core.atomic import write_text
from core.errors import UserError, first_line
from core.kept_predictions import PREDICTIONS
from core.lease import LEASE, Lease
from core.mirror import Mirror
from core.patience import Patience, Say
from core.run_folder import CHECKPOINT, RunFolder

SYNC_SECONDS = 10.0
OWNER = ".owner"  # in the working copy: the last lease under which it was worked on, and those tried for since
AHEAD = ".ahead"  # in the working copy while it may hold what has not been copied
ASIDE = ".set-aside"  # in the working copy: what it held when another machine had worked on the run since


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
        self.over, self.all_copied = threading.Event(), threading.Event()
        self.copying = threading.Thread(target=self._copy, daemon=True)
        self.living = threading.Thread(target=self._live, daemon=True)
        """Of its own: a large file may take longer to copy than a lease lasts."""

    def begin(self, exists: str) -> None:
        """Take the lease, make the working copy the newest, and keep both in step from now on.

        Args:
            exists: what is wrong if the run is there already; empty for one that should be.

        Raises:
            UserError: somebody else works on it, or it cannot be reached.
        """
        with reaching(self.mirror.url):
            if exists and self.mirror.read(self.run.search.name) is not None:
                self._forget()  # what was made here is nobody's run; the lease stays whoever's it is
                raise UserError(exists)
            before, ours = self._take()
            there = self.mirror.read(self.run.search.name) is not None
            if there and not ours:
                # Another machine has worked on it since, or made it; or nobody knows, if the lease was removed.
                self._forget(certain=bool(before))
            if there and exists:
                self.lease.release()
                raise UserError(exists)
            self.living.start()
            try:
                # Before the copying: what it leaves undone if it is cut off, the next time does.
                write_text(self.run.path / OWNER, self.lease.identity)
                write_text(self.run.path / AHEAD, "")
                self.mirror.tidy()
                # Predictions may be half-way ones, and final ones of the same size be taken for them: fetched later.
                self.mirror.pull(
                    wanted=lambda name: name != LEASE and not name.endswith((CHECKPOINT, PREDICTIONS)), whole=ours
                )
                self.mirror.push()
            except BaseException:
                self.all_copied.set()
                raise
        self.copying.start()

    def _take(self) -> tuple[str, bool]:
        """Take the lease; who held it last, and whether the working copy goes on where that one was."""
        owner = self.run.path / OWNER
        ours = owner.read_text().split() if owner.is_file() else []
        if self.lease.holder().get("identity") in ours:
            # If this attempt is cut off once the lease says that it is ours, the next one must know that, too.
            write_text(owner, "\n".join([*ours, self.lease.identity]))
        before = self.lease.take()
        return before, before in ours

    def end(self, patience: Patience | None) -> None:
        """Bring both in step for the last time and let others have the run.

        Args:
            patience: for a URL that cannot be reached; None to try once.

        Raises:
            UserError: it could not be done; the working copy has everything.
        """
        self.over.set()
        self.copying.join()
        try:
            if patience is not None:
                patience(self._last, self.mirror.url)
            else:
                self._last()
        except OSError as error:
            self.say(f"{self.mirror.url}: cannot be reached ({first_line(error)}); everything is in {self.run.path}")
        finally:
            self._leave()
        if patience is not None and self.mirror.lost:
            raise UserError(self.mirror.lost)

    def _last(self) -> None:
        if self._ours():
            self.mirror.push()
        if self._ours():
            (self.run.path / AHEAD).unlink(missing_ok=True)

    def _leave(self) -> None:
        """End the signs of life, and let others have the run, who else could in a minute and a half."""
        self.all_copied.set()
        self.living.join()
        with suppress(OSError):  # what could not be copied has been told
            self.lease.release()

    def _ours(self) -> bool:
        """Give a sign of life; False if somebody has taken the run over."""
        if not self.mirror.lost and not self.lease.renew():
            self.mirror.lost = f"{self.mirror.url}: another process has taken this run over"
        return not self.mirror.lost

    def _forget(self, certain: bool = True) -> None:
        """Begin anew with what is there. What may never have been copied is kept, and where is said.

        Args:
            certain: whether it is known that all was copied, unless the last time ended before it was.
        """
        ahead = self.mirror.unlike() if not certain or (self.run.path / AHEAD).is_file() else []
        if ahead:
            aside = self.run.path / f"{ASIDE}-{time.strftime('%Y%m%d-%H%M%S')}"
            why = "another machine may have worked on it"
            self.say(f"{self.mirror.url}: {why}; what this one may not have copied is in {aside}")
            for name in ahead:
                (aside / name).parent.mkdir(parents=True, exist_ok=True)
                (self.run.path / name).rename(aside / name)
        for path in self.run.path.iterdir():
            if path.is_dir() and not path.name.startswith(ASIDE):
                shutil.rmtree(path)
            elif path.is_file() and path.name != ".lock":
                path.unlink()

    def _live(self) -> None:
        while not self.all_copied.wait(SYNC_SECONDS):
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
