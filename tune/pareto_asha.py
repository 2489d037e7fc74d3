"""Asynchronous successive halving with two goals: a trial goes on by its front, not by one number."""

import math
from typing import Any

import numpy as np
from ray.tune.schedulers import FIFOScheduler

from core.objective import Objective
from core.pareto import Point, front_rank, goals_of, spread_out
from tune.asha import COST, Past, ResumableAsha

Standing = tuple[float, Point]
"""Cost by the objective, and both goals."""


class ParetoAsha(ResumableAsha):
    """MO-ASHA (Schmucker et al., 2021) among models of one kind, whose rungs survive a crash as those of one goal do.

    A trial stands on a rung with both goals of its epoch so far that is best by ``objective``: this epoch is the one
    that ``trials.csv`` shows, and that a retrained winner keeps. (All of its epochs that nothing dominates would be
    models that nobody gets, and a trial that wavers would fill a front by itself.)

    Args:
        nothing: both goals of knowing nothing, from where hypervolume is measured.
    """

    def __init__(
        self, objective: Objective, nothing: Point, epochs: int, grace: int, reduction: float, past: Past = ()
    ) -> None:
        self.nothing = nothing
        super().__init__(objective, epochs, grace, reduction, past)

    def new_scheduler(self) -> "FrontRungs":
        """The rungs of one kind."""
        options = self.options
        return FrontRungs(self.nothing, options["max_t"], options["grace_period"], options["reduction_factor"])

    def rungs(self) -> dict[str, list[tuple[int, int]]]:
        """By kind: epoch of each rung and how many trials it has seen, longest first."""
        return {kind: [(m, len(seen)) for m, seen in reversed(s.seen.items())] for kind, s in self.of_kind.items()}


class FrontRungs(FIFOScheduler):
    """Rungs on which 1 trial in ``reduction`` goes on, rounded up, of all that came as far, itself counted.

    First come those that nothing dominates, then those that only they dominate, and so on (Deb et al., 2002). Of a
    front that has more trials than there are places, the best by the objective comes first, then whichever adds most
    hypervolume to those before it. Crowding distance gives the first places to a front's ends, and the epsilon-net of
    Schmucker et al. (the farthest first) soon comes to them, also where a model is worse than knowing nothing in one
    goal: on a rung of a few trials the compromise between them would have to go.

    Args:
        epochs: of a trial that is never stopped.
        grace: epochs before the first rung; the next ones are ``reduction`` times as far each, at least one epoch.
    """

    def __init__(self, nothing: Point, epochs: int, grace: int, reduction: float) -> None:
        super().__init__()
        self.nothing = nothing
        self.epochs = epochs
        self.reduction = reduction
        self.seen: dict[int, dict[str, Standing]] = {}
        """By epoch of each rung, ascending, where each trial stood when it came there."""
        milestone = float(grace)
        while milestone < epochs:
            self.seen[math.ceil(milestone)] = {}
            milestone = max(milestone * reduction, milestone + 1)

    def on_trial_add(self, controller: Any, trial: Any) -> None:
        """Nothing: a trial stands nowhere before its first rung."""

    def on_trial_result(self, controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Stop the trial at a rung where there is no place for it, and at its last epoch."""
        if result["epoch"] >= self.epochs:
            return str(self.STOP)
        rung = self.seen.get(result["epoch"])
        if rung is None or trial.trial_id in rung:
            return str(self.CONTINUE)
        rung[trial.trial_id] = (result[COST], goals_of(result))
        return str(self.CONTINUE if self._has_place(list(rung.values())) else self.STOP)

    def _has_place(self, standings: list[Standing]) -> bool:
        """Whether the last of them goes on."""
        ranks = front_rank([point for _, point in standings])
        places = math.ceil(len(ranks) / self.reduction) - int((ranks < ranks[-1]).sum())
        front = sorted(np.flatnonzero(ranks == ranks[-1]).tolist(), key=lambda index: standings[index][0])
        if places >= len(front):
            return True
        kept = spread_out([standings[index][1] for index in front], places, self.nothing)
        return len(ranks) - 1 in [front[position] for position in kept]
