"""Sets of defaults, and what a user sets beside them, laid over a space."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from core.config import check_value
from core.errors import UserError
from search_spaces.parameter import Value
from search_spaces.parts import DEFAULTS, without_effect
from search_spaces.space import Space


class Profile(StrEnum):
    """A set of defaults: the paper's whole network, or heads on cached activations."""

    PAPER = "paper"
    FAST = "fast"


PROFILES: dict[Profile, dict[str, Value]] = {
    Profile.PAPER: {"frozen_blocks": 0, "head_width": 4096, "landmark_start": "torch"},
    Profile.FAST: {"frozen_blocks": 5, "head_width": 512, "landmark_start": "mean_face"},
}


def settled_space(space: Space, profile: Profile, settings: Mapping[str, Any]) -> Space:
    """``space`` with what the profile and then the user set; only the user's settings end a parameter's varying, and
    with them what they leave without an effect (``search_spaces.parts.ONLY_WITH``).
    """
    defaults = {k: v for k, v in PROFILES[profile].items() if k not in space.parameters and k not in space.fixed}
    idle = [key for key in space.parameters if without_effect(key, {**space.fixed, **settings})]
    defaults |= {key: DEFAULTS[key] for key in idle}
    return space.with_fixed({**defaults, **settings})


def parse_settings(words: Sequence[str]) -> dict[str, Any]:
    """``["frozen_blocks=4", "lr=1e-4"]`` as checked settings.

    Raises:
        UserError: not ``key=value``, an unknown key, a value out of range, or a key given twice.
    """
    settings: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals:
            raise UserError(f"--set {word!r}: must be key=value")
        if key in settings:
            raise UserError(f"--set {key}: given twice")
        value = check_value(key, text)
        settings[key] = str(value) if isinstance(value, StrEnum) else value
    return settings
