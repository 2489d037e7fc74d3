"""A draw by a sampler that learns each kind of model from trials of its own kind."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optuna

from search_spaces.parameter import Parameter
from search_spaces.space import Space

KIND = "architecture"


def taught_draw(
    space: Space,
    study: optuna.Study,
    seen: Sequence[optuna.trial.FrozenTrial],
    seed: int,
    suggest: Callable[[optuna.trial.Trial, str, Parameter], Any],
) -> dict[str, Any]:
    """Parameters that the sampler of a ``study`` without trials draws after it has ``seen`` these.

    Each kind of model is drawn as often, and from what trials of its own kind have shown, as ASHA compares them: in one
    pool, the more there is to learn from, the sooner only the kind with the least error would be drawn.
    """
    kinds = space.values_of(KIND, "")
    kind = kinds[np.random.default_rng(seed).integers(len(kinds))]
    study.add_trials([_without_kind(trial) for trial in seen if trial.params.get(KIND, kind) == kind])
    trial = study.ask()
    return space.draw(lambda key, parameter: kind if key == KIND else suggest(trial, key, parameter))


def _without_kind(trial: optuna.trial.FrozenTrial) -> optuna.trial.FrozenTrial:
    alone = copy.copy(trial)
    alone.params = {key: value for key, value in trial.params.items() if key != KIND}
    alone.distributions = {key: given for key, given in trial.distributions.items() if key != KIND}
    return alone
