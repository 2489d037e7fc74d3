"""What a test measured, kept at once, so that what comes after it can be done over without opening the split again."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from core.atomic import write_text
from core.errors import UserError
from core.faces import Faces
from core.final_test import Measured, TestResult, run_test
from core.json_text import read_json
from core.kept_predictions import read_predictions, write_predictions
from core.patience import Patience
from core.preparation import Reporter
from core.run_folder import RunFolder
from core.splits import Split
from core.weights import Weights
from core.winner import Winner

MEASURED = "measured.json"


def keep_test(folder: Path, measured: Sequence[Measured]) -> None:
    """Write the predictions of winners with all their seeds, and last of all the list that says whose are there."""
    listed = {}
    for one in measured:
        for number, run in zip(one.winner.replicates, one.runs, strict=True):
            write_predictions(_place(folder, one.winner, number), run)
        listed[one.winner.label] = {**_who(one.winner), "inference_ms": one.inference_ms, "device": one.device}
    write_text(folder / MEASURED, json.dumps(listed, indent=2) + "\n")


def kept_test(folder: Path, winners: Sequence[Winner], faces: int) -> list[Measured] | None:
    """What :func:`keep_test` left of these winners, all, the first of them or none yet, with these seeds and so many
    faces; None if no test was begun, or one of others.

    Raises:
        UserError: the list, or predictions that are listed, are missing or damaged.
    """
    path = folder / MEASURED
    if not path.is_file():
        return None
    listed = read_json(path)
    try:
        who = {label: {"trial": one.get("trial"), "replicates": one["replicates"]} for label, one in listed.items()}
        times = {label: float(one["inference_ms"]) for label, one in listed.items()}
        devices = {label: str(one.get("device", "an unknown device")) for label, one in listed.items()}
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        raise UserError(f"{path}: not the list of what a test measured") from None
    ours = {winner.label: _who(winner) for winner in winners}
    if any(ours.get(label) != one for label, one in who.items()):
        return None
    measured = []
    for winner in [winner for winner in winners if winner.label in who]:
        runs = [read_predictions(_place(folder, winner, number), faces) for number in winner.replicates]
        measured.append(Measured(winner, runs, times[winner.label], devices[winner.label]))
    return measured


def kept_run(
    run: RunFolder,
    kept: Sequence[Measured] | None,
    winners: Sequence[Winner],
    backbone: Weights,
    data: tuple[Faces, Split],
    device: torch.device,
    cache: Path,
    report: Reporter,
    patience: Patience,
) -> TestResult:
    """:func:`core.final_test.run_test`, whose predictions are kept in the run's folder as they come.

    Args:
        kept: what a test that was cut off has left, to go on with; None for a test that has just been opened.

    Raises:
        UserError: as of ``run_test``; storage took nothing for too long.
    """

    def keep(measured: Sequence[Measured]) -> None:
        patience(lambda: keep_test(run.test, measured), run.test)
        patience(run.publish, run.path)

    if kept is None:  # cut off from here on, the test is gone on with: this opening stays the only one
        keep([])
    return run_test(winners, backbone, *data, device, cache, report, kept or (), keep)


def _who(winner: Winner) -> dict[str, Any]:
    """What tells a winner from another one of the same label."""
    trial = winner.row.get("trial")
    return {"trial": None if trial is None else int(trial), "replicates": list(winner.replicates)}


def _place(folder: Path, winner: Winner, number: int) -> Path:
    return folder / winner.label / f"seed-{number}"
