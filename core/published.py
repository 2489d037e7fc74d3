"""The paper's own numbers (tables I to VI), under Tandem's metric names, to stand beside what a run measures."""

from collections.abc import Hashable
from importlib.resources import files
from typing import Any

import pandas as pd

from core.names import AREA99, GOALS, Architecture

_FILES = {
    1: "table1_optimizers.csv",
    2: "table2_landmark_losses.csv",
    3: "table3_multitask_lambdas.csv",
    4: "table4_attention_dk.csv",
    5: "table5_validation_50_epochs.csv",
    6: "table6_test.csv",
}

_NAMES = {
    "model": "architecture",
    "loss": "landmark_loss",
    "val_loss": "loss",
    "ce_loss": "gender_ce",
    "accuracy": "gender_accuracy",
    "precision": "gender_precision",
    "recall": "gender_recall",
    "f1": "gender_f1",
    "auc_roc": "gender_auc",
    "l1_loss": "landmark_l1",
    "fr_pct": "fr10_pct",  # counts landmarks: every value is a multiple of 1/225 or 1/250
    "operating_curve_auc": AREA99,
}

_MODELS: dict[int, str] = {
    1: Architecture.GENDER,
    2: Architecture.LANDMARKS,
    3: Architecture.MULTITASK,
    4: Architecture.ATTENTION,
}


def published_table(number: int) -> pd.DataFrame:
    """One table of the paper, 1 to 6, a row a choice; what the paper leaves out is NaN.

    The first columns name the choice: ``optimizer``; ``landmark_loss``; ``lambda1`` and ``lambda2``; ``d_k``;
    ``architecture`` in tables 5 and 6. The others are metrics as in ``core.names``, on validation faces in tables 1
    to 5 and on test faces in table 6, which also has ``inference_ms``.
    """
    table = _read(number)
    if "architecture" in table:
        table["architecture"] = table["architecture"].map(_MODELS)
    return table


def published_steps(number: int) -> dict[str, float]:
    """The last decimal place of each metric of a table: 0.001 where the paper prints 0.956."""
    texts = _read(number, dtype=str)
    places = {str(name): texts[name].dropna().str.partition(".")[2].str.len().max() for name in texts}
    return {name: 10.0**-count for name, count in places.items()}


def published_goals() -> pd.DataFrame:
    """The paper's models of which it gives gender cross-entropy and NME, both on validation faces, a row a model.

    Columns: ``name``, ``architecture`` (empty for the pair of single-task models, which is as good in each goal as one
    of them), ``epochs``, ``gender_ce``, ``nme_pct``. Of the pair, the gender model's cross-entropy is its loss in
    table I, after 10 epochs.
    """
    tables = {number: published_table(number).to_dict("records") for number in (1, 3, 4, 5)}
    five = {row["architecture"]: row for row in tables[5]}
    pair: dict[Hashable, Any] = {
        "gender_ce": min(row["loss"] for row in tables[1]),
        "nme_pct": five[Architecture.LANDMARKS]["nme_pct"],
    }
    rows: list[tuple[str, str, int, dict[Hashable, Any]]] = [("two single-task models (tables I, V)", "", 50, pair)]
    rows += [(f"{kind}, 50 epochs (table V)", kind, 50, five[kind]) for kind in (_MODELS[3], _MODELS[4])]
    for row in tables[3]:
        name = f"{_MODELS[3]}, lambdas {row['lambda1']:g}, {row['lambda2']:g} (table III)"
        rows.append((name, _MODELS[3], 10, row))
    rows += [(f"{_MODELS[4]}, d_k {row['d_k']:g} (table IV)", _MODELS[4], 10, row) for row in tables[4]]
    goals = [name.removeprefix("val_") for name in GOALS]
    return pd.DataFrame(
        [
            {"name": name, "architecture": str(kind), "epochs": epochs, **{goal: row[goal] for goal in goals}}
            for name, kind, epochs, row in rows
        ]
    )


def _read(number: int, **options: Any) -> pd.DataFrame:
    with (files("core") / "paper_tables" / _FILES[number]).open() as file:
        table: pd.DataFrame = pd.read_csv(file, **options)
    return table.rename(columns=_NAMES)
