"""The engines that are compared: each runs the whole list in a process of its own and tells when every epoch ended."""

import csv
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from benchmarks.engine_job import Job
from core.errors import UserError
from core.names import RELATIVE_ERROR
from core.run_folder import RunFolder
from tune.cluster import WORKER_ENVIRONMENT

ROOT = Path(__file__).parents[1]


class Way(StrEnum):
    """How the list is run."""

    LOOP = "bare loop"
    TANDEM = "Tandem"
    RAY = "Ray tutorial"
    OPTUNA = "Optuna example"


MODULES = {Way.LOOP: "bare_loop", Way.RAY: "peers.ray_tutorial", Way.OPTUNA: "peers.optuna_example"}


@dataclass(frozen=True)
class Timing:
    """One run of the list."""

    trials: list[list[dict[str, Any]]]
    """Epochs of each trial, with ``time``: the clock at their end."""
    typed: float
    """The clock when the command was given."""

    @property
    def startup_s(self) -> float:
        """From the command to the first epoch's end."""
        return float(self.trials[0][0]["time"]) - self.typed

    @property
    def wall_s(self) -> float:
        """From the first epoch's end to the last's."""
        return float(self.trials[-1][-1]["time"]) - float(self.trials[0][0]["time"])

    def gaps_s(self) -> list[float]:
        """Between trials: from one's last epoch to the beginning of the next one's first; its model is made then."""
        following = zip(self.trials, self.trials[1:], strict=False)
        return [b[0]["time"] - b[0]["seconds_per_epoch"] - a[-1]["time"] for a, b in following]


def timed(way: Way, job: Job) -> Timing:
    """Run the list.

    Raises:
        UserError: the run failed, or did not train every epoch.
    """
    out = job.home / f"{way.name.lower()}-{time.monotonic_ns()}"
    out.mkdir()
    typed = time.time()
    if way is Way.TANDEM:
        _run(_search(job, out), {}, out)
        trials = _tandems(RunFolder(out / "engine"), len(job.trials))
    else:
        results = out / "results.json"
        _run(["-m", f"benchmarks.{MODULES[way]}", str(job.file), str(results)], WORKER_ENVIRONMENT, out)
        trials = json.loads(results.read_text(encoding="utf-8"))
    if [len(trial) for trial in trials] != [job.epochs] * len(job.trials):
        raise UserError(f"{way}: not every trial trained {job.epochs} epochs; see {out}")
    return Timing(trials, typed)


def _search(job: Job, out: Path) -> list[str]:
    options = {
        "space": job.space,
        "data": job.data,
        "weights": job.weights,
        "profile": "fast",
        "epochs": job.epochs,
        "retrain-epochs": 1,
        "retrain-seeds": 1,
        "workers": 1,
        "storage": out,
        "cache": job.cache,
        "name": "engine",
    }
    return ["scripts/search.py", *(word for key, value in options.items() for word in (f"--{key}", str(value)))]


def _run(words: list[str], environment: dict[str, str], out: Path) -> None:
    """Run Python with these words; what it printed goes to ``log`` in ``out``."""
    with (out / "log").open("w", encoding="utf-8") as log:
        ended = subprocess.run(
            [sys.executable, *words], cwd=ROOT, env={**os.environ, **environment}, stdout=log, stderr=log, check=False
        )
    if ended.returncode:
        tail = (out / "log").read_text(encoding="utf-8").strip().splitlines()[-1:]
        raise UserError(f"{' '.join(words[:2])} ended with code {ended.returncode}: {' '.join(tail)}")


def _tandems(run: RunFolder, count: int) -> list[list[dict[str, Any]]]:
    """The curves of a finished search, with the clock at which TensorBoard's events tell that each epoch arrived."""
    trials: list[list[dict[str, Any]]] = [[] for _ in range(count)]
    with run.curves.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            trials[int(row["trial"])].append({key: float(value) for key, value in row.items() if value})
    for number, trial in enumerate(trials):
        events = EventAccumulator(str(run.trial(number))).Reload()
        for row, event in zip(trial, events.Scalars(RELATIVE_ERROR), strict=True):
            row["time"] = event.wall_time
    return trials
