"""What one parameter may be: a number between inclusive bounds, or one of some values."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from core.checks import shown
from core.errors import UserError
from core.json_text import is_number

Value = str | int | float | bool


def typed(value: Value) -> str:
    """A value as a user types it: ``true`` and ``false`` as in JSON."""
    text = str(value)
    return text.lower() if text in ("True", "False") else text  # numpy's too, as tables hold them


@dataclass(frozen=True)
class Float:
    """A real number from ``low`` to ``high``, both included; ``log`` draws its logarithm evenly."""

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        _check_bounds(self.low, self.high, self.log)
        object.__setattr__(self, "low", float(self.low))  # JSON writes 1.0 as 1
        object.__setattr__(self, "high", float(self.high))

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}{', log' if self.log else ''}"


@dataclass(frozen=True)
class Int:
    """A whole number from ``low`` to ``high``, both included; ``log`` draws its logarithm evenly."""

    low: int
    high: int
    log: bool = False

    def __post_init__(self) -> None:
        _check_bounds(self.low, self.high, self.log)

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low} to {self.high}, whole{', log' if self.log else ''}"


@dataclass(frozen=True)
class Choice:
    """One of some values."""

    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.values, tuple):
            raise UserError(f"a choice needs a list of values, got {shown(self.values)}")
        if len(self.values) == 0 or len(set(self.values)) < len(self.values):
            raise UserError(f"a choice needs values that differ, got {shown(list(self.values))}")

    def __contains__(self, value: object) -> bool:
        return value in self.values

    def __str__(self) -> str:
        return ", ".join(map(typed, self.values))


Parameter = Float | Int | Choice
KINDS: dict[str, Callable[..., Parameter]] = {"float": Float, "int": Int, "choice": Choice}


def ends_of(parameter: Parameter) -> tuple[Value, ...]:
    """All values of a choice; of a range its two ends."""
    return parameter.values if isinstance(parameter, Choice) else (parameter.low, parameter.high)


def _check_bounds(low: float, high: float, log: bool) -> None:
    if not all(is_number(bound) and math.isfinite(bound) for bound in (low, high)):
        raise UserError(f"bounds must be finite numbers, got {shown(low)} and {shown(high)}")
    if not isinstance(log, bool):
        raise UserError(f"log must be true or false, got {shown(log)}")
    if low >= high or (log and low <= 0):
        raise UserError(f"bounds must rise{' from above 0' if log else ''}, got {shown(low)} to {shown(high)}")
