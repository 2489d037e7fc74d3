"""Retraining a winner: more epochs, its best epoch's weights kept, and a checkpoint from which a killed run goes on."""

import json
import math
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from core.atomic import flush, write_text
from core.config import config_from_flat
from core.errors import UserError, first_line
from core.json_text import is_number, read_json
from core.kept_predictions import PREDICTIONS, write_predictions
from core.objective import Objective
from core.patience import HASTE, Patience
from core.session import DivergedError, Session
from core.tensor_files import load_tensors, save_tensors, tensor_bytes

CHECKPOINT_SECONDS = 20.0
CHECKPOINT_SHARE = 0.05  # of the time at most goes into writing checkpoints, which may hold gigabytes


class Retraining:
    """A session over a fixed number of epochs that leaves its winner in ``folder``.

    ``weights.safetensors`` (learned tensors of the best epoch), ``predictions.npz`` (what they say of the validation
    faces), ``config.json`` and ``curve.csv`` are there together once :attr:`done`. Until then ``checkpoint.pt`` is
    renewed after an epoch, every 20 s or, where writing it takes long, as seldom as keeps that to a twentieth of the
    time; a new ``Retraining`` over the same folder goes on from it, on the same curve. A run that diverges ends with
    the best epoch before, if it had one.
    """

    def __init__(
        self,
        session: Session,
        objective: Objective,
        epochs: int,
        folder: Path,
        record: dict[str, Any],
        patience: Patience = HASTE,
    ) -> None:
        self.session = session
        self.objective = objective
        self.epochs = epochs
        self.folder = folder
        self.record = record
        self.patience = patience
        self.curve: list[dict[str, float]] = []
        self.best: dict[str, Tensor] = {}
        self.diverged = ""
        self.saved_at = time.monotonic()
        self.saving_seconds = 0.0
        self.unsaved = ""  # why the last checkpoint could not be written
        self.patience(lambda: folder.mkdir(parents=True, exist_ok=True), folder)
        self._resume()

    @property
    def done(self) -> bool:
        """Whether all epochs are trained, or no more can be."""
        return bool(self.diverged) or self.session.epoch >= self.epochs

    def run_epoch(self) -> dict[str, float]:
        """Train an epoch; keep the weights if it is the best so far; write what is due.

        Raises:
            DivergedError: in the first epoch, so that there is nothing to keep.
        """
        try:
            metrics = self.session.run_epoch()
        except DivergedError as error:
            if not self.best:
                raise
            self.diverged = str(error)
            self.patience(self._finish, self.folder)
            return self.curve[-1]
        best = min((self.objective.cost(row) for row in self.curve), default=math.inf)
        if not self.best or self.objective.cost(metrics) < best:
            self.best = {name: t.detach().to("cpu", copy=True) for name, t in self.session.learned_tensors().items()}
        self.curve.append(metrics)
        if self.done:
            self.patience(self._finish, self.folder)
        elif time.monotonic() - self.saved_at > max(CHECKPOINT_SECONDS, self.saving_seconds / CHECKPOINT_SHARE):
            self._checkpoint()
        return metrics

    def checkpoint(self) -> None:
        """Write down where it is, so that it goes on from here."""
        if self.curve and not self.done:
            self._checkpoint()

    def charge(self, seconds: float) -> None:
        """Count what it took to bring the last checkpoint elsewhere as part of writing it."""
        self.saving_seconds += seconds

    def best_row(self) -> dict[str, float]:
        """Metrics of the best epoch."""
        return min(self.curve, key=self.objective.cost)

    def _checkpoint(self) -> None:
        start = time.monotonic()
        partial = self.folder / ".checkpoint.partial"
        state = {"session": self.session.state_dict(), "best": self.best, "curve": self.curve, "record": self.record}
        need, why = tensor_bytes(state), "the disk has no room for it"
        try:
            # What does not fit would only take the room that others wait for.
            if need < shutil.disk_usage(self.folder).free:
                torch.save(state, partial)
                flush(partial)
                partial.replace(self.folder / "checkpoint.pt")
                why = ""
        except (OSError, RuntimeError) as error:  # the second is torch's word for a full disk; the older one stays
            why = first_line(error)
            with suppress(OSError):  # what is told is why it could not be written
                partial.unlink(missing_ok=True)
        self.unsaved = f"its checkpoint of {need / 1e9:.1f} GB could not be written: {why}" if why else ""
        self.saved_at = time.monotonic()
        self.saving_seconds = self.saved_at - start

    def _resume(self) -> None:
        path = self.folder / "checkpoint.pt"
        if not path.is_file():
            return
        try:
            state = load_tensors(path)
            same = set(state["session"]["model"]) == set(self.session.learned_tensors())  # an older version had others
            if not same or not same_record(state["record"], self.record):  # or another winner had this folder before
                path.unlink()
                return
            self.session.load_state_dict(state["session"])
            self.best, self.curve = checked_progress(state, self.session)
        except torch.OutOfMemoryError:  # no fault of the file
            raise
        except Exception as error:  # a damaged file raises torch's, pickle's and zipfile's own types
            reason = f"not the checkpoint of this retraining ({first_line(error)})"
            raise UserError(f"{path}: {reason}; without the file the retraining starts over") from None

    def _finish(self) -> None:
        partial = self.folder / ".weights.partial"
        # Convolutions train in channels_last; a file holds tensors in their plain order.
        plain = {name: tensor.contiguous() for name, tensor in self.best.items()}
        save_tensors(partial, plain, {"format": "pt"})
        self.session.load_tensors(self.best)
        write_predictions(self.folder, self.session.validate())
        curve = pd.DataFrame(self.curve)
        write_text(self.folder / "curve.csv", curve.to_csv(index=False))
        partial.replace(self.folder / "weights.safetensors")
        write_record(self.folder, {**self.record, "diverged": self.diverged}, self.best_row())
        (self.folder / "checkpoint.pt").unlink(missing_ok=True)


def checked_progress(state: dict[str, Any], session: Session) -> tuple[dict[str, Tensor], list[dict[str, float]]]:
    """The best tensors and the curve of a checkpoint, whose session is ``session``.

    Raises:
        ValueError: they are not of this session.
    """
    best, curve = dict(state["best"]), list(state["curve"])
    shapes = {name: tensor.shape for name, tensor in session.learned_tensors().items()}
    if {name: tensor.shape for name, tensor in best.items()} != shapes:
        raise ValueError("its best tensors belong to another model")
    epochs = [row["epoch"] for row in curve if all(map(is_number, row.values()))]
    if not curve or epochs != list(range(1, session.epoch + 1)) or len(epochs) != len(curve):
        raise ValueError("its curve is not of the epochs that it has trained")
    return best, curve


def write_record(folder: Path, record: Mapping[str, Any], best: Mapping[str, float]) -> None:
    """Write ``config.json``, which says that all else in ``folder`` is there: what was trained, and its best epoch."""
    write_text(folder / "config.json", json.dumps({**record, "best": best}, indent=2) + "\n")


def finished_record(folder: Path, record: dict[str, Any]) -> dict[str, Any] | None:
    """The best epoch of a retraining that ended in ``folder`` for this very ``record``, else None.

    ``config.json`` is written last, so it says that all else is there.

    Raises:
        UserError: the file is damaged.
    """
    path = folder / "config.json"
    if not path.is_file():
        return None
    found = read_json(path)
    if not isinstance(found, dict) or not _is_row(found.get("best")):
        raise UserError(f"{path}: not the record of a retraining; remove {folder} and it starts over")
    best: dict[str, Any] = found.pop("best")
    found.pop("diverged", None)
    return best if same_record(found, record) else None


def late_divergence(folder: Path) -> str:
    """Why a retraining that ended in ``folder`` did so before its last epoch; empty if it did not."""
    found = read_json(folder / "config.json")
    return str(found.get("diverged") or "") if isinstance(found, dict) else ""


def same_record(found: Any, record: Mapping[str, Any]) -> bool:
    """Whether a record that was written says the same as ``record``: settings that it does not name yet, because an
    older version wrote it, had their defaults then.
    """
    if not isinstance(found, dict):
        return False
    try:
        whole = {**found, "config": config_from_flat(found["config"]).flat()} if "config" in found else found
    except UserError:
        return False
    return bool(whole == json.loads(json.dumps(record)))


def _is_row(best: object) -> bool:
    return isinstance(best, dict) and all(value is None or is_number(value) for value in best.values())


def clear_other(folder: Path, record: dict[str, Any]) -> None:
    """Remove what another winner left in ``folder``."""
    if (folder / "config.json").is_file() and finished_record(folder, record) is None:
        shutil.rmtree(folder)


def clear_leftovers(folder: Path) -> None:
    """Remove what a run killed while it wrote left in ``folder``: of one that ended its checkpoint, of another the
    predictions of its best epoch so far, which a copy under a URL could keep instead of final ones of the same size.
    """
    for path in folder.glob(".*.partial"):
        path.unlink()
    ended = (folder / "config.json").is_file()
    (folder / ("checkpoint.pt" if ended else PREDICTIONS)).unlink(missing_ok=True)
