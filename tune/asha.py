"""Asynchronous successive halving among models of one kind, whose rungs survive a crash."""

import math
from bisect import insort
from collections.abc import Iterable, Mapping
from itertools import islice
from types import SimpleNamespace
from typing import Any

from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler
from ray.tune.schedulers.async_hyperband import _Bracket

from core.objective import Objective

COST = "best_cost"
Past = Iterable[tuple[Mapping[str, Any], list[dict[str, Any]]]]
"""Trials that ended: parameters and the metrics of each epoch."""


class SortedBracket(_Bracket):
    """Ray's rungs, each with what it has seen in order too: Ray sorts it anew for every trial that comes to the rung,
    which by 10,000 trials is a quarter of the driver's time.
    """

    _rungs: list[tuple[float, dict[str, float]]]

    def __init__(self, *options: Any) -> None:
        super().__init__(*options)
        # Of rungs in one epoch Ray would ask the lower ones later, in epochs that are no rung.
        self._rungs = list({math.ceil(milestone): (milestone, seen) for milestone, seen in self._rungs}.values())
        self.ordered: dict[int, list[float]] = {}
        """By a rung's identity; Ray only ever adds to a rung."""

    def cutoff(self, recorded: dict[str, float]) -> float | None:
        """What a trial must reach to go on, numpy's linear percentile of what was ``recorded``; None if nothing was."""
        ordered = self.ordered.setdefault(id(recorded), [])
        for value in islice(reversed(recorded.values()), len(recorded) - len(ordered)):
            insort(ordered, value)  # a cost is never NaN
        if not ordered:
            return None
        # By 100 and back, as Ray asks numpy for percents: the last digit of the share hangs on it.
        place = (len(ordered) - 1) * ((1 - 1 / float(self.rf)) * 100 / 100)
        below, share = math.floor(place), place - math.floor(place)
        low, high = ordered[below], ordered[min(below + 1, len(ordered) - 1)]
        return low + (high - low) * share if share < 0.5 else high - (high - low) * (1 - share)


class ResumableAsha(FIFOScheduler):
    """Ray's ASHA (Li et al. 2020) on ``epoch``, judging a trial by its best epoch so far.

    Each kind of model has rungs of its own: a search ends with a winner of each kind, and one kind may be easier than
    another (gender alone has a lower relative error than gender and landmarks), so that on shared rungs it would push
    the others out before they are trained.

    Ray forgets the rungs when a search is resumed (ray issue 30838). They follow from the recorded curves, so these
    are replayed.

    Args:
        epochs: of a trial that is never stopped.
        grace: epochs that every trial gets.
        reduction: at each rung, 1 in ``reduction`` trials goes on.
    """

    def __init__(self, objective: Objective, epochs: int, grace: int, reduction: float, past: Past = ()) -> None:
        super().__init__()
        self.objective = objective
        self.options: dict[str, Any] = {
            "time_attr": "epoch",
            "metric": COST,
            "mode": "min",
            "max_t": epochs,
            "grace_period": min(grace, epochs),
            "reduction_factor": reduction,
        }
        self.of_kind: dict[str, Any] = {}
        self.best: dict[str, dict[str, Any]] = {}
        for index, (parameters, curve) in enumerate(past):
            trial = SimpleNamespace(trial_id=f"past-{index}", config={"parameters": parameters}, status="TERMINATED")
            self.on_trial_add(None, trial)
            for result in curve:
                self.on_trial_result(None, trial, result)

    def on_trial_add(self, controller: Any, trial: Any) -> None:
        """The trial joins its kind."""
        kind = _kind_of(trial)
        if kind not in self.of_kind:
            self.of_kind[kind] = self.new_scheduler()
        self.of_kind[kind].on_trial_add(controller, trial)

    def new_scheduler(self) -> Any:
        """The rungs of one kind."""
        options = self.options
        scheduler = AsyncHyperBandScheduler(**options)
        scheduler._brackets = [SortedBracket(options["grace_period"], options["max_t"], options["reduction_factor"], 0)]
        return scheduler

    def on_trial_result(self, controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Stop the trial if its best epoch so far is not among a rung's best."""
        if "failure" in result:
            return str(self.STOP)
        best = min(self.best.get(trial.trial_id, result), result, key=self.objective.cost)
        self.best[trial.trial_id] = best
        so_far = {**best, "epoch": result["epoch"], COST: self.objective.cost(best)}
        return str(self.of_kind[_kind_of(trial)].on_trial_result(controller, trial, so_far))

    def on_trial_complete(self, controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """The trial's last result came to :meth:`on_trial_result` like the others."""

    def on_trial_remove(self, controller: Any, trial: Any) -> None:
        """Nothing: a trial that is gone keeps its place on the rungs."""

    def rungs(self) -> dict[str, list[tuple[int, int]]]:
        """By kind: epoch of each rung and how many trials it has seen, longest first."""
        return {
            kind: [(int(milestone), len(seen)) for bracket in scheduler._brackets for milestone, seen in bracket._rungs]
            for kind, scheduler in self.of_kind.items()
        }


def _kind_of(trial: Any) -> str:
    """The architecture of a trial that Ray runs; empty where it is the same in the whole space."""
    return str(trial.config["parameters"].get("architecture", ""))
