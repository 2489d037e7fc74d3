"""A search's outcome as a table on the screen."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from core.names import GOALS, TASKS, Architecture
from search_spaces.parts import PARTS
from tune.plan import Plan
from tune.study import Sampler
from tune.verdict import verdict

CHOICES = ("optimizer", "lr", "landmark_loss", "lambda1", "lambda2", "d_k")
SHOWN = ("relative_error", "val_gender_auc", "val_gender_accuracy", "val_nme_pct", "val_fr10_pct")


def planned(plan: Plan) -> str:
    """How much is trained: trials, a race, and winners."""
    trials = (
        f"{plan.trials} trial{'s' if plan.trials > 1 else ''} of {plan.epochs} epoch{'s' if plan.epochs > 1 else ''}"
    )
    kinds = len(plan.architectures()) * plan.top_k
    winners = f"the best of each of {kinds} kinds of model" if kinds > 1 and plan.top_k == 1 else f"{kinds} of them"
    stopped = "" if plan.sampler is Sampler.GRID or plan.grace >= plan.epochs else ", most stopped before"
    race = f"; then a race of {plan.race} leaders" if plan.race else ""
    return f"{trials}{stopped}{race}; then {winners} anew: {plan.retrain_epochs} epochs, {plan.retrain_seeds} seeds"


def print_winners(
    winners: pd.DataFrame, plan: Plan, faces: int, trials: Mapping[str, int], decided: Sequence[str]
) -> None:
    """Validation scores of the winners as mean +- spread over seeds, beside what knowing nothing scores, and what that
    decides; ``faces`` are in validation, ``trials`` of each kind have a result, ``decided`` is what a race said.
    """
    epochs, seeds = plan.retrain_epochs, plan.retrain_seeds
    trained = f"{epochs} epoch{'s' if epochs > 1 else ''}"
    spread = f"mean +- standard deviation over {seeds} seeds" if seeds > 1 else "one seed"
    print(f"\nwinners, retrained for {trained}: {spread}, at the best epoch by {faces} validation faces:")
    shown = (SHOWN[0], *GOALS, *SHOWN[1:3]) if plan.two_goals else SHOWN
    header = ["model", *(name.removeprefix("val_") for name in shown), "settings"]
    varied = [key for key in (*CHOICES, *PARTS) if key in plan.search_space().parameters]
    rows = [[str(w["model"]), *(_cell(w, name) for name in shown), _settings(w, varied)] for _, w in winners.iterrows()]
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


def _cell(row: Any, name: str) -> str:
    value, spread = row.get(name), row.get(f"{name}_sd")
    if value is None or pd.isna(value):
        return "-"
    return f"{value:.3f}" + ("" if spread is None or pd.isna(spread) else f" +- {spread:.3f}")


def _settings(row: Any, varied: Sequence[str]) -> str:
    """What the search chose for this winner, of what it ``varied``."""
    found = {key: row.get(f"config.{key}") for key in varied}
    return " ".join(
        f"{key}={value:.3g}" if isinstance(value, float) else f"{key}={value}"
        for key, value in found.items()
        if value is not None and not pd.isna(value)
    )
