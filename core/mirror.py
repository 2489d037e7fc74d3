"""A folder that is worked on locally and kept the same under a URL (S3, GCS, or whatever fsspec knows).

Object storage knows neither appending nor renaming, so nothing is written there directly: files that changed are copied
as a whole, those changed first before those changed last, so that what says that others are complete comes after them.
"""

import os
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyarrow import fs

from core.remote import PARTIAL, Remote, storage_errors

CHUNK = 8 * 2**20
LAST = ("search.json", "config.json", "measured.json", "report.html")
"""Files that say that all beside them are complete, and so are copied behind them."""


@dataclass(frozen=True)
class Stamp:
    """What tells one version of a local file from another without reading it."""

    size: int
    mtime_ns: int


class Mirror:
    """One folder and its copy.

    Args:
        local: made if it is not there.
        url: made when the first file is copied.
        after: names of files that only grow, each with that of the file beside it which must never be behind it there.
            Such a file is copied after the other one, and only as far as it had come before the other was looked at.

    Names that begin with a dot (locks, files half written) are not copied. All methods may be called from several
    threads.

    Raises:
        OSError: from every method that reaches the storage, where it cannot be reached.
    """

    def __init__(self, local: Path, url: str, after: Mapping[str, str] | None = None) -> None:
        self.local = local
        self.url = url
        self.after = after or {}
        self.there = Remote(url)
        self.known: dict[str, Stamp] = {}
        """Local files as they were when both sides were the same."""
        self.pushed: set[str] = set()
        self.trouble = ""
        """What keeps both from being the same just now, for a line of progress."""
        self.lost = ""
        """Who works on it now instead of us."""
        self.busy = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        """Ray writes down whatever it is given; a mirror is of its process alone."""
        return {}

    @storage_errors()
    def push(self) -> int:
        """Copy what changed since the last time, remove there what was removed here; how many files that were."""
        with self.busy:
            here = self._here()
            changed = [name for name in here if here[name] != self.known.get(name)]
            for name in sorted(changed, key=lambda name: self._turn(name, here)):
                if self.lost:
                    break
                self._upload(name, here[name].size if _base(name) in self.after else None)
                self.known[name] = here[name]
                self.pushed.add(name)
            gone = [name for name in self.known if name not in here and not self.lost]
            for name in gone:
                self.there.remove(name)
                del self.known[name]
                self.pushed.discard(name)  # if it comes back there, another has made it
            return len(changed) + len(gone)

    @storage_errors()
    def pull(self, part: str = "", wanted: Callable[[str], bool] = lambda _: True, whole: bool = False) -> int:
        """Copy what is not here, or is older here and of another size; how many files that were.

        A file that this mirror copied there itself is not copied back.

        Args:
            part: a subfolder; the whole folder by default.
            wanted: whether a file is, by its path from the folder.
            whole: whether what is here is whole, so that a newer and shorter file there is one whose copying was cut
                off.
        """
        with self.busy:
            count = 0
            for info in self.there.files(part):
                name = self.there.name_of(info)
                target = self.local / name
                if name in self.pushed or _hidden(name) or not wanted(name):
                    continue
                if _outdated(target, info) and not self._is_further(target, info, whole):
                    self._download(info.path, target)
                    count += 1
                if (stamp := _stamp(target)).size == info.size:  # else ours is the newer one, and is to be pushed
                    self.known[name] = stamp
            return count

    @storage_errors()
    def names(self) -> list[str]:
        """Files that are there."""
        return [name for name in map(self.there.name_of, self.there.files("")) if not _hidden(name)]

    @storage_errors()
    def tidy(self) -> None:
        """Remove what copies that were cut off have left there, for whoever alone works on it."""
        for name in map(self.there.name_of, self.there.files("")):
            if _hidden(name) and name.endswith(PARTIAL):
                self.there.remove(name)

    @storage_errors()
    def unlike(self) -> list[str]:
        """Files here that are not there, or others there; large ones are compared by their size alone."""
        there = {self.there.name_of(info): info.size for info in self.there.files("")}

        def differs(name: str, size: int) -> bool:
            small = size <= CHUNK and there.get(name) == size
            return self.read(name) != (self.local / name).read_bytes() if small else there.get(name) != size

        return [name for name, stamp in self._here().items() if differs(name, stamp.size)]

    def read(self, name: str) -> bytes | None:
        """The content of a file there; None if there is none."""
        return self.there.read(name)

    def write(self, name: str, content: bytes) -> None:
        """Write a file there."""
        self.there.write(name, content)

    def age(self, name: str) -> float:
        """:meth:`core.remote.Remote.age` of a file there."""
        return self.there.age(name)

    def remove(self, name: str) -> None:
        """Remove a file there, if it is there."""
        self.there.remove(name)

    def _here(self) -> dict[str, Stamp]:
        found = {}
        for folder, folders, files in os.walk(self.local, onerror=self._unread):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in sorted(files, key=lambda name: name not in self.after):
                path = Path(folder) / name
                if name.startswith("."):
                    continue
                try:
                    found[path.relative_to(self.local).as_posix()] = _stamp(path)
                except FileNotFoundError:
                    continue  # it was replaced while we looked; the next time has it
        return found

    def _unread(self, error: OSError) -> None:
        """What cannot be listed is not gone, or it would be removed there; a folder within may have been removed."""
        if not isinstance(error, FileNotFoundError) or not self.local.is_dir():
            raise error

    def _is_further(self, target: Path, info: fs.FileInfo, whole: bool) -> bool:
        """Whether a file is longer here, though the copy of its beginning was written later."""
        return (whole or target.name in self.after) and target.is_file() and _stamp(target).size > info.size

    def _turn(self, name: str, here: Mapping[str, Stamp]) -> tuple[bool, int, bool, str]:
        """What files are sorted by to be copied. Clocks are too coarse to tell what was written last."""
        last, first = _base(name) in LAST, self.after.get(_base(name))
        beside = None if first is None else here.get(name.removesuffix(_base(name)) + first)
        if beside is None:
            return last, here[name].mtime_ns, False, name
        return last, max(here[name].mtime_ns, beside.mtime_ns), True, name

    def _upload(self, name: str, size: int | None) -> None:
        """Copy a file, or its first ``size`` bytes."""
        left = sys.maxsize if size is None else size
        with (self.local / name).open("rb") as source, self.there.output(name) as stream:
            while chunk := source.read(min(CHUNK, left)):
                stream.write(chunk)
                left -= len(chunk)

    def _download(self, source: str, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
        try:
            with self.there.system.open_input_stream(source) as stream, partial.open("wb") as file:
                while chunk := stream.read(CHUNK):
                    file.write(chunk)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)


def _stamp(path: Path) -> Stamp:
    stat = path.stat()
    return Stamp(stat.st_size, stat.st_mtime_ns)


def _base(name: str) -> str:
    return name.rpartition("/")[2]


def _hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def _outdated(target: Path, info: fs.FileInfo) -> bool:
    if not target.is_file():
        return True
    stamp = _stamp(target)
    return bool(stamp.size != info.size and info.mtime_ns is not None and info.mtime_ns > stamp.mtime_ns)
