"""The final test as one page that stands alone: tables beside the paper's, and every figure inside it."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from core.bootstrap import Estimate, too_few
from core.config import FOLLOWS
from core.final_test import Tested, TestResult
from core.front import PLAIN, Front, paper_standing
from core.names import AREA99, MAN, MEAN_FACE
from core.page import embedded, render
from core.preparation import told_source
from core.published import published_table

HEADS = {
    "gender_auc": "AUC",
    "gender_accuracy": "accuracy (0 to 1)",
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
    "landmark_l1": "L1 (share of the crop)",
    "relative_error": "relative error",
    "loss": "loss (own)",
    "inference_ms": "inference (ms)",
}
GENDER = ("gender_auc", "gender_accuracy", "gender_precision", "gender_recall", "gender_f1", "gender_ce")
LANDMARKS = ("nme_pct", "nme_std_pct", "fr10_pct", "fr10_face_pct", "ced_auc100", "ced_auc10", "landmark_l1")
BOTH = ("relative_error", "loss")
CERTAINTY = 0.95
SMALL = 0.01

Matters = Callable[[str, Mapping[str, Any]], bool]
Row = dict[str, Any]
"""A row of a table: ``name``, ``kind`` (ours, baseline or paper) and ``cells``."""


def report_page(
    name: str,
    result: TestResult,
    search: Mapping[str, Any],
    before: Sequence[str],
    others: Mapping[str, Sequence[str]],
    figures: Mapping[Path, str],
    mattered: tuple[Sequence[str], Mapping[Path, str]] = ((), {}),
    front: tuple[Front, Mapping[Path, str]] | None = None,
    matters: Matters = lambda *_: True,
) -> str:
    """The page as text.

    Args:
        name: of the run.
        search: the run's ``search.json`` with ``tested`` (when) and ``test_device``.
        before: when this run had opened the test faces before.
        others: when other runs have, by name.
        figures: PNG files with their captions.
        mattered: what the search has shown to matter, in sentences and a figure.
        front: of a search for two goals, with its figure.
        matters: whether a setting, by name, does anything in a model with these settings.
    """
    return render(
        "report.html",
        name=name,
        **_faces(result),
        seeds=_seeds(result),
        source=told_source(search["plan"]),
        weights=Path(search.get("weights", "unknown")).name,
        when=search["tested"],
        device=search["test_device"],
        before=before,
        others=others,
        persons_unknown=search.get("identity_known") is False,
        tables=_tests(result),
        gains=[_gain(tested) for tested in result.tested if tested.gain is not None],
        figures=embedded(figures),
        front=None if front is None else {"figures": embedded(front[1]), "table": _papers_models(front[0])},
        validation=_validations(result, search.get("baseline_validation") or {}),
        settings=_settings(result, matters),
        mattered=mattered[0],
        mattered_figures=embedded(mattered[1]),
    )


def _faces(result: TestResult) -> dict[str, Any]:
    men, faces = int((result.truth.gender == MAN).sum()), len(result.truth.gender)
    people = result.truth.people
    unseen = number("_pct", 100 * unseen_share(people))
    counted = {"test_faces": faces, "people": people, "women": faces - men, "men": men, "faces": len(result.images)}
    return {**counted, "too_few": too_few(result.truth, gender_is_tested(result)), "unseen_pct": unseen}


def _seeds(result: TestResult) -> str:
    """Over how many training seeds scores are means: of all models, or of each where they differ."""
    counts = {tested.winner.label: len(tested.runs) for tested in result.tested}
    if len(set(counts.values())) > 1:
        return "training seeds (" + ", ".join(f"{label}: {count}" for label, count in counts.items()) + ")"
    count = max(counts.values(), default=1)
    return f"{count} training seeds" if count > 1 else "one training seed"


def gender_is_tested(result: TestResult) -> bool:
    """Whether any model's gender is tested."""
    return any(run.gender_logits is not None for tested in result.tested for run in tested.runs)


def number(name: str, value: Any) -> str:
    """A score with as many digits as it deserves; a dash where there is none."""
    if value is None or pd.isna(value):
        return "-"
    if is_small_loss(name, value):
        return f"{value:.3g}"
    return f"{value:.2f}" if name.endswith(("_pct", "_ms")) else f"{value:.4f}"


def is_small_loss(name: str, value: float) -> bool:
    """Whether four decimal places would show too little: squared errors of a fraction of the crop are some 0.0001."""
    return name == "loss" and abs(value) < SMALL


def unseen_share(seen: int) -> float:
    """The largest share of wrong faces (or people) with which ``seen`` right ones in a row are not yet a 5 % surprise.

    The one-sided 95 % bound of Clopper and Pearson (1934) for none wrong: (1 - share)^seen = 0.05.
    """
    return 1 - float((1 - CERTAINTY) ** (1 / seen))


def _table(title: str, names: Sequence[str], rows: Sequence[Row]) -> dict[str, Any]:
    """A table of the rows that have a value."""
    known = [row for row in rows if any(cell["value"] != "-" for cell in row["cells"])]
    return {"title": title, "heads": [HEADS[name] for name in names], "rows": known}


def _tests(result: TestResult) -> list[dict[str, Any]]:
    tables = []
    for title, names in (("Gender", GENDER), ("Landmarks", LANDMARKS), ("Overall", (*BOTH, "inference_ms"))):
        rows = []
        for tested in result.tested:
            estimates = {**tested.scores, "inference_ms": (tested.inference_ms, math.nan, math.nan)}
            rows.append({"name": tested.winner.label, "kind": "ours", "cells": _cells(names, estimates)})
        rows.append({"name": MEAN_FACE, "kind": "baseline", "cells": _cells(names, result.baseline)})
        tables.append(_table(title, names, [*rows, *_paper(6, names)]))
    return tables


def _cells(names: Sequence[str], estimates: Mapping[str, Estimate]) -> list[dict[str, str]]:
    cells = []
    for name in names:
        value, low, high = estimates.get(name, (math.nan, math.nan, math.nan))
        interval = "" if math.isnan(low) else f"{number(name, low)} to {number(name, high)}"
        cells.append({"value": number(name, value), "interval": interval})
    return cells


def _plain(names: Sequence[str], values: Mapping[Any, Any]) -> list[dict[str, str]]:
    """Cells without intervals."""
    return [{"value": number(name, values.get(name)), "interval": ""} for name in names]


def _paper(table: int, names: Sequence[str]) -> list[Row]:
    """Rows of one of the paper's tables."""
    return [
        # The page says that the paper's area, which stands below ours, is about 0.01 smaller for the same errors.
        {
            "name": f"paper: {row['architecture']}",
            "kind": "paper",
            "cells": _plain(names, {"ced_auc100": row.get(AREA99), **row}),
        }
        for row in published_table(table).to_dict("records")
    ]


def _gain(tested: Tested) -> str:
    assert tested.gain is not None
    value, low, high = tested.gain
    verdict = "better than the mean face" if low > 0 else "not surely better than the mean face"
    if high < 0:
        verdict = "worse than the mean face"
    return (
        f"{tested.winner.label}: the mean face's NME minus this model's, face by face, is {value:.2f} points "
        f"(95 % interval {low:.2f} to {high:.2f}): {verdict}."
    )


def _validations(result: TestResult, baseline: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The winners' rows of ``winners.csv``; ``baseline`` has metrics without ``val_``."""
    tables = []
    for title, names in (("Gender", GENDER), ("Landmarks", LANDMARKS), ("Overall", BOTH)):
        rows = [{"name": t.winner.label, "kind": "ours", "cells": _spreads(names, t.winner.row)} for t in result.tested]
        rows.append({"name": MEAN_FACE, "kind": "baseline", "cells": _plain(names, baseline)})
        tables.append(_table(title, names, [*rows, *_paper(5, names)]))
    return tables


def _spreads(names: Sequence[str], row: Mapping[str, Any]) -> list[dict[str, str]]:
    cells = []
    for name in names:
        key = name if name == "relative_error" else f"val_{name}"
        spread = number(name, row.get(f"{key}_sd"))
        tail = "" if spread == "-" else f"+- {spread}"
        cells.append({"value": number(name, row.get(key)), "interval": tail})
    return cells


def _papers_models(front: Front) -> dict[str, Any]:
    """Which models of the paper are on the front of all that is shown, and what the others are behind."""
    rows = [
        {
            "name": f"paper: {row['name']}",
            "cells": _plain(PLAIN, row),
            "where": f"behind {'; '.join(row['behind'])}" if row["behind"] else "on the front",
        }
        for row in paper_standing(front)
    ]
    return {"heads": [HEADS[name] for name in PLAIN], "rows": rows}


def _settings(result: TestResult, matters: Matters) -> dict[str, Any]:
    """All settings that matter in one of the winners; a dash where they do nothing."""
    configs = [tested.winner.config.flat() for tested in result.tested]

    def shown(key: str, config: Mapping[str, Any]) -> Any:
        if not matters(key, config):
            return "-"
        if key in FOLLOWS and config[key] == 0:
            return f"as {FOLLOWS[key]}"
        return f"{config[key]:.4g}" if isinstance(config[key], float) else config[key]

    rows = [
        {"name": key, "cells": [{"value": shown(key, config)} for config in configs]}
        for key in configs[0]
        if any(matters(key, config) for config in configs)
    ]
    return {"heads": [tested.winner.label for tested in result.tested], "rows": rows}
