"""Files of the driver's machine, for nodes that do not have them: each node fetches a file once and keeps it."""

import errno
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray
from filelock import FileLock
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from core.atomic import flush, reserve
from core.cache_folder import default_cache
from core.patience import AwayError

NOT_LOST, AGAIN = "nothing that ended is lost", "--resume the run"
FETCHED = "fetched"  # apart from what a driver on this node makes: to it a folder without all of its files is damaged
CHUNK = 32 * 2**20  # bytes; what the object stores of both machines hold at a time


class Shelf:
    """What the depot's process does: hands out pieces of some files, and of no others."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        self.files = dict(files)

    def size(self, name: str) -> int:
        """Bytes."""
        return self.files[name].stat().st_size

    def piece(self, name: str, start: int) -> bytes:
        """Up to :data:`CHUNK` bytes from ``start`` on."""
        with self.files[name].open("rb") as file:
            file.seek(start)
            return file.read(CHUNK)


class Depot:
    """The files that workers read, wherever they run.

    Args:
        files: where they are on the driver's machine.
        cache: the driver's cache folder, below which they lie.
        everywhere: the cache folder that the user wants on every node; None for each node's own default.
    """

    def __init__(self, files: list[Path], cache: Path, everywhere: Path | None) -> None:
        self.names = {str(path): path.resolve().relative_to(cache.resolve()).as_posix() for path in files}
        self.everywhere = everywhere
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        options: dict[str, Any] = {"num_cpus": 0, "scheduling_strategy": here, "max_task_retries": -1}
        self.shelf = ray.remote(Shelf).options(**options).remote({name: Path(p) for p, name in self.names.items()})

    def local(self, path: Path) -> Path:
        """The file on this node: where the driver has it, if that is the same or a shared disk, else fetched.

        Raises:
            AwayError: this node cannot keep it, or nobody hands it out any more. That is no fault of the trials, of
                which a node that fails at once would otherwise use up one after the other.
        """
        if path.is_file():
            return path
        name = self.names[str(path)]
        target = (self.everywhere or default_cache()) / FETCHED / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(target.with_name(f".{target.name}.lock")):  # one worker of this node fetches it
                if not target.is_file():
                    self._fetch(name, target)
        except ray.exceptions.RayError as error:  # also of a file there: Ray's error is then an OSError too
            reason = f"cannot be fetched from the driver's machine ({str(error).strip().splitlines()[-1][:200]})"
            raise AwayError(f"{target}: {reason}; {NOT_LOST}: {AGAIN}") from None
        except OSError as error:
            room = "make room there" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "mend that"
            reason = f"cannot be kept on node {socket.gethostname()} ({error.strerror or error})"
            raise AwayError(f"{target}: {reason}; {NOT_LOST}: {room}, or leave that node out, and {AGAIN}") from None
        return target

    def _fetch(self, name: str, target: Path) -> None:
        partial = target.with_name(f".{target.name}.partial")
        size: int = ray.get(self.shelf.size.remote(name))
        try:
            with partial.open("wb") as file:
                reserve(file, size)  # what does not fit is not fetched in part
                while file.tell() < size:
                    file.write(ray.get(self.shelf.piece.remote(name, file.tell())))
            flush(partial)  # else a power cut soon after could leave its whole length, read as zeros
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
