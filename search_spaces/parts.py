"""Parts beyond the paper that any space can take on as further parameters: ``--vary``."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from core.config import SHARING, Config, learns_apart
from core.errors import UserError
from core.names import (
    SELF_ATTENTION,
    TASKS,
    Architecture,
    AttentionKind,
    LandmarkHead,
    LossWeighting,
    Schedule,
    Task,
)
from search_spaces.gender import OPTIMISATION
from search_spaces.landmarks import REGRESSION
from search_spaces.parameter import Choice, Float, Int, Parameter, Value, typed
from search_spaces.space import Condition, Space

WITH_LANDMARKS = tuple(str(a) for a in Architecture if Task.LANDMARKS in TASKS[a])
WITH_BOTH = tuple(str(a) for a in Architecture if len(TASKS[a]) == 2)
_ATTENDING = ("architecture", (str(Architecture.ATTENTION),))
_SELF = ("attention", tuple(map(str, SELF_ATTENTION)))
_ROOM = ("frozen_blocks", (0, 1, 2, 3, 4))


@dataclass(frozen=True)
class Part:
    """A parameter and where it has an effect."""

    parameter: Parameter
    needs: tuple[tuple[str, tuple[Value, ...]], ...] = ()
    """Settings, the widest first, and the values that they must have."""


PARTS = {
    "lr_schedule": Part(Choice(tuple(map(str, Schedule)))),
    "weight_decay": Part(Float(1e-6, 1e-1, log=True)),
    "dropout": Part(Float(0.0, 0.7)),
    "batch_size": Part(Choice((8, 15, 30, 60))),
    "lr_landmarks": Part(OPTIMISATION["lr"], (("architecture", WITH_BOTH),)),
    "flip": Part(Choice((False, True))),
    "augmentation": Part(Choice((0.0, 0.25, 0.5, 1.0))),
    "loss_weighting": Part(Choice(tuple(map(str, LossWeighting))), (("architecture", WITH_BOTH),)),
    "landmark_head": Part(Choice(tuple(map(str, LandmarkHead))), (("architecture", WITH_LANDMARKS),)),
    "heatmap_block": Part(
        Choice((4, 5)),
        (("architecture", WITH_LANDMARKS), _ROOM, ("landmark_head", (str(LandmarkHead.HEATMAP),))),
    ),
    "attention": Part(Choice(tuple(map(str, AttentionKind))), (_ATTENDING,)),
    "attention_heads": Part(Choice((1, 2, 4, 8)), (_ATTENDING, _SELF)),
    "d_k_landmarks": Part(Int(32, 512, log=True), (_ATTENDING, _SELF)),
    "d_v": Part(Int(32, 512, log=True), (_ATTENDING, _SELF)),
}
DEFAULTS = Config().flat()

_GIVEN = ("loss_weighting", (str(LossWeighting.FIXED), str(LossWeighting.DWA)))
ONLY_WITH: dict[str, tuple[str, tuple[Value, ...]]] = {"d_k": _SELF, "lambda1": _GIVEN, "lambda2": _GIVEN}
"""Parameters of the spaces themselves that some values of a part leave without an effect: the part, and the values that
they need. Uncertainty finds the tasks' weights itself: it begins where the first batch's losses settle, whatever the
lambdas, and goes on the same way.
"""


HEAD = "landmark_head"
LAMBDAS = ("lambda1", "lambda2")
LOSS_KEYS = (*REGRESSION, *LAMBDAS)
"""All that the paper's loss is made of."""
WEIGHING = (*LAMBDAS, "loss_weighting")
"""What weighs the tasks against each other."""


def without_effect(key: str, config: Mapping[str, Any]) -> bool:
    """Whether the parts in ``config``, at their defaults where they are not in it, leave ``key`` nothing to change."""
    if key not in ONLY_WITH:
        return False
    part, needed = ONLY_WITH[key]
    return config.get(part, DEFAULTS[part]) not in needed


def with_parts(space: Space, names: Sequence[str]) -> Space:
    """``space`` with further parameters, each drawn only where it has an effect.

    Args:
        space: with all that is fixed already in it.

    Raises:
        UserError: no such part, one that varies or is fixed already, or one that would nowhere have an effect.
    """
    if space.cells and names:
        raise UserError(f"--vary {names[0]}: space {space.name} is a grid of listed rows")
    for name in names:
        if name not in PARTS:
            raise UserError(f"--vary {name}: must be one of {', '.join(PARTS)}")
        if name in space.parameters or names.count(name) > 1:
            raise UserError(f"--vary {name}: varies already")
        if name in space.fixed:
            raise UserError(f"--vary {name}: is fixed to {typed(space.fixed[name])}")
    for name in PARTS:  # in their order, because some depend on others
        if name in names:
            space = _with_part(space, name, PARTS[name])
    return space


def _with_part(space: Space, name: str, part: Part) -> Space:
    condition = None
    for setting, wanted in part.needs:
        possible = space.values_of(setting, DEFAULTS[setting])
        found = tuple(value for value in possible if value in wanted)
        varied = space.parameters.get(setting)
        drawn = found if varied is None else tuple(value for value in found if value in varied)
        if not drawn or (setting == "frozen_blocks" and len(found) < len(possible)):
            got = ", ".join(map(str, possible))
            rule = f"{setting} must be {' or '.join(map(str, wanted))}"
            raise UserError(f"--vary {name}: would have no effect in space {space.name}; {rule}, got {got}")
        if setting in space.parameters and len(found) < len(possible):
            condition = Condition(setting, drawn)
    if name in WEIGHING and _shares_nothing(space):
        raise UserError(f"--vary {name}: has nothing to weigh in space {space.name}; {nothing_shared(space)}")
    parameters, conditions = {**space.parameters, name: part.parameter}, dict(space.conditions)
    if condition is not None:
        conditions[name] = condition
    for key, needed in ONLY_WITH.items():
        if needed[0] == name and key in parameters:
            parameters[key] = parameters.pop(key)  # after what it depends on
            conditions[key] = Condition(*needed)
    return replace(space, parameters=parameters, conditions=conditions)


def _shares_nothing(space: Space, given: Mapping[str, Value] | None = None) -> bool:
    """Whether that is so in all of a space, all that is fixed already in it; or in the part with these values."""
    values_of = {key: space.values_of(key, DEFAULTS[key]) for key in SHARING}
    combinations = itertools.product(*(values_of | {key: (value,) for key, value in (given or {}).items()}).values())
    return all(learns_apart(dict(zip(SHARING, values, strict=True))) for values in combinations)


def nothing_shared(space: Space) -> str:
    """Why in all of a space in which the tasks' weights have no effect that is so."""
    frozen = max(int(value) for value in space.values_of("frozen_blocks", DEFAULTS["frozen_blocks"]))
    heatmap = f"with landmarks found from frozen block {frozen} (landmark_head=heatmap)"
    where = "with all 5 blocks frozen" if frozen == 5 else heatmap
    return f"{where} the tasks share nothing that is trained"


def without_idle_weights(space: Space) -> Space:
    """``space`` without lambda1, lambda2 and ``loss_weighting`` as parameters where they would have nothing to weigh in
    any of its trials; and, where all are of one kind of model, with them only for landmark heads with which they have.
    """
    weights = [key for key in WEIGHING if key in space.parameters]
    if not weights:
        return space
    if _shares_nothing(space):
        return space.with_fixed({key: DEFAULTS[key] for key in weights})
    heads = space.values_of(HEAD, DEFAULTS[HEAD])
    sharing = tuple(head for head in heads if not _shares_nothing(space, {HEAD: head}))
    drawn = tuple(head for head in sharing if head in space.parameters.get(HEAD, ()))
    if sharing == heads or not drawn:
        return space
    parameters, conditions = dict(space.parameters), dict(space.conditions)
    for key in sorted(weights, key=lambda key: key in ONLY_WITH):  # last those that depend on another
        parameters[key] = parameters.pop(key)  # after the head
        if key not in conditions or len(space.values_of(conditions[key].parent, "")) == 1:
            conditions[key] = Condition(HEAD, drawn)
    return replace(space, parameters=parameters, conditions=conditions)
