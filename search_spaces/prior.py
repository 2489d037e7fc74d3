"""A prior: for each kind of model, values that are known to be good; and trials drawn around them."""

import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import Any

import numpy as np

from core.config import FOLLOWS, config_from_flat, filled
from core.names import Architecture
from search_spaces.effect import matters
from search_spaces.paper import PAPER_CHOICES, PAPER_FIXED
from search_spaces.parameter import Choice, Float, Int, Parameter, Value
from search_spaces.parts import DEFAULTS, PARTS
from search_spaces.space import Space

WIDTH = 0.1
"""Standard deviation of the bell around a number, as a share of its range on the scale that it is drawn on."""
FAITH = 0.7
"""Share of a choice's draws that are the known value; the others divide the rest evenly."""
BETA = 4.0
"""Trials after which half of them are still drawn around the prior."""
ELSEWHERE = ("split_seed", "precision", "activation_cache")  # where and how a model was trained, not what it is

Prior = Mapping[str, Mapping[str, Any]]
"""Values by kind of model; those that are not named are drawn evenly."""

_PAPER = {**{key: DEFAULTS[key] for key in PARTS}, **PAPER_FIXED, **PAPER_CHOICES}
PAPER_PRIOR: Prior = {
    str(kind): {
        key: value for key, value in _PAPER.items() if matters(key, {**PAPER_CHOICES, "architecture": str(kind)})
    }
    for kind in Architecture
}
"""What the paper chose from its tables, and what it kept the same in all of them."""


def trust(number: int) -> float:
    """Probability that trial ``number``, from 0, is drawn around the prior: 1 at first, then falling as 1 / number.

    Hvarfner et al. (2022, piBO) raise the prior to the power beta / n; this is the share of trials in its stead, which
    any sampler can follow.
    """
    return BETA / (BETA + number)


def centred(space: Space, kind: str, values: Mapping[str, Any]) -> tuple[dict[str, Value], list[str]]:
    """What of a kind's known values a space can draw around; and, in words, what it cannot follow."""
    fixed = config_from_flat({**space.fixed, "architecture": kind}).flat()
    stands, values, given = filled(fixed), filled(values), values
    centre: dict[str, Value] = {}
    skipped = []
    for key, parameter in space.parameters.items():
        if key == "architecture" or key not in values or not space.is_active(key, {"architecture": kind, **centre}):
            continue
        value = given[key] if given[key] in parameter else values[key]  # a choice may have the 0 itself
        if value in parameter:
            centre[key] = as_drawn(parameter, value)
        else:
            skipped.append(f"{key} {value} is none of {parameter}")
    for key, value in values.items():
        told = key not in space.parameters and key not in ELSEWHERE and matters(key, {**fixed, **values})
        follows = key in FOLLOWS and fixed[key] == 0 and FOLLOWS[key] in space.parameters
        same = given[key] == fixed[key] or (value == stands[key] and not follows)
        if told and key != "architecture" and not same:
            skipped.append(f"{key} {value} " + (f"follows {FOLLOWS[key]}" if follows else f"is fixed at {stands[key]}"))
    return centre, skipped


def as_drawn(parameter: Parameter, value: Any) -> Value:
    """A value in the parameter, of the type that a draw has."""
    if isinstance(parameter, Choice):
        return parameter.values[parameter.values.index(value)]
    return int(value) if isinstance(parameter, Int) else float(value)


def draw_around(space: Space, kind: str, centre: Mapping[str, Any], random: np.random.Generator) -> dict[str, Any]:
    """All active parameters of a trial of this kind near ``centre``."""

    def suggest(key: str, parameter: Parameter) -> Value:
        if key == "architecture":
            return kind
        return near(parameter, centre[key], random) if key in centre else anywhere(parameter, random)

    return space.draw(suggest)


def near(parameter: Parameter, value: Any, random: np.random.Generator) -> Value:
    """A number from a bell around ``value``, on the parameter's own scale and cut off at its bounds; or a choice."""
    if isinstance(parameter, Choice):
        others = [other for other in parameter.values if other != value]
        if random.random() < FAITH or not others:
            return as_drawn(parameter, value)
        return others[random.integers(len(others))]
    low, high = _ends(parameter)
    bell = NormalDist(math.log(value) if parameter.log else value, WIDTH * (high - low))
    return _unscaled(parameter, bell.inv_cdf(random.uniform(bell.cdf(low), bell.cdf(high))))


def anywhere(parameter: Parameter, random: np.random.Generator) -> Value:
    """A value drawn evenly on the parameter's own scale."""
    if isinstance(parameter, Choice):
        return parameter.values[random.integers(len(parameter.values))]
    return _unscaled(parameter, random.uniform(*_ends(parameter)))


def _ends(parameter: Float | Int) -> tuple[float, float]:
    """Both ends on the scale of draws; each whole number has a unit of its own, so the outermost reach beyond."""
    beyond = 0.5 if isinstance(parameter, Int) else 0.0
    low, high = parameter.low - beyond, parameter.high + beyond
    return (math.log(low), math.log(high)) if parameter.log else (low, high)


def _unscaled(parameter: Float | Int, drawn: float) -> Value:
    number = math.exp(drawn) if parameter.log else drawn
    if isinstance(parameter, Int):
        return min(max(round(number), parameter.low), parameter.high)
    return min(max(number, parameter.low), parameter.high)  # exp(log(x)) may miss x by a rounding
