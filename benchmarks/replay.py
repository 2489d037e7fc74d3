"""Searches replayed from recorded learning curves: the same schedulers and samplers as a real search, no training.

A search meets only the recorded configurations of ``joint``, each with one of its recorded seeds. Random search draws
them without replacement until all are used. TPE proposes freely, and the unused configuration of the same architecture
nearest to its proposal takes the trial: a coarse stand-in for a sampler that may go anywhere, so differences between
samplers are understated.
"""

import heapq
import itertools
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.choosers import Chooser, RandomChooser, TpeChooser
from benchmarks.recorded import Recorded
from core.names import RELATIVE_ERROR, Architecture
from core.objective import Objective
from tune.asha import Past, ResumableAsha
from tune.plan import Plan
from tune.study import Sampler

NOTHING = 1.0  # the relative error of knowing nothing, for an architecture that was not tried yet
KINDS = tuple(map(str, Architecture))
AIM = Objective(RELATIVE_ERROR)


@dataclass(frozen=True)
class Epoch:
    """One epoch of a replayed search."""

    seconds: float
    """Since the search's start, on its simulated workers."""
    architecture: str
    error: float


@dataclass(frozen=True)
class Strategy:
    """How a search goes: where trials come from, how long they may run and what stops them early."""

    name: str
    sampler: Sampler = Plan.sampler
    epochs: int = Plan.epochs
    grace: int = Plan.grace
    reduction: float = Plan.reduction
    brackets: int = 1
    """Above 1: Hyperband, whose further brackets begin to stop trials ``reduction`` times later each."""
    apart: bool = True
    """Whether each architecture has rungs of its own, as in Tandem, or all share them, as in Ray."""
    past: Past = ()
    """Trials of an earlier search, with which the rungs begin."""

    def schedulers(self) -> list[ResumableAsha]:
        """One ASHA a bracket."""
        graces = [min(self.epochs, round(self.grace * self.reduction**b)) for b in range(self.brackets)]
        return [ResumableAsha(AIM, self.epochs, grace, self.reduction, self.past) for grace in graces]

    def told(self, recorded: Recorded) -> dict[str, Any]:
        """What the scheduler is told of a trial's parameters, so that it compares it with its own kind or with all."""
        return {"architecture": recorded.architecture} if self.apart else {}

    def shares(self) -> NDArray[np.float64]:
        """How trials divide among brackets, so that each costs about the same (Li et al. 2018)."""
        rungs = np.arange(self.brackets)[::-1]  # of the first bracket most
        weights = self.reduction**rungs / (rungs + 1)
        return np.asarray(weights / weights.sum(), dtype=np.float64)


@dataclass
class Trial:
    """A trial on a simulated worker."""

    number: int
    recorded: Recorded
    curve: NDArray[np.float64]
    scheduler: ResumableAsha
    config: dict[str, Any]
    seen: list[float] = field(default_factory=list)

    @property
    def handle(self) -> Any:
        """What Ray's scheduler takes for a trial."""
        return SimpleNamespace(trial_id=str(self.number), config=self.config, status="RUNNING")


def replay(
    configurations: Sequence[Recorded],
    strategy: Strategy,
    workers: int,
    epochs: float,
    seed: int,
    seconds: float = math.inf,
) -> list[Epoch]:
    """The epochs of one search in the order in which they end, until ``epochs`` or ``seconds`` are spent."""
    random = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        chooser: RandomChooser | TpeChooser = RandomChooser(configurations, random)
        if strategy.sampler is Sampler.TPE:
            chooser = TpeChooser(configurations, seed, Path(folder))
        return run_trials(chooser, strategy, workers, epochs, seconds, random)


def run_trials(
    chooser: Chooser,
    strategy: Strategy,
    workers: int,
    epochs: float,
    seconds: float,
    random: np.random.Generator,
) -> list[Epoch]:
    """The epochs of a search whose trials come from ``chooser``; the rest as of :func:`replay`."""
    schedulers, shares, numbers = strategy.schedulers(), strategy.shares(), itertools.count()

    def begin() -> Trial:
        recorded = chooser.ask()
        curve = recorded.curves[random.integers(len(recorded.curves))]
        scheduler = schedulers[random.choice(len(schedulers), p=shares)]
        trial = Trial(next(numbers), recorded, curve, scheduler, {"parameters": strategy.told(recorded)})
        trial.scheduler.on_trial_add(None, trial.handle)
        return trial

    running = [(trial.recorded.seconds, trial.number, trial) for trial in (begin() for _ in range(workers))]
    heapq.heapify(running)
    spent: list[Epoch] = []
    while len(spent) < epochs and running[0][0] <= seconds:
        now, _, trial = heapq.heappop(running)
        over, finished = _epoch(trial, strategy.epochs)
        spent.append(Epoch(now, trial.recorded.architecture, trial.seen[-1] if trial.seen else math.inf))
        if over:
            chooser.tell(trial.recorded, trial.seen, finished)
            trial = begin()
        heapq.heappush(running, (now + trial.recorded.seconds, trial.number, trial))
    return spent


def _epoch(trial: Trial, most: int) -> tuple[bool, bool]:
    """Let a trial train once more; whether it is over, and whether it was stopped by nothing but its end."""
    epoch = len(trial.seen) + 1
    if epoch > len(trial.curve):  # it diverged here
        return True, False
    trial.seen.append(float(trial.curve[epoch - 1]))
    decision = trial.scheduler.on_trial_result(None, trial.handle, {"epoch": epoch, RELATIVE_ERROR: trial.seen[-1]})
    finished = epoch >= most
    return finished or decision == ResumableAsha.STOP, finished


def papers_search(rows: Sequence[Recorded]) -> list[Epoch]:
    """The paper's own search, one row of its tables after another on one worker."""
    spent: list[Epoch] = []
    now = 0.0
    for row in rows:
        for error in row.curves[0]:
            now += row.seconds
            spent.append(Epoch(now, row.architecture, float(error)))
    return spent


def mean_of_best(spent: Sequence[Epoch]) -> NDArray[np.float64]:
    """After each epoch, the mean over the four architectures of the least relative error so far; 1 before the first.

    What the paper compares, and what ``joint`` retrains, is the best of each kind of model.
    """
    best = dict.fromkeys(KINDS, NOTHING)
    means = []
    for epoch in spent:
        best[epoch.architecture] = min(best[epoch.architecture], epoch.error)
        means.append(sum(best.values()) / len(best))
    return np.array(means)


def best_of_all(spent: Sequence[Epoch]) -> NDArray[np.float64]:
    """After each epoch, the least relative error so far of any model."""
    return np.minimum.accumulate(np.array([NOTHING, *(epoch.error for epoch in spent)]))[1:]
