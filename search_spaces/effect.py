"""Which settings change anything in a trial, given its others."""

from collections.abc import Mapping
from typing import Any

from core.config import learns_apart
from core.names import Architecture, LandmarkHead
from search_spaces.joint import JOINT
from search_spaces.parameter import Value
from search_spaces.parts import DEFAULTS, LAMBDAS, PARTS, WITH_BOTH, without_effect

_IDLE: dict[str, tuple[tuple[str, tuple[Value, ...]], ...]] = {
    "landmark_start": (("architecture", (str(Architecture.GENDER),)),),
    "head_width": (
        ("architecture", (str(Architecture.LANDMARKS),)),
        ("landmark_head", (str(LandmarkHead.HEATMAP),)),
    ),
}
"""Settings of no parameter of ``joint``, and with what other settings together they change nothing."""


def _both_learn(config: Mapping[str, Any]) -> bool:
    """Whether neither task's loss is weighed with 0, with which nothing is learned."""
    return all(config.get(key, DEFAULTS[key]) > 0 for key in LAMBDAS)


def matters(key: str, config: Mapping[str, Any]) -> bool:
    """Whether a setting changes anything in such a trial: d_k only in self-attention, beta only in smooth L1."""
    if key in LAMBDAS and not _both_learn(config):  # with 0 a task is not learned, whatever weighs it
        return str(config.get("architecture", DEFAULTS["architecture"])) in WITH_BOTH
    if without_effect(key, config) or (key in LAMBDAS and learns_apart(config)):
        return False
    if key in _IDLE and all(config.get(setting, DEFAULTS[setting]) in values for setting, values in _IDLE[key]):
        return False
    if key in PARTS:
        return all(config.get(setting, DEFAULTS[setting]) in values for setting, values in PARTS[key].needs)
    if key == "views":
        cached = config.get("frozen_blocks", DEFAULTS["frozen_blocks"]) and config.get("activation_cache", True)
        return bool(config.get("augmentation") and cached)
    condition = JOINT.conditions.get(key)
    return condition is None or (JOINT.is_active(key, config) and matters(condition.parent, config))
