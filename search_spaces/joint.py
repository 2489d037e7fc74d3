"""Everything at once: which of the four models, and all that the paper tuned one after another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.names import Architecture, AttentionKind, LandmarkHead
from search_spaces.attention import ATTENDING
from search_spaces.gender import OPTIMISATION
from search_spaces.landmarks import REGRESSION, REGRESSION_CONDITIONS
from search_spaces.multitask import WEIGHTING
from search_spaces.parameter import Choice, Value
from search_spaces.parts import DEFAULTS, WEIGHING, WITH_BOTH, WITH_LANDMARKS
from search_spaces.space import Condition, Space

JOINT = Space(
    name="joint",
    summary="all four models with all of their hyperparameters",
    parameters={
        "architecture": Choice(tuple(map(str, Architecture))),
        **OPTIMISATION,
        **REGRESSION,
        **WEIGHTING,
        **ATTENDING,
    },
    conditions={
        "landmark_loss": Condition("architecture", WITH_LANDMARKS),
        **REGRESSION_CONDITIONS,
        "lambda1": Condition("architecture", WITH_BOTH),
        "lambda2": Condition("architecture", WITH_BOTH),
        "d_k": Condition("architecture", (str(Architecture.ATTENTION),)),
    },
)


@dataclass(frozen=True)
class Helpful:
    """A part beyond the paper that lowered the relative error or the NME by more than chance.

    Measured for models of both tasks: mirrored faces with 4 and with 5 frozen blocks, less dropout where landmarks are
    plain regression with both, attention with 5, heatmaps with 4 (``benchmarks/results/additions.csv``).
    """

    value: Value
    needs: tuple[tuple[str, tuple[Value, ...]], ...] = ()
    """Settings, and the values with which it is taken."""
    unless: tuple[str, ...] = ()
    """Whoever sets or varies one of these does without it: it would leave them no effect, or was measured apart from
    them."""


MEASURED = (4, 5)
"""The numbers of frozen blocks with which parts were measured."""

_ROOM = (("architecture", WITH_LANDMARKS), ("frozen_blocks", (4,)))
HELPFUL = {
    "flip": Helpful(True),
    "attention": Helpful(str(AttentionKind.SELF_RMS), (("architecture", (str(Architecture.ATTENTION),)),)),
    "landmark_head": Helpful(str(LandmarkHead.HEATMAP), _ROOM, WEIGHING),
    "heatmap_block": Helpful(4, (*_ROOM, ("landmark_head", (str(LandmarkHead.HEATMAP),))), WEIGHING),
    "dropout": Helpful(
        0.2,
        (
            ("architecture", WITH_LANDMARKS),
            ("frozen_blocks", MEASURED),
            ("landmark_head", (str(LandmarkHead.REGRESSION),)),
        ),
        ("landmark_head",),
    ),
}
HELPFUL_RANGES: dict[str, tuple[tuple[str, tuple[Value, ...]], ...]] = {
    "lr_landmarks": (
        ("architecture", WITH_BOTH),
        ("frozen_blocks", (4,)),
        ("landmark_head", (str(LandmarkHead.HEATMAP),)),
        ("heatmap_block", (4,)),
    )
}
"""Parts that lowered the NME by more than chance with a value that no two models need share, so that they are searched;
and the settings that this was measured with."""


def helpful_settings(settings: Mapping[str, Any], vary: Sequence[str]) -> dict[str, Any]:
    """What all of joint's trials have of the parts that help, unless the user varies or sets them.

    Args:
        settings: of the profile and of the user.
        vary: parts that the user varies.
    """
    found: dict[str, Any] = {}
    asked = {*settings, *vary}
    for key, part in HELPFUL.items():
        known = {**settings, **found}
        fits = all(known[need] in values for need, values in part.needs if need in known)
        if fits and asked.isdisjoint([key, *part.unless]):
            found[key] = part.value
    return found


def helpful_parts(settings: Mapping[str, Any], vary: Sequence[str]) -> list[str]:
    """Parts that joint searches of its own accord, unless the user sets them or searches them already.

    Args:
        settings: of the profile, of the user and of :func:`helpful_settings`.
        vary: parts that the user varies; one of them may have any value.
    """
    whole, free = {**DEFAULTS, **settings}, {*vary, "architecture"} - set(settings)
    asked = {*settings, *vary}
    return [
        key
        for key, needs in HELPFUL_RANGES.items()
        if key not in asked and all(need in free or whole[need] in values for need, values in needs)
    ]
