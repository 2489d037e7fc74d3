"""Where runs are kept: a folder, or a URL (s3://, gs://, ...) of which a folder in the cache is the working copy."""

import hashlib
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from core.cache_folder import RUNS, default_cache
from core.errors import UserError
from core.keeper import Keeper, reaching
from core.mirror import Mirror
from core.patience import Patience, Say
from core.run_folder import STEPS, RunFolder, check_run_name, check_writable
from core.urls import above, below, is_url

# What a trial has learned must be there before the line that says that it ended.
AFTER = {"optuna.journal": "curves.csv"}


def copies_in(cache: Path) -> Path:
    """Where the working copies of runs under URLs are."""
    return cache.resolve() / "runs"


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
        self.folder = copies_in(cache) / digest if self.remote else Path(where)

    def run(self, name: str) -> RunFolder:
        """The run of this name, whether or not it is there.

        Raises:
            UserError: no file system for such a URL.
        """
        path = self.folder / name
        if self.remote:
            return RunFolder(path, Mirror(path, below(self.where, name), AFTER), options=self.options(name))
        if name in STEPS and (self.folder / "search.json").is_file():  # then this may be a step of a replication
            whole = run_at(self.where, self.cache)[1]
            if whole.is_replication():
                return RunFolder(path, options=whole.options, whole=whole)
        return RunFolder(path, options=self.options(name))

    def options(self, name: str) -> str:
        """The options with which its script, started in the same folder, goes on with the run of this name."""
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
            raise UserError(self._exists(name))
        run = self.run(name)
        check_writable(run.path)
        return run

    @contextmanager
    def held(self, run: RunFolder, say: Say, new: bool = False) -> Iterator[None]:
        """Hold a run for the length of the block, its working copy and the URL in step.

        Args:
            new: it has just been made here, and must not be there yet.

        Raises:
            UserError: no such run; another process holds it; the URL cannot be reached; a new run was begun by somebody
                else in the meantime.
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
            keeper.begin(self._exists(run.path.name) if new else "")
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

    def _exists(self, name: str) -> str:
        place = below(self.where, name)
        run = self.run(name)
        with nullcontext() if run.mirror is None else reaching(run.mirror.url):
            begun = run.search.is_file() or (run.mirror is not None and run.mirror.read(run.search.name) is not None)
        if not begun:
            return f"{place} exists and is no run; choose another --name"
        return f"{place} exists; choose another --name, or go on with it: {run.again}"

    def _taken(self, name: str) -> bool:
        if not self.remote:
            return (self.folder / name).exists()
        if self.run(name).search.is_file():
            return True  # begun here; what was under the URL may have been removed
        mirror = self.run(name).mirror
        assert mirror is not None
        with reaching(mirror.url):
            return bool(mirror.names())


def run_at(place: str, cache: Path) -> tuple[Storage, RunFolder]:
    """The run in a folder or at a URL, or of this name among the runs in this folder; and where it is kept."""
    if os.sep not in place and not Path(place).exists() and (Path(RUNS) / place).is_dir():
        place = str(Path(RUNS) / place)
    if is_url(place):
        parent, name = above(place)
    else:
        path = Path(os.path.realpath(place))  # so that "." has a name too
        parent, name = str(path.parent), path.name
    storage = Storage(parent, cache)
    return storage, storage.run(name)
