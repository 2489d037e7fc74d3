"""Recorded configurations, as replays meet them, and how far apart two of them are."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.learning_curves import JOINT_KIND, PAPER_KIND
from core.errors import UserError
from search_spaces.joint import JOINT
from search_spaces.parameter import Choice, Int


@dataclass(frozen=True, eq=False)
class Recorded:
    """What was recorded of one configuration, or of one row of the paper's tables."""

    parameters: dict[str, Any]
    architecture: str
    seconds: float
    """Of an epoch: the median over epochs, of the fastest seed, because other work can only slow one down."""
    curves: list[NDArray[np.float64]]
    """Relative error by epoch, a curve a seed; shorter where the training diverged."""


def read_curves(path: Path) -> tuple[list[Recorded], dict[int, list[Recorded]]]:
    """The recorded configurations of ``joint``; and of each seed of the paper's search its rows in order.

    Raises:
        UserError: no such file, or it holds no curves.
    """
    if not path.is_file():
        raise UserError(f"{path}: no curves here; python -m benchmarks.learning_curves records them")
    try:
        table = pd.read_csv(path)
        joint, paper = (table[table["kind"] == kind] for kind in (JOINT_KIND, PAPER_KIND))
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path}: not a file that benchmarks.learning_curves wrote ({error})") from None
    if joint.empty or paper.empty:
        raise UserError(f"{path}: must hold curves of joint and of the paper's search (benchmarks.learning_curves)")
    configurations = [_recorded(rows) for _, rows in joint.groupby("number", sort=True)]
    searches = {
        int(str(seed)): [_recorded(rows.iloc[[i]]) for i in range(len(rows))]
        for seed, rows in paper.sort_values(["table", "number"]).groupby("seed")
    }
    return configurations, searches


def _recorded(rows: pd.DataFrame) -> Recorded:
    settings = rows.iloc[0].filter(like="config.").dropna()
    epochs = [name for name in rows.columns if name.startswith("e") and name[1:].isdigit()]
    curves = [row.dropna().to_numpy(dtype=float) for _, row in rows[epochs].iterrows()]
    parameters = {str(name).removeprefix("config."): value for name, value in settings.items()}
    # A column that is empty elsewhere holds whole numbers as decimals.
    whole = [key for key in parameters if isinstance(JOINT.parameters.get(key), Int)]
    return Recorded(
        parameters={**parameters, **{key: int(parameters[key]) for key in whole}},
        architecture=str(rows.iloc[0]["architecture"]),
        seconds=float(rows["seconds_per_epoch"].min()) if rows["seconds_per_epoch"].notna().any() else 0.0,
        curves=curves,
    )


def distance(a: Mapping[str, Any], b: Mapping[str, Any]) -> float:
    """Between two configurations of ``joint``, infinite between architectures.

    Each parameter counts as it is drawn (its logarithm where that is drawn evenly) over its range; choices that
    differ, and parameters that only one of them has, count 1.
    """
    if a["architecture"] != b["architecture"]:
        return math.inf
    total = 0.0
    for key, parameter in JOINT.parameters.items():
        if key not in a and key not in b:
            continue
        if key not in a or key not in b or isinstance(parameter, Choice):
            total += float(a.get(key) != b.get(key))
            continue
        scale: Callable[[float], float] = math.log if parameter.log else float
        total += ((scale(a[key]) - scale(b[key])) / (scale(parameter.high) - scale(parameter.low))) ** 2
    return total
