"""What a process has used, memory and time; and a process of its own to find that out in."""

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any
from unittest.mock import patch

from core.errors import UserError

ROLLUP = Path("/proc/self/smaps_rollup")
EVERY_SECONDS = 0.5  # a reading walks all page tables: with gigabytes mapped it takes some milliseconds


def private_bytes() -> int:
    """Memory that this process alone holds and the kernel cannot drop: anonymous pages, in RAM or swapped out.

    Pages of a memory-mapped file that are only read do not count: all processes share them, and they are dropped when
    something else needs the room. (The kernel's own ``Private_Dirty`` counts them until they have reached the disk.)

    Raises:
        UserError: the system is not Linux.
    """
    held = _rollup()
    return held["Anonymous"] + held["Swap"]


def resident_bytes() -> int:
    """Everything in RAM that this process has touched, shared or not.

    Raises:
        UserError: the system is not Linux.
    """
    return _rollup()["Rss"]


def memory_of(pid: int) -> dict[str, float]:
    """Memory of another process in MB: resident, its share of that (PSS), and what it alone holds.

    Raises:
        UserError: no such process, or the system is not Linux.
    """
    held = _rollup(Path(f"/proc/{pid}/smaps_rollup"))
    private = held["Anonymous"] + held["Swap"]
    return {"rss_mb": held["Rss"] / 1e6, "pss_mb": held["Pss"] / 1e6, "private_mb": private / 1e6}


def _rollup(path: Path | None = None) -> dict[str, int]:
    path = path or ROLLUP
    try:
        lines = path.read_text(encoding="ascii").splitlines()[1:]
    except (FileNotFoundError, ProcessLookupError):
        raise UserError(f"{path}: memory is read from there, and only Linux has it") from None
    return {name: 1024 * int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}


def now() -> tuple[float, float]:
    """Seconds by the clock, and seconds for which this process had a CPU."""
    return time.perf_counter(), time.process_time()


class Peak:
    """The most private memory that the process held while the ``with`` block ran, read now and then and at its end."""

    def __init__(self) -> None:
        self.bytes = private_bytes()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Peak":
        self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.over.set()
        self.thread.join()
        self.bytes = max(self.bytes, private_bytes())

    def _watch(self) -> None:
        while not self.over.wait(EVERY_SECONDS):
            self.bytes = max(self.bytes, private_bytes())


def in_fresh_process(
    function: Callable[..., Any], *arguments: Any, environment: Mapping[str, str] | None = None
) -> Any:
    """What ``function`` gives in a new interpreter, whose memory holds nothing of what was measured before."""
    with (
        patch.dict(os.environ, environment or {}),  # malloc reads its settings when a process starts
        ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool,
    ):
        return pool.submit(function, *arguments).result()
