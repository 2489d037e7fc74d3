"""Which choices of a search mattered: its trials compared branch by branch of the space, and what that says.

Trials are stopped after different numbers of epochs, so all are compared by their best of as many as nearly all had.
They are ranked, each among those of its own run and kind of model, because that is what a search does with them, and
ranks need no unit. Trials that diverged are the last; trials that failed otherwise say nothing and are left out.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from core.atomic import write_text
from core.errors import UserError
from core.importance_table import COLUMNS, DRAWN, FOLLOWING, INDEPENDENTLY, SHARES, Verdict, verdict
from core.metrics import Floats
from core.patience import HASTE, Patience
from core.run_folder import RunFolder
from core.seeds import derived_seed
from core.session import DivergedError
from core.variance_shares import choice_columns, holm, numeric_columns, shares
from search_spaces.parameter import Choice
from search_spaces.space import Space
from tune.branches import KIND, Branch, branches_of, varies
from tune.ledger import Entry, Status
from tune.plan import Plan
from tune.study import Sampler

FEWEST = 12  # trials of a branch,
FEWEST_A_COLUMN = 3  # and for each column of a parameter
MANY_A_COLUMN = 5  # for each column of all parameters, before one of them is said to matter little
MOST = 5000  # trials that are looked at: more would make no interval narrower that anybody reads
NEARLY_ALL = 0.9  # of the trials: who have had the epochs after which they are compared


@dataclass(frozen=True)
class Result:
    """One trial, as it is compared."""

    config: Mapping[str, Any]
    group: str
    """Those whom it is ranked among."""
    cost: float
    """What is minimised; infinite if it diverged."""


def write_importance(run: RunFolder, plan: Plan, entries: Iterable[Entry], patience: Patience = HASTE) -> pd.DataFrame:
    """Write ``importance.csv`` of a finished search, and return it; a grid has none, and gets an empty table.

    Raises:
        UserError: storage took nothing for too long.
    """
    if plan.sampler is Sampler.GRID:  # its few rows are compared by their replicates
        return pd.DataFrame(columns=list(COLUMNS))
    table = importance_of([(plan, entries)])
    patience(lambda: write_text(run.importance, table.to_csv(index=False)), run.importance)
    return table


def importance_of(runs: Sequence[tuple[Plan, Iterable[Entry]]]) -> pd.DataFrame:
    """The importance of every parameter in every branch, of one run or of several together.

    Args:
        runs: that :func:`check_alike` has found to be alike.
    """
    plan = runs[0][0]
    known = [(number, entry) for number, (_, entries) in enumerate(runs) for entry in entries if _counts(entry)]
    epochs = common_epochs([len(entry.curve) for _, entry in known if not _diverged(entry)])
    results = [
        _result(entry, plan, epochs, f"run {number}, ")
        for number, entry in known
        if _diverged(entry) or len(entry.curve) >= epochs
    ]
    table = importance_table(results, plan.search_space(), epochs, plan.ranking().name, plan.verdict_seed())
    table[DRAWN] = FOLLOWING if any(map(_follow_others, (one for one, _ in runs))) else INDEPENDENTLY
    return table


def _follow_others(plan: Plan) -> bool:
    """Whether some trials were drawn after what others had shown."""
    return plan.sampler is Sampler.TPE or plan.prior is not None or bool(plan.warm_start)


def check_alike(plans: Mapping[str, Plan]) -> None:
    """Raise a UserError unless runs, by name, can be looked at together: they ask one question of one space.

    With the same seed two searches draw the same trials, which would then count as twice as many.
    """
    (first, one), *others = plans.items()
    for name, plan in plans.items():
        if plan.sampler is Sampler.GRID:
            raise UserError(f"{name}: a grid, whose rows trials.csv compares; importance is for drawn trials")
    for name, other in others:
        for what, a, b in zip(("space", "objective"), _question(one), _question(other), strict=True):
            if a != b:
                raise UserError(f"{name}: must have the {what} of {first} to be looked at together")
    by_seed: dict[int, str] = {}
    for name, plan in plans.items():
        same = by_seed.setdefault(plan.seed, name)
        if same != name:
            raise UserError(f"{name}: must have another --seed than {same}, whose trials it has drawn again")


def _question(plan: Plan) -> tuple[object, object]:
    space = plan.search_space()
    return (space.parameters, space.conditions, space.fixed.get(KIND)), (plan.objective, plan.ranking().name)


def _counts(entry: Entry) -> bool:
    return _diverged(entry) or (bool(entry.curve) and entry.status is not Status.FAILED)


def _diverged(entry: Entry) -> bool:
    return entry.status is Status.FAILED and entry.reason.startswith(DivergedError.__name__)


def _result(entry: Entry, plan: Plan, epochs: int, group: str) -> Result:
    group += str({**plan.search_space().fixed, **entry.config}[KIND])
    if _diverged(entry):
        return Result(entry.config, group, math.inf)
    best = min(entry.curve[:epochs], key=plan.aim().cost)
    return Result(entry.config, group, plan.ranking().cost(best))


def common_epochs(lengths: Sequence[int]) -> int:
    """The most epochs that nearly all trials have had; 0 without trials."""
    return int(np.quantile(lengths, 1 - NEARLY_ALL, method="lower")) if lengths else 0


def importance_table(results: Sequence[Result], space: Space, epochs: int, objective: str, seed: int) -> pd.DataFrame:
    """A row for each parameter in each branch of ``space``, with the columns of :mod:`core.importance_table`, as of
    trials that were drawn independently.

    Args:
        epochs: after which trials are compared; ``objective``: the metric by which they are. Both are only said.
        seed: of permutations and resamples.
    """
    rows: list[dict[str, Any]] = []
    results = _chosen(results, seed)
    ranks_N = _ranks(results)
    for number, branch in enumerate(branches_of([result.config for result in results], space)):
        own = [results[i] for i in branch.rows]
        diverged = sum(math.isinf(result.cost) for result in own)
        common = {"branch": branch.name, "trials": len(own), "diverged": diverged}
        common |= {"epochs": epochs, DRAWN: INDEPENDENTLY, "objective": objective}
        found = _judged(branch, own, ranks_N[list(branch.rows)], space, derived_seed(seed, number))
        rows += [{**common, "parameter": key, **found[key]} for key in branch.judged]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _chosen(results: Sequence[Result], seed: int) -> Sequence[Result]:
    if len(results) <= MOST:
        return results
    return [results[i] for i in np.sort(np.random.default_rng(seed).choice(len(results), MOST, replace=False))]


def _ranks(results: Sequence[Result]) -> Floats:
    """Ranks of trials among their own, between 0 (best) and 1; ties share theirs."""
    groups = np.array([result.group for result in results])
    costs_N = np.array([result.cost for result in results])
    ranks_N = np.empty(len(results))
    for group in set(groups.tolist()):
        own_N = groups == group
        ranks_N[own_N] = (rankdata(costs_N[own_N]) - 0.5) / own_N.sum()
    return ranks_N


def _judged(
    branch: Branch, results: Sequence[Result], ranks_N: Floats, space: Space, seed: int
) -> dict[str, dict[str, Any]]:
    """Shares, chances and verdicts of a branch's parameters, by name."""
    configs = [result.config for result in results]
    inputs = {
        key: columns_of(space, key, [config[key] for config in configs])
        for key in space.parameters
        if varies(configs, key)
    }
    least = {key: max(FEWEST, FEWEST_A_COLUMN * columns.shape[1]) for key, columns in inputs.items()}
    enough = [key for key in branch.judged if len(results) >= least[key] and np.ptp(ranks_N) > 0]
    found = shares(inputs, ranks_N, enough, seed) if enough else {}
    rows: dict[str, dict[str, Any]] = {key: {"verdict": str(Verdict.FEW)} for key in branch.judged}
    many = len(results) >= MANY_A_COLUMN * sum(columns.shape[1] for columns in inputs.values())
    for key, chance in zip(enough, holm([found[key].chance for key in enough]), strict=True):
        numbers = dict(zip(SHARES, (*found[key].alone, *found[key].total), strict=True))
        rows[key] = {**numbers, "chance": chance, "verdict": str(verdict(found[key], chance, many))}
    return rows


def columns_of(space: Space, key: str, values: Sequence[Any]) -> Floats:
    """A parameter's values (N,) as columns (N, D), on the scale on which they are drawn."""
    parameter = space.parameters[key]
    if isinstance(parameter, Choice):
        return choice_columns(values)
    numbers_N = np.array(values, dtype=float)
    return numeric_columns(np.log(numbers_N) if parameter.log else numbers_N)
