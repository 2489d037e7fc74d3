"""How what a search does around its trials grows with their number: time a result, memory, files, resuming."""

import contextlib
import functools
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.instant_trials import Clock, ClockedRecorder, InstantTrial, drive
from benchmarks.process import resident_bytes
from benchmarks.table import Row
from core.names import Precision
from core.run_folder import RunFolder
from search_spaces.catalogue import SPACES
from tune.board import Board
from tune.cluster import start_ray
from tune.ledger import Ledger
from tune.machine import Workers
from tune.plan import Plan
from tune.profile import Profile, settled_space
from tune.search import Search

TRIALS, QUICK_TRIALS = (100, 1_000, 10_000), (100, 1_000)
RAY_TRIALS, QUICK_RAY_TRIALS = (100, 1_000), (100,)
DRIVEN, RAY = "Tandem alone", "with Ray"
WORKERS = 8  # of Tandem alone; Ray has one for each core
AGAIN = 3  # times that what is over in seconds is measured
LAST = 0.1  # the share of results that tells what one costs by then
MAIN = ("result_ms_median", "result_ms_mean", "result_cpu_ms_mean")
# Of 3 trials ASHA stops 2 after 2 epochs and lets 1 train 6: 3.3 on average.
PLAN = Plan(
    settled_space(SPACES["multitask"], Profile.FAST, {}).to_json(), Profile.FAST, epochs=6, grace=2, reduction=3.0
)


def trials_row(count: int, engine: str, folder: Path) -> Row:
    """A search over ``count`` instant trials in a new run in ``folder``; wants a process of its own."""
    plan = replace(PLAN, trials=count)
    run = RunFolder(folder)
    run.path.mkdir()
    Board(run, plan.search_space()).describe()
    workers = Workers(start_ray(None).cores, 1, 0.0) if engine == RAY else Workers(WORKERS, 1, 0.0)
    search = Search(plan, run, stand_in(workers))
    memory, clock = resident_bytes(), Clock()
    with instant(engine, clock):
        ledger = search.go()
    marks, results = clock.marks, len(clock.marks) - 1
    return {
        "trials": count,
        "engine": engine,
        "workers": workers.count,
        "results": results,
        **last_results(marks[: max(clock.busy, 2)]),  # afterwards workers run out of trials and a result costs less
        "result_ms_mean_of_all": 1e3 * (marks[-1][0] - marks[0][0]) / results,
        "table_write_ms": 1e3 * statistics.median(write_seconds(ledger) for _ in range(AGAIN)),
        "driver_mb_growth": (resident_bytes() - memory) / 1e6,
        **folder_size(run.path),
        "resume_s": statistics.median(resume_seconds(plan, run, workers) for _ in range(AGAIN)),
    }


def last_results(marks: Sequence[tuple[float, float]]) -> Row:
    """Milliseconds between results over the last tenth of them; ``marks`` are the start and when each result came.

    The median is a result amid a trial; the means hold the share of drawing, beginning and ending trials, and of
    rewriting ``trials.csv``. Time on the CPU leaves out waiting for the disk.
    """
    gaps = 1e3 * np.diff(np.asarray(marks), axis=0)
    wall, cpu = gaps[-max(1, round(LAST * len(gaps))) :].T
    return dict(zip(MAIN, (float(np.median(wall)), float(wall.mean()), float(cpu.mean())), strict=True))


@contextlib.contextmanager
def instant(engine: str, clock: Clock) -> Iterator[None]:
    """Within the block a search runs instant trials, and ``clock`` notes when each of their results came."""
    swaps = [("tune.search.run_search", drive)] if engine == DRIVEN else [("tune.engine.SearchTrial", InstantTrial)]
    with contextlib.ExitStack() as stack:
        for name, other in [*swaps, ("tune.search.Recorder", functools.partial(ClockedRecorder, clock))]:
            stack.enter_context(patch(name, other))
        yield


def stand_in(workers: Workers) -> Any:
    """Materials without faces or weights, which instant trials have no use for."""
    return SimpleNamespace(
        inputs={},
        weights=None,
        precision=Precision.FP32,
        workers=workers,
        trial_timeout=None,
        depot=None,
        cache_everywhere=None,
    )


class BegunError(Exception):
    """The search has come to its next trial."""


def resume_seconds(plan: Plan, run: RunFolder, workers: Workers) -> float:
    """How long ``--resume`` takes from journal and curves to the next trial, ASHA's rungs replayed."""

    def begun(*_: Any) -> None:
        raise BegunError

    start = time.perf_counter()
    with patch("tune.search.run_search", begun), contextlib.suppress(BegunError):
        Search(replace(plan, trials=plan.trials + 1), run, stand_in(workers)).go()
    return time.perf_counter() - start


def folder_size(folder: Path) -> Row:
    """Files in a folder and below, their bytes, and the disk that they and the folders take."""
    stats = [path.stat() for path in folder.rglob("*") if path.is_file()]
    blocks = sum(path.stat().st_blocks for path in (folder, *folder.rglob("*")))
    return {
        "files": len(stats),
        "folder_mb": sum(stat.st_size for stat in stats) / 1e6,
        "disk_mb": 512 * blocks / 1e6,
    }


def write_seconds(ledger: Ledger) -> float:
    """How long it takes to write ``trials.csv`` anew."""
    start = time.perf_counter()
    ledger.write(now=True)
    return time.perf_counter() - start


def growth(rows: Sequence[Row]) -> list[str]:
    """For each engine, how much more a result costs with the most trials than with the fewest."""
    lines = []
    for engine in dict.fromkeys(row["engine"] for row in rows):
        ordered = sorted((row for row in rows if row["engine"] == engine), key=lambda row: int(row["trials"]))
        few, many = ordered[0], ordered[-1]
        if few is not many:
            times = ", ".join(f"{many[name] / few[name]:.2f} times the {name}" for name in MAIN)
            lines.append(f"{engine}: {many['trials']} trials have {times} of {few['trials']}")
    return lines
