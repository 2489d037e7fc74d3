"""TensorBoard: a run's curves, and its hyperparameters beside the metrics that they gave."""

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import summary_v2 as hparams  # its api module would import TensorFlow
from torch.utils.tensorboard import SummaryWriter

from core.names import METRICS, RELATIVE_ERROR
from core.run_folder import RunFolder
from search_spaces.parameter import Choice, Float, Int, Parameter
from search_spaces.space import Space
from tune.ledger import Entry

BEST = "best"  # what a trial's row of trials.csv holds: its best epoch
CURVES = ("train_loss", *(f"val_{metric}" for metric in METRICS), RELATIVE_ERROR, "seconds_per_epoch")
HEADLINE = (RELATIVE_ERROR, "val_gender_auc", "val_nme_pct", "val_loss")


class Board:
    """Event files of one run: a folder a trial, and one beside each winner's weights.

    Hyperparameters go through TensorBoard's own messages, because torch's ``add_hparams`` starts a run of its own for
    each trial and forgets parameters that the first trial lacks.
    """

    def __init__(self, run: RunFolder, space: Space) -> None:
        self.run = run
        self.space = space
        self.writers: dict[str, SummaryWriter] = {}
        self.owed: dict[Path, Callable[[], None]] = {}
        """What storage has not taken yet, by folder."""
        if threading.excepthook is threading.__excepthook__:
            threading.excepthook = _quiet

    def describe(self) -> None:
        """Announce every parameter of the space, so that one absent from the first trial shows too."""
        with SummaryWriter(str(self.run.path)) as writer:
            domains = [hparams.HParam(name, _domain(p)) for name, p in self.space.parameters.items()]
            metrics = [hparams.Metric(f"{BEST}/{name}", display_name=name) for name in HEADLINE]
            _add(writer, hparams.hparams_config_pb(domains, metrics))

    def begin(self, entry: Entry) -> None:
        """A trial is begun, perhaps anew: its next epoch goes into a new file, which voids what others have from there
        on."""
        folder = self.run.trial(entry.number)
        self._lose(folder)
        self.owed.pop(folder, None)  # of a curve that is void

    def winner_begin(self, folder: str) -> None:
        """The same of a winner, which may go on from a checkpoint."""
        self._lose(Path(folder))

    def epoch(self, entry: Entry) -> None:
        """A trial has trained one more epoch."""
        folder = self.run.trial(entry.number)
        self._do(folder, lambda: self._scalars(folder, entry.curve))

    def end(self, entry: Entry, best: dict[str, Any]) -> None:
        """The trial's hyperparameters, and the metrics of its best epoch as they stand in ``trials.csv``."""
        folder = self.run.trial(entry.number)
        self._do(folder, lambda: self._end(folder, entry, best))

    def winner_epoch(self, folder: str, curve: Sequence[dict[str, Any]]) -> None:
        """A winner has trained one more epoch; ``curve`` has those since it was begun or gone on with."""
        self._do(Path(folder), lambda: self._scalars(Path(folder), curve))

    def close(self) -> None:
        """Write what is owed, and close what is still open; all that went into it is written."""
        self._do(self.run.path, lambda: None)
        for folder in list(self.writers):
            self._lose(Path(folder))

    def _do(self, folder: Path, action: Callable[[], None]) -> None:
        """Write for a folder. What storage does not take now is written whole when it takes the next thing."""
        for place, due in {**self.owed, folder: action}.items():  # with a new file, an action writes the whole curve
            try:
                due()
                self.owed.pop(place, None)
            except OSError:
                self._lose(place)
                self.owed[place] = due

    def _lose(self, folder: Path) -> None:
        writer = self.writers.pop(str(folder), None)
        if writer is not None:
            with suppress(OSError):  # what it could not write is owed, or was written with its epoch
                writer.close()

    def _end(self, folder: Path, entry: Entry, best: dict[str, Any]) -> None:
        if str(folder) not in self.writers and entry.curve:
            self._scalars(folder, entry.curve)
        writer = self._writer(folder)
        _add(writer, hparams.hparams_pb(entry.config, trial_id=f"trial-{entry.number:04d}"))
        if best:
            points = {f"{BEST}/{name}": best[name] for name in HEADLINE if name in best}
            _add(writer, _scalars_of(points), int(best["epoch"]))
        writer.close()
        del self.writers[str(folder)]

    def _scalars(self, folder: Path, curve: Sequence[dict[str, Any]]) -> None:
        # A new file gets the whole curve. What an earlier one has from its first epoch on is void: the trial started
        # over, went on from a checkpoint, or storage did not take all of it.
        rows = curve[-1:] if str(folder) in self.writers else list(curve)
        writer = self._writer(folder, purge_step=int(rows[0]["epoch"]))
        for row in rows:
            points = {name: row[name] for name in CURVES if row.get(name) is not None and math.isfinite(row[name])}
            _add(writer, _scalars_of(points), int(row["epoch"]))
        writer.flush()

    def _writer(self, folder: Path, purge_step: int | None = None) -> SummaryWriter:
        key = str(folder)
        if key not in self.writers:
            self.writers[key] = SummaryWriter(key, purge_step=purge_step)
        return self.writers[key]


def _quiet(raised: threading.ExceptHookArgs) -> None:
    """TensorBoard's threads end on an OSError, which reaches us with the next event; a traceback says no more."""
    ours = type(raised.thread).__module__.startswith("tensorboard.")
    if not (ours and issubclass(raised.exc_type, OSError)):
        threading.__excepthook__(raised)


def _scalars_of(points: Mapping[str, float]) -> Summary:
    """A point of each of some curves, as one message: each message waits for its turn in the writer's thread."""
    return Summary(value=[Summary.Value(tag=name, simple_value=value) for name, value in points.items()])


def _add(writer: SummaryWriter, summary: Any, step: int | None = None) -> None:
    """Write a message that torch's writer has no method for."""
    writer._get_file_writer().add_summary(summary, step)  # type: ignore[no-untyped-call]  # torch leaves it untyped


def _domain(parameter: Parameter) -> Any:
    if isinstance(parameter, Choice):
        kinds = {type(value) for value in parameter.values}
        return hparams.Discrete([value if len(kinds) == 1 else str(value) for value in parameter.values])
    if isinstance(parameter, Int):
        return hparams.IntInterval(parameter.low, parameter.high)
    assert isinstance(parameter, Float)
    return hparams.RealInterval(parameter.low, parameter.high)
