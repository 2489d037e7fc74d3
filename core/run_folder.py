"""Where a search keeps what: STORAGE/NAME and the files in it."""

import json
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from core.atomic import write_text
from core.commands import script
from core.errors import UserError, first_line
from core.json_text import parse_json, read_json
from core.mirror import Mirror
from core.patience import Say
from core.search_record import check_search_record, is_replication
from core.urls import below

CHECKPOINT = "checkpoint.pt"
LEAST_BYTES = 2**16  # that a disk must have free to count as not full
STEPS = ("table1", "table2", "table3", "table4")
"""The runs within a replication."""


class RunFolder:
    """Paths inside one run's folder.

    Args:
        mirror: of a run that is kept under a URL; ``path`` is its working copy, or a folder in that.
        inside: the folder in the mirror, if it is one.
        options: with which its script goes on with the run.
        whole: the run that this one is a step of.
    """

    def __init__(
        self,
        path: Path,
        mirror: Mirror | None = None,
        inside: str = "",
        options: str | None = None,
        whole: "RunFolder | None" = None,
    ) -> None:
        self.path = path
        self.options = options or shlex.join(["--resume", path.name, "--storage", str(path.parent)])
        self.whole = whole or self
        self.mirror = mirror
        self.inside = inside
        self.search = path / "search.json"
        self.split = path / "split.csv"
        self.trials = path / "trials.csv"
        self.curves = path / "curves.csv"
        self.journal = path / "optuna.journal"
        self.head_start = path / "head_start.json"
        self.winners = path / "winners.csv"
        self.race = path / "race.csv"
        self.importance = path / "importance.csv"
        self.front = path / "front.png"
        self.backbone = path / "winners" / "backbone.safetensors"
        self.test = path / "test"

    def trial(self, number: int) -> Path:
        """What is kept of one trial: TensorBoard events, and of a grid's what it predicted."""
        return self.path / f"trial-{number:04d}"

    def winner(self, label: str, replicate: int) -> Path:
        """Weights, config and curve of one retrained model."""
        return self.path / "winners" / label / f"seed-{replicate}"

    def raced(self, number: int, round_number: int) -> Path:
        """What one trial predicted in one round of a race."""
        return self.path / "race" / f"trial-{number:04d}" / f"seed-{round_number}"

    def put(self, name: str, content: bytes) -> None:
        """Write a small file for other machines to see at once.

        Raises:
            OSError: storage cannot be reached.
        """
        if self.mirror is None:
            (self.path / name).write_bytes(content)
        else:
            self.mirror.write(f"{self.inside}/{name}".lstrip("/"), content)

    def drop(self, name: str) -> None:
        """Remove what :meth:`put` wrote.

        Raises:
            OSError: storage cannot be reached.
        """
        if self.mirror is None:
            (self.path / name).unlink(missing_ok=True)
        else:
            self.mirror.remove(f"{self.inside}/{name}".lstrip("/"))

    def step(self, name: str) -> "RunFolder":
        """A run within this one, such as a table of a replication."""
        return RunFolder(self.path / name, self.mirror, f"{self.inside}/{name}".lstrip("/"), self.options, self.whole)

    def url(self, *names: str) -> str | None:
        """Where something in the folder is for other machines; None if they see the folder itself."""
        return None if self.mirror is None else below(self.mirror.url, *filter(None, [self.inside, *names]))

    def publish(self) -> None:
        """Let other machines see the folder as it is now.

        Raises:
            OSError: storage cannot be reached.
        """
        if self.mirror is not None:
            self.mirror.push()

    def fetch(self, part: str = "") -> None:
        """Get what other machines have written into it, or into a folder of it; not their checkpoints.

        Raises:
            OSError: storage cannot be reached.
        """
        if self.mirror is not None:
            self.mirror.pull(f"{self.inside}/{part}".strip("/"), lambda name: not name.endswith(CHECKPOINT))

    @property
    def trouble(self) -> str:
        """What keeps storage from having all this, for a line of progress."""
        if self.mirror is not None:
            return self.mirror.trouble
        try:
            free = shutil.disk_usage(self.path).free
        except OSError as error:
            return f"; {self.path}: {first_line(error)}"
        return "; storage is full" if free < LEAST_BYTES else ""

    @property
    def lost(self) -> str:
        """Why this process must leave the run alone from now on."""
        return "" if self.mirror is None else self.mirror.lost

    @property
    def again(self) -> str:
        """The command that goes on with the run, or with that which it is a step of, typed where this process was."""
        return f"{script('paper.py' if self.whole.is_replication() else 'search.py')} {self.options}"

    def is_replication(self) -> bool:
        """Whether it is one of the whole paper, as far as can be told now."""
        try:
            if self.search.is_file() or self.mirror is None:
                return is_replication(self.read_search())
            return is_replication(parse_json((self.mirror.read(self.search.name) or b"").decode()))
        except (UserError, OSError, ValueError, LookupError, TypeError):  # none yet, or nothing that says so
            return False

    def read_search(self) -> dict[str, Any]:
        """The content of ``search.json``.

        Raises:
            UserError: no such run, or the file is not what a search writes.
        """
        if not self.search.is_file():
            raise UserError(f"{self.path}: no run here (a run's folder holds search.json)")
        return check_search_record(read_json(self.search), str(self.search))

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

    @contextmanager
    def resumable(self, say: Say) -> Iterator[None]:
        """Work of which nothing that ended is lost, whatever happens: whoever meets an end is told how to go on.

        Raises:
            UserError: in place of an OSError that nothing in the block had a better word for, such as one of Ray's when
                the disk of its own files is full.
        """
        try:
            yield
        except KeyboardInterrupt:
            say(f"interrupted; nothing that ended is lost. Go on with: {self.again}")
            raise
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            raise UserError(
                f"{place}{first_line(error)}; nothing that ended is lost: go on with {self.again}"
            ) from error

    def write_search(self, data: dict[str, Any]) -> None:
        """Write ``search.json`` whole."""
        write_text(self.search, json.dumps(data, indent=2, default=str) + "\n")


def check_run_name(name: str) -> None:
    """Raise a UserError unless ``name`` is a plain folder name."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise UserError(f"run name {name!r}: use 1 to 100 letters, digits, '.', '_' and '-', beginning with no sign")


def check_writable(path: Path) -> None:
    """Raise a UserError unless a folder can be made at ``path``, which is not there."""
    home = next(parent for parent in path.absolute().parents if parent.exists())
    if not home.is_dir() or not os.access(home, os.W_OK):
        raise UserError(f"{home}: must be a folder that can be written to, for {path.name}")
