"""A folder under a URL (S3, GCS, or whatever fsspec knows): its files read, written and removed one by one."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from pyarrow import fs

from core.errors import UserError, first_line
from core.urls import open_url

PARTIAL = ".partial"


@contextmanager
def storage_errors() -> Iterator[None]:
    """Whatever storage fails with is an OSError: what fsspec knows raises errors of classes of its own.

    Raises:
        OSError: anything but a UserError was raised.
    """
    try:
        yield
    except (OSError, UserError):
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {first_line(error)}") from error


class Remote:
    """The files in one folder there.

    Args:
        url: made when the first file is written.

    Raises:
        OSError: from every method, where the storage cannot be reached.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.system, self.root = open_url(url)

    @storage_errors()
    def files(self, part: str = "") -> list[fs.FileInfo]:
        """All files, or those of a subfolder."""
        folder = f"{self.root}/{part}" if part else self.root
        selector = fs.FileSelector(folder, allow_not_found=True, recursive=True)
        return [info for info in self.system.get_file_info(selector) if info.is_file]

    def name_of(self, info: fs.FileInfo) -> str:
        """A file's path from the folder."""
        return str(info.path[len(self.root) :].lstrip("/"))

    @storage_errors()
    def read(self, name: str) -> bytes | None:
        """The content of a file; None if there is none."""
        try:
            with self.system.open_input_stream(f"{self.root}/{name}") as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            return None

    @storage_errors()
    def write(self, name: str, content: bytes) -> None:
        """Write a file."""
        with self.output(name) as stream:
            stream.write(content)

    @storage_errors()
    def age(self, name: str) -> float:
        """Seconds since a file there was written, by the storage's own clock; infinite if there is none.

        Raises:
            UserError: the storage does not say when files were written.
        """
        probe = f".probe-{os.getpid()}-{threading.get_ident()}"
        self.write(probe, b"now")
        try:
            now, then = self.system.get_file_info([f"{self.root}/{probe}", f"{self.root}/{name}"])
        finally:
            self.remove(probe)
        if then.type is fs.FileType.NotFound:
            return float("inf")
        if now.mtime_ns is None or then.mtime_ns is None:
            raise UserError(
                f"{self.url}: this storage does not say when {name} was written, so a living process cannot be told "
                f"from a dead one; remove {name} there if nobody works on the run"
            )
        return max(0.0, float(now.mtime_ns - then.mtime_ns) / 1e9)

    @storage_errors()
    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        try:
            self.system.delete_file(f"{self.root}/{name}")
        except FileNotFoundError:
            return  # somebody else removed it

    @contextmanager
    def output(self, name: str) -> Iterator[Any]:
        """A file, open for writing. In a folder it is written beside, so that nobody sees a half of it."""
        target = f"{self.root}/{name}"
        if self.system.type_name != "local":
            with self._opened(target) as stream:
                yield stream
            return
        folder, _, base = target.rpartition("/")
        beside = f"{folder}/.{base}.{os.getpid()}-{threading.get_ident()}{PARTIAL}"
        try:
            with self._opened(beside) as stream:
                yield stream
            self.system.move(beside, target)
        except BaseException:
            with suppress(OSError):  # what is told is why it could not be written
                self.system.delete_file(beside)
            raise

    def _opened(self, target: str) -> Any:
        """Open for writing; where storage has folders, they are made for it."""
        try:
            return self.system.open_output_stream(target)
        except FileNotFoundError:
            self.system.create_dir(target.rpartition("/")[0], recursive=True)
            return self.system.open_output_stream(target)
