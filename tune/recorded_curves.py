"""``curves.csv``: a line for each epoch of each trial, appended as they come, read back when a search is resumed."""

import csv
import math
import re
from pathlib import Path
from typing import Any

from core.checks import shown
from core.errors import UserError
from core.names import METRICS, RELATIVE_ERROR

METRIC_COLUMNS = (*(f"val_{name}" for name in METRICS if name != RELATIVE_ERROR), RELATIVE_ERROR)
CURVE_COLUMNS = ("trial", "epoch", "train_loss", *METRIC_COLUMNS, "seconds_per_epoch")
NEEDED = ("trial", "epoch", "seconds_per_epoch")  # a metric may be empty: the model lacks its task


def read_curves(path: Path) -> list[dict[str, Any]]:
    """Every epoch of the file but a last line that was cut off: ``trial`` and ``epoch`` whole, the rest as numbers.

    Raises:
        UserError: the file, its line, and the rule that it breaks.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: must be UTF-8 text ({error})") from None
    header, *lines = text[: text.rfind("\n") + 1].replace("\r\n", "\n").split("\n")
    columns = _values(header, f"{path}, line 1")
    lacking = [name for name in NEEDED if name not in columns]
    if lines and (lacking or len(set(columns)) < len(columns)):
        raise UserError(f"{path}, line 1: must name each column once, {', '.join(NEEDED)} among them")
    return [_epoch(columns, line, f"{path}, line {number}") for number, line in enumerate(lines[:-1], 2)]


def _values(line: str, place: str) -> list[str]:
    try:
        return next(csv.reader([line], strict=True), [])
    except csv.Error as error:
        raise UserError(f"{place}: must be comma-separated ({error})") from None


def _epoch(columns: list[str], line: str, place: str) -> dict[str, Any]:
    values = _values(line, place)
    if len(values) != len(columns):
        raise UserError(f"{place}: must hold {len(columns)} values, got {len(values)}")
    row: dict[str, Any] = {}
    for name, text in zip(columns, values, strict=True):
        if text or name in NEEDED:
            row[name] = _whole(text) if name in ("trial", "epoch") else _number(text)
            if row[name] is None:
                raise UserError(f"{place}: {name} must be a {_KIND.get(name, 'finite number')}, got {shown(text)}")
    return row


_KIND = {"trial": "whole number", "epoch": "whole number"}


def _whole(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text) else None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
