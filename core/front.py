"""What came of a search for two goals: its trials, its retrained winners and the paper's models, as points.

All on validation faces; with folds, trials on those of each. ``gender_ce`` is in nats, ``nme_pct`` in percent of the
inter-ocular distance.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from core.checks import shown
from core.errors import UserError
from core.names import GOALS, MEAN_FACE, TASKS, Architecture
from core.pareto import Point, dominated_by, goals_of_nothing
from core.published import published_goals
from core.run_folder import RunFolder

NAMED = 2  # models of the paper that stand before another one; of more, only how many
PLAIN = tuple(name.removeprefix("val_") for name in GOALS)


@dataclass(frozen=True, eq=False)
class Front:
    """Models with both tasks, a row each."""

    trials: pd.DataFrame
    """``architecture``, both goals, and ``front_rank`` among trials of the same kind of model."""
    winners: pd.DataFrame
    """``model`` (the winner's label), ``architecture``, both goals as means over seeds and their ``_sd``."""
    nothing: Point
    """Both goals of knowing nothing."""
    folds: int = 1
    """Over which the scores of trials are means; with 1, they are of the same validation faces as those of winners."""


def read_front(run: RunFolder, search: Mapping[str, Any]) -> Front:
    """The front of a run that has its winners; ``search`` is its ``search.json``.

    Raises:
        UserError: a file is not what a search for two goals writes.
    """
    nothing = search.get("baseline_validation") or {}
    lacking = [name for name in PLAIN if not 0 < (nothing.get(name) or 0) < math.inf]
    if lacking:
        raise UserError(f"{run.search}: baseline_validation must hold {lacking[0]}, a number above 0")
    try:
        kind = search["plan"]["space"]["fixed"].get("architecture")
    except (KeyError, TypeError, AttributeError):
        raise UserError(f"{run.search}: its plan has no space") from None
    trials = _table(run.trials, numbers=["front_rank", *GOALS])
    if "config.architecture" in trials:
        kind = trials["config.architecture"]
    trials = _both_tasks(trials.assign(architecture=kind), run.trials)
    spreads = [f"{name}_sd" for name in GOALS]
    winners = _table(run.winners, numbers=[*GOALS, *spreads], words=["model", "architecture"])
    winners = _both_tasks(winners[winners["model"] != MEAN_FACE], run.winners)
    return Front(trials.dropna(subset="front_rank"), winners, goals_of_nothing(nothing), _folds(search))


def _folds(search: Mapping[str, Any]) -> int:
    folds = search["plan"].get("folds", 1)
    return folds if isinstance(folds, int) else 1


def _table(path: Path, numbers: Sequence[str], words: Sequence[str] = ()) -> pd.DataFrame:
    """A file's table, whose columns of these names hold numbers from 0 and words; goals without ``val_``."""
    try:
        table = pd.read_csv(path)
        table = table.astype(dict.fromkeys(numbers, "float64") | dict.fromkeys(words, "str"))
        if ((table[[*numbers]] < 0) | (table[[*numbers]] == math.inf)).any(axis=None):
            raise ValueError("a number that is negative or infinite")
    except (OSError, ValueError, TypeError, KeyError, OverflowError) as error:
        reason = " ".join(str(error).split())[:100]
        raise UserError(f"{path}: not the table that a search for two goals writes ({reason})") from None
    return table.rename(columns=lambda name: str(name).removeprefix("val_"))


def _both_tasks(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """The rows of models with both tasks that have a result."""
    unknown = [kind for kind in table["architecture"].dropna().unique() if kind not in list(Architecture)]
    if unknown:
        raise UserError(f"{path}: a model must be one of {', '.join(Architecture)}, got {shown(unknown[0])}")
    both = [str(kind) for kind, tasks in TASKS.items() if len(tasks) == 2]
    return table[table["architecture"].isin(both)].dropna(subset=list(PLAIN)).reset_index(drop=True)


def paper_standing(front: Front) -> list[dict[str, Any]]:
    """The paper's models among all that is shown: ``name``, both goals, and ``behind``, the names of what dominates it.

    Winners stand there by their means over seeds. An empty list is the front.
    """
    paper, rows = published_goals(), []
    for row in paper.to_dict("records"):
        point = (float(row["gender_ce"]), float(row["nme_pct"]))
        beaten = {
            source: table[dominated_by(point, table[list(PLAIN)].to_numpy())]
            for source, table in (("trials", front.trials), ("winners", front.winners), ("paper", paper))
        }
        behind = [str(name) for name in beaten["winners"].get("model", [])]
        trials, others = len(beaten["trials"]), list(beaten["paper"]["name"])
        behind += [f"{trials} trial{'s' if trials > 1 else ''}"] if trials else []
        behind += [f"the paper's {name}" for name in others[:NAMED]]
        behind += [f"{len(others) - NAMED} more of the paper's"] if len(others) > NAMED else []
        rows.append({"name": row["name"], **{name: row[name] for name in PLAIN}, "behind": behind})
    return sorted(rows, key=lambda one: bool(one["behind"]))
