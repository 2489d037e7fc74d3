"""The journal of an Optuna study, a line a record: written on storage that may be away, and checked when it is read."""

import json
import os
import warnings
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from core.atomic import cut_half_line
from core.checks import shown
from core.errors import UserError, first_line
from core.json_text import is_number
from core.patience import Patience
from search_spaces.space import Space

ENDINGS = ("stopped", "finished", "failed")
ORIGIN, COSTS = "origin", "costs"  # of a trial: what it was drawn from if not by the sampler, and how it went by epoch


class PatientBackend(JournalFileBackend):
    """Optuna's journal on storage that may be full or away for a while. Nobody else writes to it."""

    def __init__(self, journal: Path, patience: Patience) -> None:
        self.journal = journal
        self.patience = patience
        self.records = 0
        """How many the file has, as far as they were read."""
        self.held: list[dict[str, Any]] | None = None
        """Records that wait for the end of :meth:`together`."""
        super().__init__(str(journal))

    @contextmanager
    def together(self) -> Iterator[None]:
        """Write all records of the block at its end, at once: each writing waits until the disk has it."""
        self.held = []
        try:
            yield
        finally:  # what was recorded before an error is as true as it would have been without this block
            held, self.held = self.held, None
            if held:
                self.append_logs(held)
                self.read_logs(self.records)  # Optuna reads on from a place in the file that it has seen

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:  # type: ignore[override]  # a list will do
        """Records from this one on."""
        found: list[dict[str, Any]] = []
        if log_number_from <= self.records:
            found = self.patience(lambda: list(super(PatientBackend, self).read_logs(log_number_from)), self.journal)
            self.records = log_number_from + len(found)
        waiting = (self.held or [])[max(0, log_number_from - self.records) :]
        return iter(found + waiting)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write records, all or none."""
        if self.held is not None:
            self.held += json.loads(json.dumps(logs))  # as they will be read
            return
        start: list[int] = []

        def append() -> None:
            mend(self.journal)
            start.append(self.journal.stat().st_size)
            os.truncate(self.journal, start[0])  # an attempt before this one may have written some of them
            super(PatientBackend, self).append_logs(logs)

        self.patience(append, self.journal)


class OwnStorage(JournalStorage):
    """Optuna's storage of a study whose trials are all drawn here."""

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[optuna.trial.FrozenTrial]:
        """Trials in these states. Nobody queues trials here, and Optuna would look through all of them at each draw."""
        return [] if states == (TrialState.WAITING,) else super().get_all_trials(study_id, deepcopy, states)


@contextmanager
def reading(journal: Path) -> Iterator[None]:
    """Say in one line that a journal is damaged.

    Raises:
        UserError: what is read in the block is not what a search writes.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="Choices for a categorical")  # ours are plain values
            yield
    except (UserError, OSError):
        raise
    except Exception as error:  # Optuna takes its own records for granted and trips over any other in many ways
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise UserError(f"{journal}: not the journal of this search ({reason})") from None


def check_trials(study: optuna.Study, space: Space, journal: Path, goals: int = 1) -> None:
    """Check that every trial is one that a search in ``space`` for so many goals may have had.

    Raises:
        UserError: parameters or an end that it cannot have given.
    """
    if set(study.directions) != {optuna.study.StudyDirection.MINIMIZE}:
        raise UserError(f"{journal}: not the journal of this search (it does not minimise)")
    if len(study.directions) != goals:
        raise UserError(f"{journal}: not the journal of this search (it has another number of goals)")
    for trial in study.get_trials(deepcopy=False):
        _check_parameters(trial, space, f"{journal}: trial {trial.number}")
        if not isinstance(trial.user_attrs.get("reason", ""), str):
            raise UserError(f"{journal}: the reason of trial {trial.number} must be text")
        if trial.user_attrs.get("status", "") not in ("", *ENDINGS):
            raise UserError(f"{journal}: trial {trial.number} must have ended as one of {', '.join(ENDINGS)}")
        costs = trial.user_attrs.get(COSTS, [])
        if not isinstance(costs, list) or not all(map(is_number, costs)):
            raise UserError(f"{journal}: the costs of trial {trial.number} must be a list of numbers")


def _check_parameters(trial: optuna.trial.FrozenTrial, space: Space, place: str) -> None:
    for key, value in trial.params.items():
        if key not in space.parameters or value not in space.parameters[key]:
            raise UserError(f"{place} has {shown(key)}: {shown(value)}, which space {space.name} never gives")
    active = {key for key in space.parameters if space.is_active(key, trial.params)}
    if trial.state.is_finished() and set(trial.params) != active:  # others may have been cut off while it was drawn
        raise UserError(f"{place} has other parameters than space {space.name} gives")


def mend(journal: Path) -> None:
    """Mend what a killed process may have left: half a line, onto which the next record would be written, and a lock.

    The caller holds the run's own lock, so nobody else is writing.
    """
    journal.with_name(f"{journal.name}.lock").unlink(missing_ok=True)
    if journal.is_file():
        with journal.open("r+b") as file:
            cut_half_line(file)
