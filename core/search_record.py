"""What must be true of ``search.json``, which anybody may have edited, for the rest to rely on it."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from core.checks import shown
from core.errors import UserError
from core.json_text import is_number
from core.names import Precision

Rule = tuple[Callable[[Any], bool], str]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_workers(value: Any) -> bool:
    if not isinstance(value, Mapping):
        return False
    count, gpus = value.get("count"), value.get("gpus")
    return isinstance(count, int) and is_number(count) and is_number(gpus) and math.isfinite(gpus or 0)


def _is_scores(value: Any) -> bool:
    return value is None or (isinstance(value, Mapping) and all(map(is_number, value.values())))


TEXT: Rule = (_is_text, "text")
WRITTEN: Mapping[str, Rule] = {
    "plan": (lambda value: isinstance(value, Mapping), "a mapping"),
    "workers": (_is_workers, "a mapping with count, an integer, and gpus, a number"),
    "precision": (lambda value: value in list(Precision), f"one of {', '.join(Precision)}"),
    "data_fingerprint": TEXT,
    "split_fingerprint": TEXT,
    "weights_sha256": TEXT,
}
"""What every ``search.json`` holds, among other things."""
SOMETIMES: Mapping[str, Rule] = {
    "weights": TEXT,
    "command": TEXT,
    "cache": (lambda value: value is None or isinstance(value, str), "text, or nothing"),
    "time_is_up": (is_number, "a number"),
    "trial_timeout": (lambda value: value is None or is_number(value), "a number, or nothing"),
    "baseline_validation": (_is_scores, "a mapping from metrics to numbers"),
}


def is_replication(record: Mapping[str, Any]) -> bool:
    """Whether a run is one of the whole paper, whose steps are runs."""
    return "paper" in record["plan"]


def check_search_record(data: Any, place: str) -> dict[str, Any]:
    """``data`` itself, after checking what this version of Tandem reads of it; ``place`` names the file in errors.

    Raises:
        UserError: a value is missing or of another kind.
    """
    missing = [key for key in WRITTEN if not isinstance(data, dict) or key not in data]
    if missing:
        raise UserError(f"{place}: not written by a search (no {missing[0]!r} in it)")
    for key, (holds, rule) in {**WRITTEN, **SOMETIMES}.items():
        if key in data and not holds(data[key]):
            raise UserError(f"{place}: {key} must be {rule}, got {shown(data[key])}")
    return dict(data)
