"""Where a search keeps what: STORAGE/NAME and the files in it."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from core.atomic import write_text
from core.errors import UserError

WRITTEN = ("plan", "workers", "precision", "data_fingerprint", "split_fingerprint", "weights_sha256")
"""What every ``search.json`` holds, among other things."""


class RunFolder:
    """Paths inside one run's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.search = path / "search.json"
        self.split = path / "split.csv"
        self.trials = path / "trials.csv"
        self.curves = path / "curves.csv"
        self.journal = path / "optuna.journal"
        self.winners = path / "winners.csv"
        self.backbone = path / "winners" / "backbone.safetensors"
        self.test = path / "test"

    def trial(self, number: int) -> Path:
        """What is kept of one trial: TensorBoard events, and of a grid's what it predicted."""
        return self.path / f"trial-{number:04d}"

    def winner(self, label: str, replicate: int) -> Path:
        """Weights, config and curve of one retrained model."""
        return self.path / "winners" / label / f"seed-{replicate}"

    def read_search(self) -> dict[str, Any]:
        """The content of ``search.json``.

        Raises:
            UserError: no such run, or the file is not what a search writes.
        """
        if not self.search.is_file():
            raise UserError(f"{self.path}: no run here (a run's folder holds search.json)")
        try:
            data: dict[str, Any] = json.loads(self.search.read_text(encoding="utf-8"))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise UserError(f"{self.search}: not JSON ({error})") from None
        missing = [key for key in WRITTEN if not isinstance(data, dict) or key not in data]
        if missing:
            raise UserError(f"{self.search}: not written by a search (no {missing[0]!r} in it)")
        return data

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run, which exists, for the length of the block.

        Raises:
            UserError: another process holds it.
        """
        try:
            with FileLock(self.path / ".lock", timeout=0):
                yield
        except Timeout:
            raise UserError(f"{self.path}: another process is working on this run") from None

    def write_search(self, data: dict[str, Any]) -> None:
        """Write ``search.json`` whole."""
        write_text(self.search, json.dumps(data, indent=2, default=str) + "\n")


def new_run(storage: Path, name: str) -> RunFolder:
    """The folder of a new run, not yet made.

    Raises:
        UserError: the name is no plain folder name, or taken.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise UserError(f"run name {name!r}: use 1 to 100 letters, digits, '.', '_' and '-', beginning with no sign")
    if (storage / name).exists():
        raise UserError(f"{storage / name} exists; choose another --name, or go on with it: --resume {name}")
    home = next(parent for parent in (storage / name).absolute().parents if parent.exists())
    if not home.is_dir() or not os.access(home, os.W_OK):
        raise UserError(f"{home}: must be a folder that can be written to, for the run {name}")
    return RunFolder(storage / name)


def free_name(storage: Path, stem: str) -> str:
    """``stem``, or ``stem-2``, ``stem-3``, ... if there are such runs already."""
    name, count = stem, 1
    while (storage / name).exists():
        count += 1
        name = f"{stem}-{count}"
    return name
