"""The paper's six tables again: mean and spread over our seeds beside the paper's single value, metric by metric."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from core.curves import operating_area99
from core.final_test import Tested
from core.metrics import Truth, distance_pct
from core.names import AREA99, MEAN_FACE
from core.published import published_steps, published_table

CHOICES: dict[int, tuple[str, ...]] = {
    1: ("optimizer",),
    2: ("landmark_loss",),
    3: ("lambda1", "lambda2"),
    4: ("d_k",),
    5: ("architecture",),
    6: ("architecture",),
}
"""What tells the rows of each table apart."""

BESIDE = ("fr10_face_pct", "ced_auc100", "ced_auc10")
"""Metrics that the paper lacks, beside its own."""

MACHINE = "inference_ms"  # says more of the machine than of the model, so it is inside or outside of nothing


def paper_metrics(number: int) -> list[str]:
    """The metrics of one of the paper's tables, in its order."""
    return [str(name) for name in published_table(number).columns.drop(list(CHOICES[number]))]


def seeds_of(number: int, paper: Mapping[Any, Any], runs: pd.DataFrame) -> pd.DataFrame:
    """Those of ``runs`` that made the choice of one of the paper's rows."""
    keys = list(CHOICES[number])
    return runs[(runs[keys] == [paper[key] for key in keys]).all(axis=1)]


def replicated_table(number: int, runs: pd.DataFrame, baseline: Mapping[str, float]) -> pd.DataFrame:
    """One table with a row for each of the paper's rows and a last one for knowing nothing.

    Args:
        runs: a row for each choice and seed: the columns of ``CHOICES[number]``, metrics as in ``core.names``, and, if
            not in all it is, ``papers_loss``: whether its loss has the unit of the paper's.
        baseline: metrics of the mean face and the share of men.

    Returns:
        The choice, ``seeds``, and for each metric its mean over seeds, ``_sd``, ``_min`` and ``_max``; for the
        paper's metrics also ``paper_<metric>`` and ``paper_<metric>_inside``: whether the paper's value, as exact as
        it is printed, lies from our smallest to our largest (empty where one of them is missing, or has another unit).
    """
    keys, metrics = list(CHOICES[number]), paper_metrics(number)
    steps = published_steps(number)
    shown = [*metrics, *(name for name in BESIDE if name in runs and runs[name].notna().any())]
    rows: list[dict[str, Any]] = []
    for paper in published_table(number).to_dict("records"):
        ours = seeds_of(number, paper, runs)
        row: dict[str, Any] = {**{key: paper[key] for key in keys}, "seeds": len(ours)}
        for name in shown:
            values = ours[name].dropna() if name in ours else pd.Series(dtype=float)
            row |= _spread(name, values) if name != MACHINE else {name: values.mean() if len(values) else None}
            if name in metrics:
                row |= _beside(name, values, float(paper[name]), steps[name] / 2)
            if name == "loss" and "papers_loss" in ours and not ours["papers_loss"].all():
                row["paper_loss_inside"] = None  # no value of another unit lies in or out of a range
        rows.append(row)
    nothing = {name: baseline[name] for name in shown if name in baseline}
    table = pd.concat([pd.DataFrame(rows), pd.DataFrame([{keys[0]: MEAN_FACE, **nothing}])], ignore_index=True)
    return table.astype({"seeds": "Int64"})


def _spread(name: str, values: "pd.Series[float]") -> dict[str, Any]:
    if values.empty:
        return dict.fromkeys([name, f"{name}_sd", f"{name}_min", f"{name}_max"])
    spread = values.std(ddof=1) if len(values) > 1 else None
    return {name: values.mean(), f"{name}_sd": spread, f"{name}_min": values.min(), f"{name}_max": values.max()}


def _beside(name: str, values: "pd.Series[float]", paper: float, tolerance: float) -> dict[str, Any]:
    inside = None
    if len(values) > 1 and not pd.isna(paper) and name != MACHINE:  # one value has no range
        # What is a hair beyond the rounding is the rounding's own binary fraction.
        inside = bool(values.min() - 1.001 * tolerance <= paper <= values.max() + 1.001 * tolerance)
    return {f"paper_{name}": None if pd.isna(paper) else paper, f"paper_{name}_inside": inside}


def tested_runs(tested: Sequence[Tested], truth: Truth) -> pd.DataFrame:
    """Test scores as :func:`replicated_table` takes them: a row for each model and seed."""
    rows = []
    for one in tested:
        for number, run, scores in zip(one.winner.replicates, one.runs, one.by_seed, strict=True):
            row: dict[str, Any] = {"architecture": str(one.winner.architecture), "seed": number, **scores}
            row[MACHINE] = one.inference_ms
            if run.landmarks is not None:
                row[AREA99] = operating_area99(distance_pct(run.landmarks, truth.landmarks))
            rows.append(row)
    return pd.DataFrame(rows)
