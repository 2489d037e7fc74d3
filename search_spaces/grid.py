"""All the combinations of a space of choices, one after another."""

from collections.abc import Mapping
from typing import Any

from core.errors import UserError
from search_spaces.parameter import Choice
from search_spaces.space import Space

MOST_CELLS = 10**6  # as many as a search may have trials


def grid_of(space: Space) -> list[dict[str, Any]]:
    """The active parameters of every cell, the last parameter varying fastest; or the space's own ``cells``.

    Raises:
        UserError: a parameter is a range, which no grid can exhaust; or there are more than a million cells.
    """
    if space.cells:
        return [dict(cell) for cell in space.cells]
    found: list[dict[str, Any]] = [{}]
    for key, parameter in space.parameters.items():
        if not isinstance(parameter, Choice):
            raise UserError(f"a grid needs choices only; {key} of space {space.name} is a range ({parameter})")
        if sum(len(parameter.values) if space.is_active(key, cell) else 1 for cell in found) > MOST_CELLS:
            raise UserError(f"space {space.name}: a grid must have at most {MOST_CELLS} cells, this has more")
        found = [longer for cell in found for longer in _extended(space, cell, key, parameter)]
    return found


def _extended(space: Space, cell: Mapping[str, Any], key: str, parameter: Choice) -> list[dict[str, Any]]:
    """``cell`` with every value of one more parameter, or as it is where that is inactive."""
    if not space.is_active(key, cell):
        return [dict(cell)]
    return [{**cell, key: value} for value in parameter.values]
