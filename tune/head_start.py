"""What a search knows before its first trial, kept in its folder: earlier runs' leaders and trials, and a prior."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from core.atomic import write_text
from core.checks import shown
from core.errors import UserError
from core.json_text import is_number, read_json
from core.names import Architecture
from core.objective import Objective
from core.seeds import derived_seed
from search_spaces.prior import draw_around, trust
from search_spaces.space import Space
from tune.branches import KIND

LEADER, OF_PRIOR = "leader", "prior"


@dataclass(frozen=True)
class Earlier:
    """A trial of an earlier run, whose scores mean the same as those of the new search."""

    parameters: dict[str, Any]
    costs: list[float]
    """The objective by epoch, as a number to minimise; not more epochs than a new trial may have."""
    status: str
    """``finished`` if it had as many, else ``stopped``."""
    same_rungs: bool = True
    """Whether its search stopped trials by the same rules, or none. Where others had stopped some before, a rung of the
    new search would see the better ones alone."""


@dataclass(frozen=True)
class HeadStart:
    """Where the first trials come from, and what samplers and ASHA learn from beside the search's own trials."""

    leaders: list[dict[str, Any]] = field(default_factory=list)
    """Parameters of the first trials."""
    earlier: list[Earlier] = field(default_factory=list)
    prior: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Values to draw around, by kind of model."""

    def pick(
        self, number: int, space: Space, seed: int, holds: Callable[[], bool]
    ) -> tuple[str | None, dict[str, Any]]:
        """Where the parameters of a trial come from, and what they are; None and those that are given if the sampler is
        to draw the others.

        Args:
            seed: of the search.
            holds: whether the prior is not forgotten; asked only where that matters.
        """
        if number < len(self.leaders):
            return LEADER, self.leaders[number]
        random = np.random.default_rng(derived_seed(seed, 0, number, 1))
        if not self.prior or random.random() >= trust(number - len(self.leaders)):
            return None, {}
        kinds = space.values_of(KIND, "")
        kind = str(kinds[random.integers(len(kinds))])  # of all, so that no kind gets more trials for having a prior
        if kind not in self.prior or not holds():
            return None, {KIND: kind} if KIND in space.parameters else {}
        return OF_PRIOR, draw_around(space, kind, self.prior[kind], random)

    def past(self, aim: Objective) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
        """Parameters and metrics by epoch of the earlier trials that were stopped by such rungs, for ASHA's."""
        sign = -1.0 if aim.higher_is_better else 1.0
        return [
            (one.parameters, [{"epoch": epoch, aim.name: sign * cost} for epoch, cost in enumerate(one.costs, 1)])
            for one in self.earlier
            if one.same_rungs
        ]

    def write(self, path: Path) -> None:
        """Keep it for a resumed search; the earlier runs may be gone by then."""
        write_text(path, json.dumps(asdict(self), indent=1) + "\n")


def read_head_start(path: Path, space: Space) -> HeadStart:
    """What :meth:`HeadStart.write` wrote.

    Raises:
        UserError: the file is missing or damaged, or not of a search in ``space``.
    """
    try:
        data = read_json(path)
        found = HeadStart(data["leaders"], [Earlier(**one) for one in data["earlier"]], data["prior"])
        _check(found, space)
    except UserError as error:
        raise UserError(f"{path}: {error}" if str(path) not in str(error) else str(error)) from None
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError, RecursionError) as error:
        raise UserError(f"{path}: not what a search knew at its start ({error})") from None
    return found


def _check(found: HeadStart, space: Space) -> None:
    for parameters in [*found.leaders, *(one.parameters for one in found.earlier)]:
        if set(parameters) != {key for key in space.parameters if space.is_active(key, parameters)}:
            raise UserError(f"a trial has other parameters than space {space.name} gives")
        _check_values(parameters, space)
    for one in found.earlier:
        ended = one.status in ("finished", "stopped") and isinstance(one.same_rungs, bool)
        if not ended or not one.costs or not all(is_number(cost) and math.isfinite(cost) for cost in one.costs):
            raise UserError(f"a trial must have finite costs and have finished or been stopped, got {shown(one)}")
    for kind, centre in found.prior.items():
        if kind not in list(Architecture):
            raise UserError(f"a prior is for one of {', '.join(Architecture)}, got {shown(kind)}")
        _check_values(centre, space)


def _check_values(values: Mapping[str, Any], space: Space) -> None:
    for key, value in values.items():
        if key not in space.parameters or value not in space.parameters[key]:
            raise UserError(f"{shown(key)}: {shown(value)} is nothing that space {space.name} gives")
