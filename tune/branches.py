"""The branches of a conditional space: trials in which the same parameters are active."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.names import Architecture
from search_spaces.space import Space

ALL_KINDS = "all models"
KIND = "architecture"

Configs = Sequence[Mapping[str, Any]]
"""Of each trial its active parameters."""


@dataclass(frozen=True)
class Branch:
    """Some trials, and what is asked of them."""

    name: str
    rows: tuple[int, ...]
    judged: tuple[str, ...]
    """Parameters that are active in all of the trials and differ among them; not all that are, see below."""


def branches_of(configs: Configs, space: Space) -> list[Branch]:
    """The branches in which trials were drawn, from the widest on.

    A parameter is judged where it has most trials: in all that have it. In a space of several kinds of model, which are
    searched apart, it is also judged for each kind; the kind itself is not, as each has winners of its own.
    """
    kinds = _kinds(configs) if KIND in space.parameters else {}
    root = ALL_KINDS if len(kinds) > 1 else next(iter(kinds), str(space.fixed.get(KIND, "")))
    wide: dict[tuple[int, ...], tuple[str, list[str]]] = {}
    for key in space.parameters:
        rows = tuple(i for i, config in enumerate(configs) if key in config)
        if key != KIND and rows not in kinds.values():
            name = root if len(rows) == len(configs) else _condition(space, key)
            wide.setdefault(rows, (name, []))[1].append(key)
    found = [Branch(name, rows, _varying(configs, rows, keys)) for rows, (name, keys) in wide.items()]
    found += [Branch(kind, rows, _varying(configs, rows, space.parameters)) for kind, rows in kinds.items()]
    return [branch for branch in found if branch.judged]


def _kinds(configs: Configs) -> dict[str, tuple[int, ...]]:
    """Of each kind of model its trials."""
    rows = {str(kind): tuple(i for i, config in enumerate(configs) if config[KIND] == kind) for kind in Architecture}
    return {kind: own for kind, own in rows.items() if own}


def _condition(space: Space, key: str) -> str:
    """When the parameter is active."""
    condition = space.conditions[key]
    values = ", ".join(map(str, condition.values))
    return values if condition.parent == KIND else f"{condition.parent}={values}"


def _varying(configs: Configs, rows: Sequence[int], keys: Iterable[str]) -> tuple[str, ...]:
    return tuple(key for key in keys if varies([configs[i] for i in rows], key))


def varies(configs: Configs, key: str) -> bool:
    """Whether a parameter is active in all of these trials, and not the same in all."""
    return all(key in config for config in configs) and len({config[key] for config in configs}) > 1
