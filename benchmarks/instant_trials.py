"""Trials that cost nothing, so that what is left is the price of keeping them: under Ray, or without it."""

import itertools
from collections import deque
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from benchmarks.process import now
from core.names import RELATIVE_ERROR
from tune.machine import Workers
from tune.recorded_curves import METRIC_COLUMNS
from tune.recorder import Recorder
from tune.trainable import SearchTrial, Workload


def made_up_metrics(seed: int, epoch: int) -> dict[str, Any]:
    """An epoch's metrics, all columns filled: trials differ by their seed, and each gets better with every epoch."""
    error = 0.2 + 0.6 * (seed % 9973) / 9973 + 0.2 / epoch
    found: dict[str, Any] = dict.fromkeys(METRIC_COLUMNS, error / 3)
    return {**found, RELATIVE_ERROR: error, "train_loss": error / 7, "epoch": epoch, "seconds_per_epoch": 0.01}


class InstantTrial(SearchTrial):
    """A trial of the search that trains nothing."""

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Start another trial in this process."""
        self.epochs = itertools.count(1)
        return super().reset_config(new_config)

    def step(self) -> dict[str, Any]:
        """One epoch."""
        epoch = next(self.epochs)
        return {**made_up_metrics(self.job["seed"], epoch), "done": epoch >= self.bench.workload.epochs}


@dataclass(eq=False)
class DrivenTrial:
    """As much of Ray's trial as Tandem looks at."""

    trial_id: str
    config: dict[str, Any]
    status: str = "RUNNING"
    epoch: int = 0
    run_metadata: Any = field(default_factory=lambda: SimpleNamespace(num_failures=0))


def drive(
    workload: Workload,
    workers: Workers,
    searcher: Any,
    scheduler: Any,
    callback: Any,
    stopper: Any,
    trials: int,
    time_budget: float | None,
) -> None:
    """In place of :func:`tune.engine.run_search`: the calls that Ray's loop makes, in its order, and none of its work.

    Workers report in turn. As under Ray, the scheduler is not asked about a trial's last epoch.
    """
    if time_budget is not None:
        raise ValueError("instant trials have no time budget")
    live: deque[DrivenTrial] = deque()
    begun = 0
    while begun < trials or live:
        if begun < trials and len(live) < workers.count:
            name = f"instant-{begun}"
            live.append(DrivenTrial(name, searcher.suggest(name)))
            scheduler.on_trial_add(None, live[-1])
            callback.on_trial_start(0, (), live[-1])
            begun += 1
            continue
        trial = live.popleft()
        trial.epoch += 1
        if _goes_on(trial, workload, searcher, scheduler, callback):
            live.append(trial)
        stopper.stop_all()  # asked after each event


def _goes_on(trial: DrivenTrial, workload: Workload, searcher: Any, scheduler: Any, callback: Any) -> bool:
    result = made_up_metrics(trial.config["seed"], trial.epoch)
    last = trial.epoch >= workload.epochs
    decision = scheduler.STOP if last else scheduler.on_trial_result(None, trial, result)
    callback.on_trial_result(0, (), trial, result)
    if decision != scheduler.STOP:
        return True
    trial.status = "TERMINATED"
    scheduler.on_trial_complete(None, trial, result)
    searcher.on_trial_complete(trial.trial_id, result)
    callback.on_trial_complete(0, (), trial)
    return False


class Clock:
    """When a search began, and when each of its results was written down: pairs of wall time and time on the CPU."""

    def __init__(self) -> None:
        self.marks = [now()]
        self.busy = 1
        """How many of the marks were made before the last trial began, so that all workers had something to do."""


class ClockedRecorder(Recorder):
    """A recorder that keeps a clock."""

    def __init__(self, clock: Clock, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.clock = clock

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A worker took the trial."""
        super().on_trial_start(iteration, trials, trial, **info)
        self.clock.busy = len(self.clock.marks)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """An epoch, or the reason why there are no more."""
        super().on_trial_result(iteration, trials, trial, result, **info)
        self.clock.marks.append(now())
