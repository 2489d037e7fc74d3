"""Rules for single settings, which turn text or any other value into the setting or into one clear error."""

import re
import reprlib
from collections.abc import Callable
from dataclasses import field
from enum import StrEnum
from typing import Any

from core.errors import UserError

Check = Callable[[str, Any], Any]


def shown(value: Any) -> str:
    """A wrong value for a message: its beginning and its end, where it is long."""
    try:
        return reprlib.repr(value)
    except ValueError:  # Python writes no integer of more than 4300 digits
        return "a number of too many digits"


def _text(value: Any) -> str:
    """The value as text; nothing where it is too long or too deep to be a setting."""
    try:
        return str(value)
    except (ValueError, RecursionError):
        return ""


def whole(low: int, high: int) -> Check:
    """A check for an integer in ``[low, high]``."""

    def check(key: str, value: Any) -> int:
        text = _text(value)
        # Ten digits hold every bound; int() alone would take spaces, underscores and other scripts' digits too.
        if isinstance(value, bool) or not re.fullmatch(r"-?[0-9]{1,10}", text) or not low <= int(text) <= high:
            raise UserError(f"{key} must be an integer from {low} to {high}, got {shown(value)}")
        return int(text)

    return check


def number(low: float, high: float) -> Check:
    """A check for a finite number in ``[low, high]``."""

    def check(key: str, value: Any) -> float:
        try:
            result = float("nan") if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            result = float("nan")
        if not low <= result <= high:  # false for NaN too
            raise UserError(f"{key} must be a number from {low:g} to {high:g}, got {shown(value)}")
        return result

    return check


def one_of(choices: type[StrEnum]) -> Check:
    """A check for a member of an enum, given as the member or its value."""

    def check(key: str, value: Any) -> StrEnum:
        try:
            return choices(value)
        except ValueError:
            raise UserError(f"{key} must be one of {', '.join(choices)}, got {shown(value)}") from None

    return check


def switch(key: str, value: Any) -> bool:
    """A check for a boolean, given as one or as the words true and false."""
    words = {"true": True, "false": False}
    word = _text(value).lower()
    if word not in words:
        raise UserError(f"{key} must be true or false, got {shown(value)}")
    return words[word]


def checked(default: Any, check: Check) -> Any:
    """A dataclass field with its default and the check that any other value must pass."""
    return field(default=default, metadata={"check": check})
