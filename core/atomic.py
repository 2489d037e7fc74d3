"""Writing so that a file or folder is either complete or not there."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import DTypeLike


@contextmanager
def new_folder(target: Path, partial: Path) -> Iterator[Path]:
    """Make the folder ``partial`` to be filled; it becomes ``target`` if the block ends well and is removed if not.

    Its arrays are on the disk before: else, if the power failed soon after, they would be there in their whole length
    and read as zeros. Both must lie on one file system, and ``target`` must be absent or an empty folder. What an
    interrupted run left under ``partial`` is removed first.
    """
    shutil.rmtree(partial, ignore_errors=True)  # most often there is nothing to remove
    partial.mkdir()
    try:
        yield partial
        for path in partial.rglob("*.npy"):
            flush(path)
        partial.replace(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)  # after the rename there is nothing to remove


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an OSError of the block name ``path``: Python's own names a file that cannot be opened, but not one that
    cannot be written to its end.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            error.filename = str(path)
        raise


def new_array(path: Path, dtype: DTypeLike, shape: tuple[int, ...]) -> "np.memmap[Any, np.dtype[Any]]":
    """A ``.npy`` file to be filled, mapped into memory, all of whose room on the disk is its own from the start.

    A file that is only declared so long has none: its pages are given when they are written, and a disk that is full by
    then ends the process without a word.

    Raises:
        OSError: the disk has no room for it.
    """
    array = np.lib.format.open_memmap(path, "w+", np.dtype(dtype), shape)
    with path.open("r+b") as file, naming(path):
        reserve(file, path.stat().st_size)
    return array


def reserve(file: BinaryIO, size: int) -> None:
    """Let an open file have the room for so many bytes, where the system can promise it.

    Raises:
        OSError: the disk has no room for it.
    """
    if hasattr(os, "posix_fallocate"):  # macOS lacks it
        os.posix_fallocate(file.fileno(), 0, size)


def append_line(path: Path, line: str) -> None:
    """Append ``line``, which ends with a line break; what a failed attempt left of one is cut off first.

    Raises:
        OSError: it could not be written; then it can be tried again.
    """
    with naming(path), path.open("a+b") as file:
        cut_half_line(file)
        file.write(line.encode())


def cut_half_line(file: BinaryIO) -> None:
    """Cut off what stands behind the last line break of a file, and go to its end."""
    size = end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - 4096)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            end = start + found + 1
            break
        end = start
    if end < size:
        file.truncate(end)
    file.seek(end)


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A name, this process's own, to write a file under; it becomes ``path`` if the block ends well, and not before all
    of it is on the disk: some file systems would replace first and write later, and the power may fail in between.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with naming(path):
            yield partial
            flush(partial)
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 in place of whatever ``path`` held, also if the power fails in between."""
    with new_file(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)


def flush(path: Path) -> None:
    """Wait until all that was written to a file is on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
