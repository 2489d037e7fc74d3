"""A draw by a sampler that learns each kind of model from trials of its own kind."""

import copy
from collections.abc import Sequence
from typing import Any

import optuna

from core.names import TASKS, Architecture, Task
from search_spaces.space import Space
from tune.branches import KIND
from tune.suggestion import suggest

GOAL_OF = {Task.GENDER: 0, Task.LANDMARKS: 1}
"""Where a task's cost stands among both of ``core.names.GOALS``."""


def taught_draw(
    space: Space,
    sampler: optuna.samplers.BaseSampler,
    seen: Sequence[optuna.trial.FrozenTrial],
    kind: str,
    two_goals: bool = False,
) -> dict[str, Any]:
    """Parameters that a fresh ``sampler`` draws after it has ``seen`` these trials.

    It learns from what trials of its own kind have shown, as ASHA compares them: in one pool, the more there is to
    learn from, the sooner only the kind with the least error would be drawn.

    Args:
        kind: of model that the trial is to be of.
        two_goals: whether ``seen`` have two costs each. Models of one task are then drawn by the cost of that task.
    """
    costs = [GOAL_OF[task] for task in TASKS[Architecture(kind)]] if two_goals else [0]
    study = optuna.create_study(sampler=sampler, directions=["minimize"] * len(costs))
    study.add_trials([_as_seen(trial, costs) for trial in seen if trial.params.get(KIND, kind) == kind])
    trial = study.ask()
    return space.draw(lambda key, parameter: kind if key == KIND else suggest(trial, key, parameter))


def _as_seen(trial: optuna.trial.FrozenTrial, costs: Sequence[int]) -> optuna.trial.FrozenTrial:
    """A trial without its kind, and with these of its costs."""
    alone = copy.copy(trial)
    alone.params = {key: value for key, value in trial.params.items() if key != KIND}
    alone.distributions = {key: given for key, given in trial.distributions.items() if key != KIND}
    if trial.values is not None:
        alone.values = [trial.values[cost] for cost in costs]
    return alone
