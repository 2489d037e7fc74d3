"""Every trial of a search: its status, its best epoch and its curve, in ``trials.csv`` and ``curves.csv``."""

import csv
import io
import math
import os
import time
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import pandas as pd

from core.atomic import append_line, cut_half_line, write_text
from core.config import KEYS
from core.objective import Objective
from core.pareto import front_rank, goals_of
from core.patience import HASTE, Patience
from tune.recorded_curves import CURVE_COLUMNS, METRIC_COLUMNS, read_curves

REWRITE_SECONDS = 1.0
REWRITE_SHARE = 0.05  # of the time at most goes into rewriting trials.csv, which takes longer the more there are


class Status(StrEnum):
    """Where a trial is. ``stopped``: by ASHA, or when the search ended (the reason says why). Those that a time budget
    left before they had anything to compare stay as they are."""

    PENDING = "pending"
    RUNNING = "running"
    STOPPED = "stopped"
    FINISHED = "finished"
    FAILED = "failed"


ENDED = (Status.STOPPED, Status.FINISHED, Status.FAILED)


@dataclass
class Entry:
    """One trial."""

    number: int
    config: dict[str, Any]
    """The parameters that vary and are active; fixed settings stand in ``search.json``."""
    status: Status = Status.PENDING
    reason: str = ""
    curve: list[dict[str, Any]] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Time spent in epochs."""
        return float(sum(row["seconds_per_epoch"] for row in self.curve))

    def best(self, objective: Objective) -> dict[str, Any]:
        """Metrics of the best epoch; empty before the first."""
        curve = self.curve  # the progress line's thread reads it while another may start the trial over
        return min(curve, key=objective.cost) if curve else {}


class Ledger:
    """The trials in memory and their two files. Curves are appended as they come, so that a crash loses none.

    Args:
        fronts: whether ``trials.csv`` says on which front of its kind of model each trial is.
    """

    def __init__(
        self, trials: Path, curves: Path, objective: Objective, patience: Patience = HASTE, fronts: bool = False
    ) -> None:
        self.fronts = fronts
        self.patience = patience
        self.trials_path = trials
        self.curves_path = curves
        self.objective = objective
        self.entries: dict[int, Entry] = {}
        self.written_at = -math.inf
        self.writing_seconds = 0.0

    def add(self, number: int, config: dict[str, Any]) -> Entry:
        """A new trial, pending."""
        self.entries[number] = Entry(number, config)
        return self.entries[number]

    def record(self, number: int, result: dict[str, Any]) -> None:
        """Append one epoch of a trial; an epoch seen again (after a lost worker) replaces the first."""
        entry = self.entries[number]
        row = {name: result[name] for name in CURVE_COLUMNS if name in result} | {"trial": number}
        entry.curve = [old for old in entry.curve if old["epoch"] < row["epoch"]] + [row]
        line = io.StringIO()
        writer = csv.DictWriter(line, CURVE_COLUMNS, lineterminator="\n")
        writer.writerow(row)
        self.patience(lambda: self._append(line.getvalue()), self.curves_path)

    def _append(self, line: str) -> None:
        if not self.curves_path.exists() or not self.curves_path.stat().st_size:
            append_line(self.curves_path, ",".join(CURVE_COLUMNS) + "\n")
        append_line(self.curves_path, line)

    def settle(self) -> None:
        """Have the disk hold all epochs so far, so that after a power cut no journal knows of more than is there."""
        if self.curves_path.exists():
            self.patience(self._flush, self.curves_path)

    def _flush(self) -> None:
        with self.curves_path.open("r+b") as file:
            os.fsync(file.fileno())

    def restore_curves(self) -> None:
        """Give every known trial the epochs that ``curves.csv`` has of it, and drop a line that was cut off.

        Raises:
            UserError: the file is not what :meth:`record` wrote; it is left as it is.
        """
        if not self.curves_path.is_file():
            return
        epochs = read_curves(self.curves_path)
        with self.curves_path.open("r+b") as file:
            cut_half_line(file)
        for row in epochs:
            if row["trial"] in self.entries:
                entry = self.entries[row["trial"]]
                entry.curve = [old for old in entry.curve if old["epoch"] < row["epoch"]] + [row]

    def forget_curve(self, number: int) -> None:
        """The trial starts over: its epochs leave ``curves.csv`` too, where they would look like more."""
        if self.entries[number].curve:
            self.entries[number].curve = []
            self.patience(lambda: self._drop_curve(number), self.curves_path)

    def _drop_curve(self, number: int) -> None:
        lines = self.curves_path.read_text(encoding="utf-8").splitlines(keepends=True)
        write_text(self.curves_path, "".join(line for line in lines if not line.startswith(f"{number},")))

    def table(self) -> pd.DataFrame:
        """``trials.csv``: a row a trial."""
        used = [key for key in KEYS if any(key in entry.config for entry in self.entries.values())]
        fronts = self.front_ranks() if self.fronts else {}
        rows = []
        for number in sorted(self.entries):
            entry = self.entries[number]
            best = entry.best(self.objective)
            rows.append(
                {
                    "trial": number,
                    "status": str(entry.status),
                    "reason": entry.reason,
                    "epochs": len(entry.curve),
                    "seconds": round(entry.seconds, 3),
                    "best_epoch": best.get("epoch"),
                    **({"front_rank": fronts.get(number)} if self.fronts else {}),
                    **{name: best.get(name) for name in METRIC_COLUMNS},
                    **{f"config.{key}": entry.config.get(key) for key in used},
                }
            )
        whole = {"best_epoch": "Int64"} | ({"front_rank": "Int64"} if self.fronts else {})
        return pd.DataFrame(rows).astype(whole) if rows else pd.DataFrame()

    def write(self, now: bool = False) -> None:
        """Rewrite ``trials.csv``, unless ``now`` at most once a second and less often where that takes long."""
        start = time.monotonic()
        if now or start - self.written_at > max(REWRITE_SECONDS, self.writing_seconds / REWRITE_SHARE):
            self.patience(lambda: write_text(self.trials_path, self.table().to_csv(index=False)), self.trials_path)
            self.written_at = time.monotonic()
            self.writing_seconds = self.written_at - start

    def _now(self) -> list[Entry]:
        """The trials at this moment: the progress line is made in a thread of its own."""
        return list(self.entries.values())

    def count(self, *statuses: Status) -> int:
        """How many trials have one of these statuses."""
        return sum(entry.status in statuses for entry in self._now())

    def epochs(self, *statuses: Status) -> int:
        """How many epochs the trials with one of these statuses have had."""
        return sum(len(entry.curve) for entry in self._now() if entry.status in statuses)

    def epochs_left(self, total: int, most: int) -> float:
        """Epochs until ``total`` trials have ended, if each lasts as long as those that ended and came as far.

        Args:
            most: epochs of a trial that is not stopped; what is expected where none came as far.
        """
        entries = self._now()
        ended = [len(e.curve) for e in entries if e.status in ENDED and e.status is not Status.FAILED]

        def left(done: int) -> float:
            farther = [epochs for epochs in ended if epochs > done]
            return (sum(farther) / len(farther) if farther else most) - done

        under_way = sum(left(len(entry.curve)) for entry in entries if entry.status not in ENDED)
        return under_way + left(0) * max(0, total - len(entries))

    def front_ranks(self) -> dict[int, int]:
        """By number, of trials with an epoch that did not fail: 1 if no other of its kind of model is at least as good
        in both goals and better in one, 2 if only such trials are, and so on; each at its best epoch.
        """
        kinds: dict[str, list[Entry]] = {}
        for entry in self.ranked():
            kinds.setdefault(str(entry.config.get("architecture", "")), []).append(entry)
        found: dict[int, int] = {}
        for entries in kinds.values():
            ranks = front_rank([goals_of(entry.best(self.objective)) for entry in entries])
            found |= dict(zip((entry.number for entry in entries), ranks.tolist(), strict=True))
        return found

    def ranked(self, by: Objective | None = None) -> list[Entry]:
        """Trials with an epoch that did not fail, best first by ``by`` (or the objective) at their best epoch."""
        scored = [e for e in self._now() if e.curve and e.status is not Status.FAILED]
        aim = by or self.objective
        return sorted(scored, key=lambda e: (aim.cost(e.best(self.objective)), e.number))
