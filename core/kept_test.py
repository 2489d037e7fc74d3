"""What a test measured, kept at once, so that drawing and writing can be done over without opening the split."""

import json
from collections.abc import Sequence
from pathlib import Path

from core.atomic import write_text
from core.final_test import Measured, TestResult
from core.kept_predictions import read_predictions, write_predictions
from core.winner import Winner

LIST = "measured.json"


def keep_test(folder: Path, result: TestResult) -> None:
    """Write the predictions of every winner and seed, and last of all the list that says they are complete."""
    listed = {}
    for one in result.tested:
        for number, run in zip(one.winner.replicates, one.runs, strict=True):
            write_predictions(_place(folder, one.winner, number), run)
        listed[one.winner.label] = {"replicates": list(one.winner.replicates), "inference_ms": one.inference_ms}
    write_text(folder / LIST, json.dumps(listed, indent=2) + "\n")


def kept_test(folder: Path, winners: Sequence[Winner]) -> list[Measured] | None:
    """What :func:`keep_test` left of just these winners and seeds; None if it did not come to that.

    Raises:
        UserError: predictions are listed but missing or damaged.
    """
    path = folder / LIST
    if not path.is_file():
        return None
    listed = json.loads(path.read_text(encoding="utf-8"))
    if {winner.label: list(winner.replicates) for winner in winners} != {k: v["replicates"] for k, v in listed.items()}:
        return None
    measured = []
    for winner in winners:
        runs = [read_predictions(_place(folder, winner, number)) for number in winner.replicates]
        measured.append((winner, runs, float(listed[winner.label]["inference_ms"])))
    return measured


def _place(folder: Path, winner: Winner, number: int) -> Path:
    return folder / winner.label / f"seed-{number}"
