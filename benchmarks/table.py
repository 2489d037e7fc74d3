"""Measurements as rows: a median with its spread, and aligned tables to read on a screen."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

Row = dict[str, Any]


def spread(name: str, values: Sequence[float]) -> Row:
    """The median of ``values`` under ``name``, and from where to where they reach."""
    return {name: statistics.median(values), f"{name}_min": min(values), f"{name}_max": max(values)}


def medians(rows: Sequence[Row], spread_of: Sequence[str]) -> Row:
    """Repeats of one measurement as one row: medians of its numbers, with spread where asked; words as they are."""
    merged: Row = {}
    for name, first in rows[0].items():
        values = [row[name] for row in rows]
        if name in spread_of:
            merged |= spread(name, values)
        else:
            merged[name] = first if isinstance(first, str) else statistics.median(values)
    return merged | {"repeats": len(rows)}


def text_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Some columns as aligned text; a column with a spread reads ``median (lowest to highest)``."""
    cells = [list(columns), *([_cell(row, name) for name in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(cell.rjust(w) for cell, w in zip(line, widths, strict=True)) for line in cells)


def _cell(row: Mapping[str, Any], name: str) -> str:
    low, high = row.get(f"{name}_min"), row.get(f"{name}_max")
    around = "" if low is None or low == high else f" ({_digits(low)} to {_digits(high)})"
    return _digits(row.get(name)) + around


def _digits(value: Any) -> str:
    """Three digits, and all of them before the point."""
    if value is None:
        return "-"
    if not isinstance(value, float) or value == 0:
        return str(value)
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
