"""A search's outcome as a table on the screen."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from core.names import GOALS, TASKS, Architecture
from search_spaces.landmarks import REGRESSION
from search_spaces.parameter import typed
from search_spaces.parts import LAMBDAS, PARTS
from tune.branches import KIND
from tune.plan import Plan
from tune.study import Sampler
from tune.verdict import verdict

CHOICES = ("optimizer", "lr", *REGRESSION, *LAMBDAS, "d_k")
SHOWN = ("relative_error", "val_gender_auc", "val_gender_accuracy", "val_nme_pct", "val_fr10_pct")


def planned(plan: Plan) -> str:
    """How much is trained: trials, a race, and winners."""
    whole = plan.sampler is Sampler.GRID or plan.grace >= plan.epochs
    trials = f"{_count(plan.trials, 'trial')} of {'' if whole else 'up to '}{_count(plan.epochs, 'epoch')}"
    kinds = len(plan.architectures())
    of_each = f" of each of {kinds} kinds of model" if kinds > 1 else ""
    race = ""
    if plan.race:
        rounds = f"up to {_count(plan.race_rounds, 'round')} on {plan.all_folds()} folds"
        race = f"; a race of {plan.race} leaders{of_each}, {rounds}"
    best = "the best" if plan.top_k == 1 else f"the {plan.top_k} best"
    again = f"{_count(plan.retrain_epochs, 'epoch')} with {_count(plan.retrain_seeds, 'seed')}"
    return f"{trials}{race}; then {best}{of_each} retrained: {again}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def print_winners(
    winners: pd.DataFrame, plan: Plan, faces: int, trials: Mapping[str, int], decided: Sequence[str]
) -> None:
    """Validation scores of the winners as mean +- spread over seeds, beside what knowing nothing scores, and what that
    decides; ``faces`` are in validation, ``trials`` of each kind have a result, ``decided`` is what a race said.
    """
    seeds, trained = int(winners["seeds"].max()), _count(plan.retrain_epochs, "epoch")
    spread = f"mean +- standard deviation over {seeds} seeds" if seeds > 1 else "one seed"
    print(f"\nwinners, retrained for {trained}: {spread}, at the best epoch by {faces} validation faces:")
    shown = (SHOWN[0], *GOALS, *SHOWN[1:3]) if plan.two_goals else SHOWN
    header = ["model", *(name.removeprefix("val_") for name in shown), "settings"]
    parameters = [key for key in plan.search_space().parameters if key != KIND]  # which model it is stands in front
    varied = sorted(parameters, key=[*CHOICES, *PARTS, *parameters].index)
    rows = [[_model(w, seeds), *(_cell(w, key) for key in shown), _settings(w, varied)] for _, w in winners.iterrows()]
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    for row in [header, *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    if (
        len({TASKS[Architecture(str(kind))] for kind in winners["architecture"].dropna()}) > 1
        and "relative_error" in shown
    ):
        print("(relative_error compares models of the same tasks only)")
    sentences = [*decided, *verdict(winners, plan, faces, trials)]
    print("", *sentences, *([""] if sentences else []), sep="\n", flush=True)


def _model(row: Any, seeds: int) -> str:
    """A winner's name, with how many seeds there are of it where others have more."""
    fewer = not pd.isna(row["seeds"]) and row["seeds"] < seeds
    return f"{row['model']} ({row['seeds']} of {seeds} seeds)" if fewer else str(row["model"])


def _cell(row: Any, name: str) -> str:
    value, spread = row.get(name), row.get(f"{name}_sd")
    if value is None or pd.isna(value):
        return "-"
    return f"{value:.3f}" + ("" if spread is None or pd.isna(spread) else f" +- {spread:.3f}")


def _settings(row: Any, varied: Sequence[str]) -> str:
    """What the search chose for this winner, of what it ``varied``."""
    found = {key: row.get(f"config.{key}") for key in varied}
    return " ".join(
        f"{key}={value:.3g}" if isinstance(value, float) else f"{key}={typed(value)}"
        for key, value in found.items()
        if value is not None and not pd.isna(value)
    )
