"""JSON from files that anybody may have edited: a value, or one clear reason why not."""

import json
from pathlib import Path
from typing import Any

from core.errors import UserError


def parse_json(text: str) -> Any:
    """The value of JSON text; a byte order mark before it is skipped.

    Raises:
        ValueError: not JSON, a key given twice, nested too deeply, or a number of too many digits.
    """
    try:
        return json.loads(text.removeprefix("\ufeff"), object_pairs_hook=_without_repeats)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_json(path: Path) -> Any:
    """The value of a JSON file.

    Raises:
        UserError: it cannot be read, or :func:`parse_json` refuses it.
    """
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:  # also of bytes that are not UTF-8
        raise UserError(f"{path}: not JSON ({error})") from None


def is_number(value: object) -> bool:
    """Whether a JSON value is a number; JSON's true and false are integers to Python."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"key {key!r} is given twice")
        found[key] = value
    return found
