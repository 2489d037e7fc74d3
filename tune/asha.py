"""Asynchronous successive halving whose rungs survive a crash."""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from ray.tune.schedulers import AsyncHyperBandScheduler

from core.retraining import Objective

COST = "best_cost"


class ResumableAsha(AsyncHyperBandScheduler):
    """Ray's ASHA (Li et al. 2020) on ``epoch``, judging a trial by its best epoch so far.

    Ray forgets the rungs when a search is resumed (ray issue 30838). They follow from the recorded curves, so these
    are replayed: each is a list of (epoch, metrics) of a trial that ended.

    Args:
        epochs: of a trial that is never stopped.
        grace: epochs that every trial gets.
        reduction: at each rung, 1 in ``reduction`` trials goes on.
    """

    def __init__(
        self, objective: Objective, epochs: int, grace: int, reduction: float, past: Iterable[list[dict[str, Any]]] = ()
    ) -> None:
        super().__init__(
            time_attr="epoch",
            metric=COST,
            mode="min",
            max_t=epochs,
            grace_period=min(grace, epochs),
            reduction_factor=reduction,
        )
        self.objective = objective
        self.best: dict[str, float] = {}
        for index, curve in enumerate(past):
            trial = SimpleNamespace(trial_id=f"past-{index}", config={}, status="TERMINATED")
            self.on_trial_add(None, trial)
            for result in curve:
                self.on_trial_result(None, trial, result)

    def on_trial_result(self, controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Stop the trial if its best epoch so far is not among a rung's best."""
        if "failure" in result:
            return str(self.STOP)
        cost = min(self.objective.cost(result), self.best.get(trial.trial_id, float("inf")))
        self.best[trial.trial_id] = cost
        return str(super().on_trial_result(controller, trial, {**result, COST: cost}))

    def on_trial_complete(self, controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """The trial's last result came to :meth:`on_trial_result` like the others."""

    def rungs(self) -> list[tuple[int, int]]:
        """Epoch of each rung and how many trials it has seen, longest first."""
        return [(int(milestone), len(seen)) for bracket in self._brackets for milestone, seen in bracket._rungs]
