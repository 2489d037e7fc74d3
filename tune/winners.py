"""From trials to winners: the best of each kind of model, retrained with several seeds, ranked by their mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from core.names import MEAN_FACE, Architecture
from core.objective import Objective
from tune.ledger import Entry, Ledger, Status
from tune.plan import Plan
from tune.recorded_curves import METRIC_COLUMNS
from tune.study import Sampler

CHANCE, IN_RACE = "probability_best", "probability_in_race"
FRONT_CHANCE = "probability_front"  # with two goals: that no other winner of its kind is better


@dataclass(frozen=True)
class Candidate:
    """One configuration to retrain."""

    label: str
    """Name of its folder: the kind of model, with its rank in the search from the second on."""
    architecture: Architecture
    trial: int
    config: Mapping[str, Any]
    """All settings, fixed ones included."""
    raced: float | None = None
    """The probability of being the best of those that it raced with, where there was a race."""


def ranked(ledger: Ledger, plan: Plan) -> list[Entry]:
    """Trials, best first by what the plan ranks by, each at its best epoch.

    Of a grid, the first trial of each cell, the cells ranked by their mean over replicates: those that failed or were
    cut off in more of them rank behind.
    """
    entries = ledger.ranked(plan.ranking())
    if plan.sampler is not Sampler.GRID:
        return entries
    cells: dict[int, list[Entry]] = {}
    for entry in sorted(entries, key=lambda entry: entry.number):
        if entry.status is Status.FINISHED:
            cells.setdefault(entry.number % plan.cells(), []).append(entry)

    def place(cell: int) -> tuple[int, float, int]:
        costs = [plan.ranking().cost(entry.best(plan.aim())) for entry in cells[cell]]
        return -len(costs), sum(costs) / len(costs), cell

    return [cells[cell][0] for cell in sorted(cells, key=place)]


def choose(best_first: Sequence[Entry], fixed: Mapping[str, Any], top_k: int) -> list[Candidate]:
    """The best ``top_k`` trials of each kind of model; ``best_first`` as :func:`ranked` gives them."""
    found: dict[Architecture, list[Candidate]] = {}
    for entry in best_first:
        config = {**fixed, **entry.config}
        kind = Architecture(config["architecture"])
        rank = len(found.setdefault(kind, [])) + 1
        if rank <= top_k:
            label = str(kind) if rank == 1 else f"{kind}-{rank}"
            found[kind].append(Candidate(label, kind, entry.number, config))
    return [candidate for kind in Architecture for candidate in found.get(kind, [])]


def winners_table(
    candidates: Sequence[Candidate],
    best: Mapping[str, Sequence[Mapping[str, Any]]],
    objective: Objective,
    baseline: Mapping[str, float],
    chances: Mapping[str, float],
    chance: str = CHANCE,
    judged: bool = False,
) -> pd.DataFrame:
    """``winners.csv``: a row a candidate, ranked within its kind of model by the mean objective over seeds, those last
    of which a retraining failed; and a last row with what knowing nothing scores.

    Args:
        candidates: best first within each kind of model.
        best: metrics of the best epoch of each seed, by label.
        baseline: scores of the mean face and the share of men, without ``val_``.
        chances: of being the best, by label, of those that there is something to compare with.
        chance: the column where they stand.
        judged: whether candidates were told apart by folds, which know more than the one validation part that they
            were retrained for: then they stay in their order.
    """
    rows = [_row(one, best[one.label], chance, chances.get(one.label)) for one in candidates]
    table = pd.DataFrame(rows)
    table["cost"] = [objective.cost(row) for row in rows]
    table["order"] = range(len(rows)) if judged else table["cost"]
    table["failed"] = table["seeds"].max() - table["seeds"]  # one lucky survivor must not win
    table = table.sort_values(["architecture", "failed", "order"], kind="stable")
    table.insert(1, "rank", table.groupby("architecture").cumcount() + 1)
    table = table.sort_values(["rank", "cost"], kind="stable").reset_index(drop=True)
    table = table.drop(columns=["cost", "order", "failed"])
    nothing = {name: baseline[key] for name in METRIC_COLUMNS if (key := name.removeprefix("val_")) in baseline}
    table = table.astype({"rank": "Int64", "trial": "Int64", "seeds": "Int64"})
    return pd.concat([table, pd.DataFrame([{"model": MEAN_FACE, **nothing}])], ignore_index=True)


def _row(candidate: Candidate, best: Sequence[Mapping[str, Any]], chance: str, value: float | None) -> dict[str, Any]:
    """A candidate's means over seeds and their spread; ``value`` stands in the column ``chance``."""
    runs = pd.DataFrame([dict(row) for row in best])
    measured = [name for name in ("epoch", *METRIC_COLUMNS) if name in runs]
    spread = runs[measured].std(ddof=1) if len(runs) > 1 else runs[measured].iloc[0] * float("nan")
    row: dict[str, Any] = {
        "model": candidate.label,
        "architecture": str(candidate.architecture),
        "trial": candidate.trial,
        "seeds": len(runs),
        chance: value,
    }
    if candidate.raced is not None:
        row[IN_RACE] = candidate.raced
    for name in ("epoch", *METRIC_COLUMNS):
        row["best_epoch" if name == "epoch" else name] = runs[name].mean() if name in measured else None
        row["best_epoch_sd" if name == "epoch" else f"{name}_sd"] = spread[name] if name in measured else None
    return row | {f"config.{key}": value for key, value in candidate.config.items()}
