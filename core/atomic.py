"""Writing so that a file or folder is either complete or not there."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def new_folder(target: Path, partial: Path) -> Iterator[Path]:
    """Make the folder ``partial`` to be filled; it becomes ``target`` if the block ends well and is removed if not.

    Both must lie on one file system, and ``target`` must be absent or an empty folder. What an interrupted run
    left under ``partial`` is removed first.
    """
    shutil.rmtree(partial, ignore_errors=True)  # most often there is nothing to remove
    partial.mkdir()
    try:
        yield partial
        partial.replace(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)  # after the rename there is nothing to remove


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 in place of whatever ``path`` held."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8", newline="\n")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
