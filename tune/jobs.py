"""Trainings in a list: winners retrained, or leaders raced; with progress, Ctrl-C, and a second try for lost ones."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.patience import Patience, Say
from core.retraining import clear_leftovers, clear_other, finished_record
from core.run_folder import RunFolder
from tune.board import Board
from tune.interrupt import Interrupt
from tune.plan import Plan
from tune.progress import Progress, clock
from tune.recorder import RetrainRecorder, place_of
from tune.silence import Silence

Run = Callable[[list[dict[str, Any]], RetrainRecorder, Interrupt], None]
"""Trains some jobs on Ray's workers."""


def due_jobs(jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that have not ended; what others left in the folders of all of them is removed."""
    due = [job for job in jobs if finished_record(Path(job["folder"]), job["record"]) is None]
    for job in jobs:
        clear_other(Path(job["folder"]), job["record"])
        clear_leftovers(Path(job["folder"]))
    return due


@dataclass(frozen=True)
class Work:
    """What the trainings of a list have in common."""

    title: str
    """What they are called, as ``retraining``."""
    part: str
    """The folder of the run that they fill."""
    epochs: int
    timeout: float | None
    """Seconds without an epoch after which one of them hangs."""
    train: Run


def train_jobs(work: Work, jobs: list[dict[str, Any]], plan: Plan, run: RunFolder, say: Say) -> None:
    """Run jobs, and once more those that were lost with a worker before they began; says why some failed.

    Raises:
        UserError: storage took nothing for too long.
        KeyboardInterrupt: somebody wanted an end.
    """
    if not jobs:
        return
    patience = Patience(say, after=f"; nothing that ended is lost: go on with {run.again}")
    patience(run.publish, run.path)  # before workers look for what they left there
    board = Board(run, plan.search_space())
    recorder = RetrainRecorder(board, Silence(work.timeout), say)
    title = f"{work.title} {len(jobs)} model{'s' if len(jobs) > 1 else ''}"
    start, total = time.monotonic(), len(jobs) * work.epochs
    with (
        Interrupt(run, say) as interrupt,
        Progress(lambda: _line(title, recorder, total, start) + run.trouble),
    ):
        work.train(jobs, recorder, interrupt)
        interrupt.check()
        lost = [job for job in jobs if place_of(job) in recorder.lost]
        if lost:
            recorder.failures = {place: why for place, why in recorder.failures.items() if place not in recorder.lost}
            recorder.lost.clear()
            work.train(lost, recorder, interrupt)
            interrupt.check()
    board.close()
    patience(lambda: run.fetch(work.part), run.path)
    for place, reason in recorder.failures.items():
        say(f"{work.title} {place} failed: {reason}")


def _line(title: str, recorder: RetrainRecorder, total: int, start: float) -> str:
    done, resumed = recorder.progress()
    elapsed = time.monotonic() - start
    new = done - resumed
    left = f", about {clock(elapsed / new * (total - done))} left" if new > 0 and done < total else ""
    return f"{title}: {done}/{total} epochs; {clock(elapsed)}{left}"
