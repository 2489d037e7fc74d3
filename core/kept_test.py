"""What a test measured, kept at once, so that drawing and writing can be done over without opening the split."""

import json
from collections.abc import Sequence
from pathlib import Path

from core.atomic import write_text
from core.errors import UserError
from core.final_test import Measured, TestResult
from core.json_text import read_json
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


def kept_test(folder: Path, winners: Sequence[Winner], faces: int) -> list[Measured] | None:
    """What :func:`keep_test` left of just these winners and seeds and so many faces; None if it did not come to that.

    Raises:
        UserError: the list, or predictions that are listed, are missing or damaged.
    """
    path = folder / LIST
    if not path.is_file():
        return None
    listed = read_json(path)
    try:
        seeds = {label: one["replicates"] for label, one in listed.items()}
        times = {label: float(one["inference_ms"]) for label, one in listed.items()}
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        raise UserError(f"{path}: not the list of what a test measured") from None
    if {winner.label: list(winner.replicates) for winner in winners} != seeds:
        return None
    measured = []
    for winner in winners:
        runs = [read_predictions(_place(folder, winner, number), faces) for number in winner.replicates]
        measured.append((winner, runs, times[winner.label]))
    return measured


def _place(folder: Path, winner: Winner, number: int) -> Path:
    return folder / winner.label / f"seed-{number}"
