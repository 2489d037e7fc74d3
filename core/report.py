"""The final test as one page that stands alone: tables beside the paper's, and every figure inside it."""

import base64
import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from core.bootstrap import Estimate
from core.final_test import Tested, TestResult
from core.names import MAN, MEAN_FACE, Task
from core.published import published_table

HEADS = {
    "gender_auc": "AUC",
    "gender_accuracy": "accuracy",
    "gender_precision": "precision",
    "gender_recall": "recall",
    "gender_f1": "F1",
    "gender_ce": "cross-entropy (nats)",
    "nme_pct": "NME (%)",
    "nme_std_pct": "NME spread (%)",
    "fr10_pct": "FR10, landmarks (%)",
    "fr10_face_pct": "FR10, faces (%)",
    "ced_auc100": "CED area to 100 %",
    "ced_auc10": "CED area to 10 %",
    "landmark_l1": "L1 (of the crop)",
    "relative_error": "relative error",
    "inference_ms": "inference (ms)",
}
GENDER = ("gender_auc", "gender_accuracy", "gender_precision", "gender_recall", "gender_f1", "gender_ce")
LANDMARKS = ("nme_pct", "nme_std_pct", "fr10_pct", "fr10_face_pct", "ced_auc100", "ced_auc10", "landmark_l1")
BOTH = ("relative_error", "inference_ms")
VALIDATION = ("relative_error", "gender_auc", "gender_accuracy", "nme_pct", "fr10_pct")


def write_report(
    path: Path, result: TestResult, search: Mapping[str, Any], before: Sequence[str], figures: Mapping[Path, str]
) -> str:
    """The page as text; figures are PNG files with their captions."""
    men = int((result.truth.gender == MAN).sum())
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string((files("core") / "report.html").read_text(encoding="utf-8"))
    return template.render(
        name=path.parent.parent.name,
        test_faces=len(result.truth.gender),
        women=len(result.truth.gender) - men,
        men=men,
        faces=search["faces"],
        source=Path(str(search["plan"]["data"])).name,
        weights=search["weights"],
        when=search["tested"],
        device=search["test_device"],
        before=before,
        tables=[
            _scores("Gender", GENDER, result),
            _scores("Landmarks", LANDMARKS, result),
            _scores("Both", BOTH, result),
        ],
        gains=[_gain(tested) for tested in result.tested if tested.gain is not None],
        figures=[
            {"data": base64.b64encode(image.read_bytes()).decode(), "caption": text} for image, text in figures.items()
        ],
        validation=_validation(result),
        settings=_settings(result),
    )


def number(name: str, value: Any) -> str:
    """A score with as many digits as it deserves; a dash where there is none."""
    if value is None or pd.isna(value):
        return "-"
    return f"{value:.2f}" if name.endswith(("_pct", "_ms")) else f"{value:.4f}"


def _scores(title: str, names: Sequence[str], result: TestResult) -> dict[str, Any]:
    rows = []
    for tested in result.tested:
        if any(name in tested.scores for name in names):
            estimates = {**tested.scores, "inference_ms": (tested.inference_ms, math.nan, math.nan)}
            rows.append({"name": tested.winner.label, "kind": "ours", "cells": _cells(names, estimates)})
    rows.append({"name": MEAN_FACE, "kind": "baseline", "cells": _cells(names, result.baseline)})
    tasks = [t for t, prefix in ((Task.GENDER, GENDER), (Task.LANDMARKS, LANDMARKS)) if set(names) <= set(prefix)]
    paper = published_table(6)
    for row in paper.to_dict("records"):
        known = {str(k): (float(v), math.nan, math.nan) for k, v in row.items() if k in names and not pd.isna(v)}
        if known and (tasks or "inference_ms" in known):
            rows.append({"name": f"paper: {row['architecture']}", "kind": "paper", "cells": _cells(names, known)})
    return {"title": title, "heads": [HEADS[name] for name in names], "rows": rows}


def _cells(names: Sequence[str], estimates: Mapping[str, Estimate]) -> list[dict[str, str]]:
    cells = []
    for name in names:
        value, low, high = estimates.get(name, (math.nan, math.nan, math.nan))
        interval = "" if math.isnan(low) else f"{number(name, low)} to {number(name, high)}"
        cells.append({"value": number(name, value), "interval": interval})
    return cells


def _gain(tested: Tested) -> str:
    assert tested.gain is not None
    value, low, high = tested.gain
    verdict = "better than the mean face" if low > 0 else "not surely better than the mean face"
    return (
        f"{tested.winner.label}: the mean face's NME minus this model's, face by face, is {value:.2f} points "
        f"(95 % interval {low:.2f} to {high:.2f}): {verdict}."
    )


def _validation(result: TestResult) -> dict[str, Any]:
    rows = []
    for tested in result.tested:
        row = tested.winner.row
        cells = []
        for name in VALIDATION:
            key = name if name == "relative_error" else f"val_{name}"
            value, spread = row.get(key), row.get(f"{key}_sd")
            tail = "" if spread is None or pd.isna(spread) else f" +- {number(name, spread)}"
            cells.append({"value": number(name, value) + tail})
        rows.append({"name": tested.winner.label, "kind": "ours", "cells": cells})
    for known in published_table(5).to_dict("records"):
        cells = [{"value": number(name, known.get(name))} for name in VALIDATION]
        rows.append({"name": f"paper: {known['architecture']}", "kind": "paper", "cells": cells})
    return {"heads": [HEADS[name] for name in VALIDATION], "rows": rows}


def _settings(result: TestResult) -> dict[str, Any]:
    configs = [tested.winner.config.flat() for tested in result.tested]
    rows = [
        {"name": key, "cells": [{"value": f"{c[key]:.4g}" if isinstance(c[key], float) else c[key]} for c in configs]}
        for key in configs[0]
    ]
    return {"heads": [tested.winner.label for tested in result.tested], "rows": rows}
