"""With which parameters a space draws a trial that another one drew."""

from collections.abc import Mapping
from typing import Any

from core.config import config_from_flat, filled
from core.errors import UserError
from search_spaces.parameter import Float, ends_of
from search_spaces.prior import as_drawn
from search_spaces.space import Space

FAINT_DECAY = 1e-5
"""A weight decay that does nothing: 1,500 steps of SGD at a learning rate of 0.01 take 0.00015 of a weight."""


def parameters_in(space: Space, config: Mapping[str, Any]) -> dict[str, Any] | None:
    """The parameters with which a space draws a trial of these settings; None if it cannot."""
    chosen: dict[str, Any] = {}
    stands, faint = filled(config), as_good_as_none(space, config)
    for key, parameter in space.parameters.items():
        if space.is_active(key, chosen):
            value = config[key] if config[key] in parameter else stands[key]  # a choice may have the 0 itself
            if key in faint:
                value = ends_of(parameter)[0]
            if value not in parameter:
                return None
            chosen[key] = as_drawn(parameter, value)
    try:
        config_from_flat({**space.fixed, **chosen})
    except UserError:  # each is allowed, but not together
        return None
    return chosen


def as_good_as_none(space: Space, config: Mapping[str, Any]) -> set[str]:
    """Parameters that ``config`` has at 0, which is outside their range, and whose lowest value comes to the same."""
    decay = space.parameters.get("weight_decay")
    near = isinstance(decay, Float) and 0 < decay.low <= FAINT_DECAY and config["weight_decay"] == 0
    return {"weight_decay"} if near else set()
