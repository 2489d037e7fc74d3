"""Where runs are kept: a folder, or a URL (s3://, gs://, ...) of which a folder in the cache is the working copy."""

import hashlib
import shlex
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.atomic import write_text
from core.cache_folder import RUNS, default_cache
from core.errors import UserError
from core.kept_predictions import PREDICTIONS
from core.lease import LEASE, Lease
from core.mirror import Mirror, above, below, is_url
from core.patience import Patience, Say, first_line
from core.run_folder import CHECKPOINT, RunFolder, check_run_name, check_writable

SYNC_SECONDS = 10.0
OWNER = ".owner"  # in the working copy: the last lease under which it was worked on


class Storage:
    """A place for runs.

    Args:
        where: a folder or a URL.
        cache: where the working copies of runs under a URL are.
    """

    def __init__(self, where: str, cache: Path) -> None:
        self.where = where
        self.cache = cache
        self.remote = is_url(where)
        digest = hashlib.sha256(where.rstrip("/").encode()).hexdigest()[:16]
        self.folder = cache / "runs" / digest if self.remote else Path(where)

    def run(self, name: str) -> RunFolder:
        """The run of this name, whether or not it is there.

        Raises:
            UserError: no file system for such a URL.
        """
        path = self.folder / name
        mirror = Mirror(path, below(self.where, name)) if self.remote else None
        return RunFolder(path, mirror, again=self.again(name))

    def again(self, name: str) -> str:
        """The options with which a script, started in the same folder, goes on with the run of this name."""
        words = ["--resume", name]
        words += ["--storage", self.where] if self.where != RUNS else []
        words += ["--cache", str(self.cache)] if self.cache != default_cache() else []
        return shlex.join(words)

    def new_run(self, name: str | None, stem: str) -> RunFolder:
        """The folder of a new run, not yet made; called ``stem``, ``stem-2``, ... if it has no name.

        Raises:
            UserError: the name is no plain folder name, or taken; the place cannot be written to.
        """
        if name is None:
            name = self._free_name(stem)
        check_run_name(name)
        if self._taken(name):
            place = below(self.where, name)
            raise UserError(f"{place} exists; choose another --name, or go on with it: {self.again(name)}")
        run = self.run(name)
        check_writable(run.path)
        return run

    @contextmanager
    def held(self, run: RunFolder, say: Say) -> Iterator[None]:
        """Hold a run for the length of the block, its working copy and the URL in step.

        Raises:
            UserError: no such run; another process holds it; the URL cannot be reached.
        """
        if run.mirror is None:
            run.read_search()
            with run.lock():
                yield
            return
        with reaching(run.mirror.url):
            if run.mirror.read(run.search.name) is None and not run.search.is_file():
                raise UserError(f"{run.mirror.url}: no run here (a run's folder holds search.json)")
        run.path.mkdir(parents=True, exist_ok=True)
        with run.lock():
            keeper = Keeper(run, run.mirror, say)
            keeper.begin()
            try:
                yield
            except BaseException:
                keeper.end(None)
                raise
            keeper.end(Patience(say, after=f"; everything is in {run.path}, and {run.again} copies it"))

    def _free_name(self, stem: str) -> str:
        name, count = stem, 1
        while self._taken(name):
            count += 1
            name = f"{stem}-{count}"
        return name

    def _taken(self, name: str) -> bool:
        if not self.remote:
            return (self.folder / name).exists()
        mirror = self.run(name).mirror
        assert mirror is not None
        with reaching(mirror.url):
            return bool(mirror.names())


def run_at(place: str, cache: Path) -> tuple[Storage, RunFolder]:
    """The run in a folder or at a URL, and where it is kept."""
    if is_url(place):
        parent, name = above(place)
    else:
        path = Path(place).resolve()  # so that "." has a name too
        parent, name = str(path.parent), path.name
    storage = Storage(parent, cache)
    return storage, storage.run(name)


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
        self.thread = threading.Thread(target=self._keep, daemon=True)

    def begin(self) -> None:
        """Take the lease, make the working copy the newest, and keep both in step from now on.

        Raises:
            UserError: somebody else works on it, or it cannot be reached.
        """
        owner = self.run.path / OWNER
        with reaching(self.mirror.url):
            there = self.mirror.read(self.run.search.name) is not None
            before = self.lease.take()
            if there and not (owner.is_file() and owner.read_bytes().strip() == before.encode()):
                self._forget()  # another machine has worked on it since
            # Before the copying: what it leaves undone if it is cut off, the next time does.
            write_text(owner, self.lease.identity)
            # Predictions may be half-way ones, and final ones of the same size be taken for them: fetched when needed.
            self.mirror.pull(wanted=lambda name: name != LEASE and not name.endswith((CHECKPOINT, PREDICTIONS)))
            self.mirror.push()
        self.thread.start()

    def end(self, patience: Patience | None) -> None:
        """Bring both in step for the last time and let others have the run.

        Args:
            patience: for a URL that cannot be reached; None to try once.

        Raises:
            UserError: it could not be done; the working copy has everything.
        """
        self.over.set()
        self.thread.join()
        if self.mirror.lost:
            return
        if patience is not None:
            patience(self._last, self.mirror.url)
            return
        try:
            self._last()
        except OSError as error:
            self.say(f"{self.mirror.url}: cannot be reached ({first_line(error)}); everything is in {self.run.path}")

    def _last(self) -> None:
        self.mirror.push()
        self.lease.release()

    def _forget(self) -> None:
        for path in self.run.path.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != ".lock":
                path.unlink()

    def _keep(self) -> None:
        since = ""
        while not self.over.wait(SYNC_SECONDS):
            begun = time.strftime("%H:%M:%S")
            try:
                if not self.lease.renew():
                    self.mirror.lost = f"{self.mirror.url}: another process has taken this run over"
                    return
                self.mirror.push()
            except OSError as error:
                since = since or begun
                self.mirror.trouble = f"; storage away since {since} ({first_line(error)})"
            else:
                since, self.mirror.trouble = "", ""
