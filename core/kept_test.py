"""What a test measured, kept at once, so that what comes after it can be done over without opening the split again."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.atomic import write_text
from core.errors import UserError
from core.final_test import Keep, Measured
from core.json_text import read_json
from core.kept_predictions import read_predictions, write_predictions
from core.patience import Patience
from core.winner import Winner

LIST = "measured.json"


@dataclass(frozen=True, eq=False)
class Kept:
    """What a test measured, and on what device."""

    measured: list[Measured]
    device: str


def keep_test(folder: Path, measured: Sequence[Measured], device: str) -> None:
    """Write the predictions of winners with all their seeds, and last of all the list that says whose are there."""
    listed = {}
    for winner, runs, milliseconds in measured:
        for number, run in zip(winner.replicates, runs, strict=True):
            write_predictions(_place(folder, winner, number), run)
        listed[winner.label] = {**_who(winner), "inference_ms": milliseconds, "device": device}
    write_text(folder / LIST, json.dumps(listed, indent=2) + "\n")


def keeper(folder: Path, patience: Patience) -> Keep:
    """:func:`keep_test` in a folder that may be away or full for a while."""
    return lambda measured, device: patience(lambda: keep_test(folder, measured, device), folder)


def kept_test(folder: Path, winners: Sequence[Winner], faces: int) -> Kept | None:
    """What :func:`keep_test` left of these winners, all, the first of them or none yet, with these seeds and so many
    faces; None if no test was begun, or one of others.

    Raises:
        UserError: the list, or predictions that are listed, are missing or damaged.
    """
    path = folder / LIST
    if not path.is_file():
        return None
    listed = read_json(path)
    try:
        who = {label: {"trial": one.get("trial"), "replicates": one["replicates"]} for label, one in listed.items()}
        times = {label: float(one["inference_ms"]) for label, one in listed.items()}
        devices = [str(one.get("device", "an unknown device")) for one in listed.values()]
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
        raise UserError(f"{path}: not the list of what a test measured") from None
    if any(item not in {winner.label: _who(winner) for winner in winners}.items() for item in who.items()):
        return None
    measured = []
    for winner in winners:
        if winner.label not in who:
            continue
        runs = [read_predictions(_place(folder, winner, number), faces) for number in winner.replicates]
        measured.append((winner, runs, times[winner.label]))
    return Kept(measured, devices[0] if devices else "")


def _who(winner: Winner) -> dict[str, Any]:
    """What tells a winner from another one of the same label."""
    trial = winner.row.get("trial")
    return {"trial": None if trial is None else int(trial), "replicates": list(winner.replicates)}


def _place(folder: Path, winner: Winner, number: int) -> Path:
    return folder / winner.label / f"seed-{number}"
