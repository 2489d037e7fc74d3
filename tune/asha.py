"""Asynchronous successive halving among models of one kind, whose rungs survive a crash."""

from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler

from core.retraining import Objective

COST = "best_cost"
Past = Iterable[tuple[Mapping[str, Any], list[dict[str, Any]]]]
"""Trials that ended: parameters and the metrics of each epoch."""


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
        return AsyncHyperBandScheduler(**self.options)

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
