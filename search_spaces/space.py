"""A search space is a value: named parameters with inclusive bounds, conditions, and settings that stay fixed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from core.checks import shown
from core.config import check_value
from core.errors import UserError
from core.json_text import parse_json
from search_spaces.parameter import KINDS, Choice, Parameter, Value, ends_of, typed


@dataclass(frozen=True)
class Condition:
    """A parameter is active only where ``parent``, a choice that stands before it, has one of ``values``."""

    parent: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Space:
    """What a search may vary.

    Raises:
        UserError: a bound that breaks the setting's own rule, or a condition on something that is no earlier choice.
    """

    name: str
    summary: str
    parameters: Mapping[str, Parameter]
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    fixed: Mapping[str, Value] = field(default_factory=dict)
    """Settings with one value in every trial, ``architecture`` among them unless it is a parameter."""
    cells: tuple[Mapping[str, Value], ...] = ()
    """The combinations that a grid visits, in this order; empty for all that there are."""

    def __post_init__(self) -> None:
        for key, parameter in self.parameters.items():
            for value in ends_of(parameter):
                _check_kept(key, value)
        for key, value in self.fixed.items():
            _check_kept(key, value)
        self._check_conditions()
        self._check_cells()
        if "architecture" not in self.parameters and "architecture" not in self.fixed:
            raise UserError(f"space {self.name}: architecture must be a parameter or fixed")
        if "architecture" in self.conditions:
            raise UserError(f"space {self.name}: architecture must not depend on another parameter")

    def _check_conditions(self) -> None:
        order = list(self.parameters)
        for key, condition in self.conditions.items():
            parent = self.parameters.get(condition.parent)
            if key not in order or not isinstance(parent, Choice) or order.index(condition.parent) >= order.index(key):
                raise UserError(f"space {self.name}: {key} must depend on a choice before it, got {condition.parent!r}")
            if not set(condition.values) <= set(parent.values):
                raise UserError(f"space {self.name}: {key} depends on values that {condition.parent} never takes")

    def _check_cells(self) -> None:
        for cell in self.cells:
            active = [key for key in self.parameters if self.is_active(key, cell)]
            wrong = set(active) ^ set(cell) or {key for key in active if cell[key] not in self.parameters[key]}
            if wrong:
                raise UserError(f"space {self.name}: cell {dict(cell)} of its grid is outside the space ({min(wrong)})")
        if len({tuple(sorted(cell.items())) for cell in self.cells}) < len(self.cells):
            raise UserError(f"space {self.name}: its grid has a cell twice")

    def is_active(self, key: str, chosen: Mapping[str, Any]) -> bool:
        """Whether ``key`` takes part, given the parameters chosen before it."""
        condition = self.conditions.get(key)
        return condition is None or chosen.get(condition.parent) in condition.values

    def draw(self, suggest: Callable[[str, Parameter], Any]) -> dict[str, Any]:
        """Choose every active parameter in order with ``suggest(name, parameter)``; fixed settings are not in it."""
        chosen: dict[str, Any] = {}
        for key, parameter in self.parameters.items():
            if self.is_active(key, chosen):
                chosen[key] = suggest(key, parameter)
        return chosen

    def with_fixed(self, settings: Mapping[str, Any]) -> "Space":
        """The same space with some settings fixed; a parameter among them no longer varies."""
        checked = {key: check_value(key, value) for key, value in settings.items()}
        values = {key: str(v) if isinstance(v, StrEnum) else v for key, v in checked.items()}
        parameters = dict(self.parameters)
        for key, value in values.items():
            if key == "architecture" and value not in self.values_of(key, ""):
                raise UserError(f"space {self.name} has no architecture {value!r}")
            if self._is_parent(key):
                parameters[key] = Choice((value,))  # its children's conditions still ask for it
            else:
                parameters.pop(key, None)
        fixed = {**self.fixed, **{key: value for key, value in values.items() if key not in parameters}}
        parameters, conditions = _reachable(parameters, self.conditions)
        cells = [{key: values.get(key, v) for key, v in cell.items() if key in parameters} for cell in self.cells]
        return replace(
            self,
            parameters=parameters,
            cells=tuple({tuple(sorted(cell.items())): cell for cell in cells}.values()),
            conditions=conditions,
            fixed=fixed,
        )

    def _is_parent(self, key: str) -> bool:
        return any(condition.parent == key for condition in self.conditions.values())

    def values_of(self, key: str, default: Value) -> tuple[Value, ...]:
        """All values that a setting can take in this space; for numbers from a range, its two ends.

        Where what it depends on leaves it undrawn it has ``default``, as where the space does not name it.
        """
        drawn = ends_of(self.parameters[key]) if key in self.parameters else ()
        undrawn = () if self._is_always_drawn(key) else (self.fixed.get(key, default),)
        return tuple(dict.fromkeys([*drawn, *undrawn]))

    def _is_always_drawn(self, key: str) -> bool:
        if key not in self.parameters or key not in self.conditions:
            return key in self.parameters
        condition = self.conditions[key]
        possible = ends_of(self.parameters[condition.parent])
        return self._is_always_drawn(condition.parent) and set(possible) <= set(condition.values)

    def to_json(self) -> dict[str, Any]:
        """Plain data that :func:`space_from_json` turns back into this space."""
        return {
            "name": self.name,
            "summary": self.summary,
            "parameters": {key: {"kind": type(p).__name__.lower(), **vars(p)} for key, p in self.parameters.items()},
            "conditions": {key: vars(condition) for key, condition in self.conditions.items()},
            "fixed": dict(self.fixed),
            "cells": [dict(cell) for cell in self.cells],
        }

    def describe(self) -> str:
        """The space as a page of text."""
        rows = []
        for key, parameter in self.parameters.items():
            condition = self.conditions.get(key)
            when = f"   if {condition.parent} is {' or '.join(map(typed, condition.values))}" if condition else ""
            rows.append(f"  {key:<16}{parameter}{when}")
        fixed = [f"  {key:<16}{typed(value)}" for key, value in self.fixed.items()]
        grid = ["grid", *("  " + " ".join(f"{k}={v}" for k, v in cell.items()) for cell in self.cells)]
        parts = ["varies", *rows, *(grid if self.cells else []), "fixed", *fixed]
        return "\n".join([f"{self.name}: {self.summary}", *parts])


def _check_kept(key: str, value: Value) -> None:
    """Raise a UserError unless a setting can have the value, as it stands: a space keeps it, and ``"5"`` is not 5."""
    checked = check_value(key, value)
    if isinstance(value, str) and not isinstance(checked, str):
        raise UserError(f'{key} must be {typed(checked)}, got the text "{value}"')


def _reachable(
    parameters: Mapping[str, Parameter], conditions: Mapping[str, Condition]
) -> tuple[dict[str, Parameter], dict[str, Condition]]:
    """What can still take part: not what depends on values that its parent no longer takes, or on a parent gone so."""
    kept: dict[str, Parameter] = {}
    left: dict[str, Condition] = {}
    for key, parameter in parameters.items():  # parents stand before what depends on them
        condition = conditions.get(key)
        if condition is not None:
            possible = ends_of(kept[condition.parent]) if condition.parent in kept else ()
            values = tuple(value for value in condition.values if value in possible)
            if not values:
                continue
            left[key] = Condition(condition.parent, values)
        kept[key] = parameter
    return kept, left


def space_from_json(data: Any) -> Space:
    """The space that :meth:`Space.to_json` described.

    Raises:
        UserError: not such a description.
    """
    try:
        return _described(data)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError, RecursionError) as error:
        raise UserError(f"not a search space: {type(error).__name__} {error}") from None


def _described(data: Any) -> Space:
    parameters: dict[str, Parameter] = {}
    for key, given in data["parameters"].items():
        parameters[key] = _parameter(key, given)
    conditions = {
        key: Condition(str(given["parent"]), tuple(_listed(given["values"])))
        for key, given in data.get("conditions", {}).items()
    }
    return Space(
        _word(data["name"]),
        _word(data.get("summary", "")),
        parameters,
        conditions,
        dict(data.get("fixed", {})),
        tuple(dict(cell) for cell in _listed(data.get("cells", []))),
    )


TAKES = {"choice": "values", **dict.fromkeys(("float", "int"), "low, high and perhaps log")}


def _parameter(key: str, given: Any) -> Parameter:
    kinds = {"choice": {"values"}, "float": {"low", "high", "log"}, "int": {"low", "high", "log"}}
    if not isinstance(given, Mapping) or given.get("kind") not in kinds:
        got = given.get("kind") if isinstance(given, Mapping) else given
        raise UserError(f"parameter {key}: kind must be {', '.join(kinds)}, got {shown(got)}")
    kind = str(given["kind"])
    options = {k: tuple(value) if isinstance(value, list) else value for k, value in given.items() if k != "kind"}
    if not kinds[kind] - {"log"} <= set(options) <= kinds[kind]:
        raise UserError(f"parameter {key}: {kind} takes {TAKES[kind]}, got {', '.join(options) or 'nothing'}")
    try:
        return KINDS[kind](**options)
    except UserError as error:
        raise UserError(f"parameter {key}: {error}") from None


def _word(given: Any) -> str:
    if not isinstance(given, str):
        raise UserError(f"not a search space: its name and summary must be text, got {shown(given)}")
    return given


def _listed(given: Any) -> list[Any] | tuple[Any, ...]:
    """A list; text would be taken apart into its letters."""
    if not isinstance(given, list | tuple):
        raise UserError(f"not a search space: values and cells must be lists, got {shown(given)}")
    return given


def space_from_text(text: str, place: str) -> Space:
    """A space from JSON text; ``place`` names it in errors."""
    try:
        return space_from_json(parse_json(text))
    except UserError as error:
        raise UserError(f"{place}: {error}") from None
    except ValueError as error:
        raise UserError(f"{place}: not JSON ({error})") from None
