"""A replication of the paper as one page: conclusions, tables I to VI beside the paper's, and its figures."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from core.conclusions import RESAMPLES, REVERSED, SUPPORTED, Conclusion
from core.names import AREA99, MEAN_FACE, TASK_METRICS, Task
from core.page import embedded, render
from core.published import published_steps
from core.replication import BESIDE, CHOICES, paper_metrics
from core.report import HEADS, is_small_loss, number

TITLES = {
    1: "Table I: optimisers, single-task gender, validation",
    2: "Table II: landmark losses, single-task landmarks, validation",
    3: "Table III: lambda1 and lambda2, multi-task, validation",
    4: "Table IV: d_k, self-attention, validation",
    5: "Table V: winners trained to the end, validation",
    6: "Table VI: the four models, test",
}
ALL_HEADS = {**HEADS, AREA99: "operating-curve area (paper's)", "loss": "loss", "gender_ce": "cross-entropy"}
ENDS = ("sd", "min", "max")
KIND = {SUPPORTED: "inside", REVERSED: "outside"}


def paper_report_page(
    facts: Mapping[str, Any],
    tables: Mapping[int, pd.DataFrame],
    chosen: Mapping[int, Mapping[str, Any]],
    conclusions: Sequence[Conclusion],
    figures: Mapping[Path, str],
) -> str:
    """The page as text.

    Args:
        facts: what the template says of the run as a whole.
        tables: as :func:`core.replication.replicated_table` makes them.
        chosen: the row of tables 1 to 4 that the next step went on with.
        figures: PNG files with their captions.
    """
    return render(
        "paper_report.html",
        **facts,
        resamples=RESAMPLES,
        conclusions=[_line(one) for one in conclusions],
        tables=[part for n, table in tables.items() for part in _parts(n, table, chosen.get(n))],
        figures=embedded(figures),
    )


def conclusions_table(conclusions: Sequence[Conclusion]) -> pd.DataFrame:
    """``conclusions.csv``: a row a claim."""
    rows = []
    for one in conclusions:
        value, low, high = one.difference
        row = {"claim": one.claim, "measure": one.measure, "held_seeds": one.held, "seeds": one.seeds}
        row |= {"difference": value, "difference_lo": low, "difference_hi": high}
        rows.append(row | {"paper_difference": one.paper, "rival": one.rival, "verdict": one.verdict, "why": one.why})
    return pd.DataFrame(rows)


def _line(one: Conclusion) -> dict[str, Any]:
    digits = 2 if one.measure.startswith("NME") else 4
    value, low, high = (_signed(part, digits) for part in one.difference)
    line = {"claim": one.claim, "measure": one.measure, "held": one.held, "seeds": one.seeds, "value": value}
    line |= {
        "interval": "" if math.isnan(one.difference[0]) else f"{low} to {high}",
        "paper": _signed(one.paper, digits),
        "rival": one.rival,
    }
    return line | {"why": one.why, "verdict": one.verdict, "kind": KIND.get(one.verdict, "")}


def _signed(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:+.{digits}f}"


def _parts(n: int, table: pd.DataFrame, chosen: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """A table as the page shows it: with both tasks in two parts, each narrow enough for a page."""
    metrics = [name for name in (*paper_metrics(n), *BESIDE) if name in table]
    landmarks = [name for name in metrics if name in (*TASK_METRICS[Task.LANDMARKS], AREA99)]
    others = [name for name in metrics if name not in landmarks]
    if not landmarks or not set(others) & set(TASK_METRICS[Task.GENDER]):
        return [_part(n, "", metrics, table, chosen)]
    return [_part(n, " (gender)", others, table, chosen), _part(n, " (landmarks)", landmarks, table, chosen)]


def _part(
    n: int, suffix: str, metrics: Sequence[str], table: pd.DataFrame, chosen: Mapping[str, Any] | None
) -> dict[str, Any]:
    keys, most, digits = CHOICES[n], int(table["seeds"].max()), _digits(n)
    rows = []
    known = [name for metric in metrics for name in (metric, f"paper_{metric}") if name in table]
    for row in table.dropna(subset=known, how="all").to_dict("records"):
        baseline = row[keys[0]] == MEAN_FACE
        named = [MEAN_FACE] + [""] * (len(keys) - 1) if baseline else [_key(row[key]) for key in keys]
        rows.append(
            {
                "named": named,
                "kind": "baseline" if baseline else "ours",
                "chosen": chosen is not None and all(row[key] == chosen[key] for key in keys),
                "note": "" if baseline or row["seeds"] == most else f"{row['seeds']} of {most} seeds trained",
                "cells": [_cell(name, row, digits[name]) for name in metrics],
            }
        )
    choices = ["model" if key == "architecture" else key for key in keys]
    return {"title": TITLES[n] + suffix, "choices": choices, "heads": [ALL_HEADS[m] for m in metrics], "rows": rows}


def _key(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _cell(name: str, row: Mapping[Any, Any], digits: int) -> dict[str, str]:
    def text(key: str) -> str:
        value = row.get(key)
        if value is None or pd.isna(value):
            return "-"
        papers = key.startswith("paper_")  # as it is printed there
        return number(name, value) if is_small_loss(name, value) and not papers else f"{value:.{digits}f}"

    value, spread, low, high, paper = (text(key) for key in (name, *(f"{name}_{s}" for s in ENDS), f"paper_{name}"))
    inside = row.get(f"paper_{name}_inside")
    known = inside is not None and not pd.isna(inside)
    mark = ("✓ " if inside else "✗ ") if known else ""
    return {
        "value": value if spread == "-" else f"{value} +- {spread}",
        "range": "" if spread == "-" else f"{low} to {high}",
        "paper": "" if paper == "-" else f"{mark}paper {paper}",
        "kind": ("inside" if inside else "outside") if known else "",
    }


def _digits(n: int) -> dict[str, int]:
    """Decimal places of each metric in a table: as the paper prints it, and so for what it lacks."""
    places = {name: round(-math.log10(step)) for name, step in published_steps(n).items()}
    return {**dict.fromkeys(BESIDE, 3), "fr10_face_pct": 1, **places}
