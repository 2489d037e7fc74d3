"""TensorBoard: a run's curves, and its hyperparameters beside the metrics that they gave."""

import math
from pathlib import Path
from typing import Any

from tensorboard.plugins.hparams import summary_v2 as hparams  # its api module would import TensorFlow
from torch.utils.tensorboard import SummaryWriter

from core.names import METRICS, RELATIVE_ERROR
from core.run_folder import RunFolder
from search_spaces.parameter import Choice, Float, Int, Parameter
from search_spaces.space import Space

BEST = "best"  # what a trial's row of trials.csv holds: its best epoch
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

    def describe(self) -> None:
        """Announce every parameter of the space, so that one absent from the first trial shows too."""
        with SummaryWriter(str(self.run.path)) as writer:
            domains = [hparams.HParam(name, _domain(p)) for name, p in self.space.parameters.items()]
            metrics = [hparams.Metric(f"{BEST}/{name}", display_name=name) for name in HEADLINE]
            _add(writer, hparams.hparams_config_pb(domains, metrics))

    def epoch(self, number: int, row: dict[str, Any]) -> None:
        """One epoch of a trial."""
        self._scalars(self.run.trial(number), row)

    def end(self, number: int, config: dict[str, Any], best: dict[str, Any]) -> None:
        """The trial's hyperparameters, and the metrics of its best epoch as they stand in ``trials.csv``."""
        folder = self.run.trial(number)
        writer = self._writer(folder)
        _add(writer, hparams.hparams_pb(config, trial_id=f"trial-{number:04d}"))
        for name in HEADLINE:
            if name in best:
                writer.add_scalar(f"{BEST}/{name}", best[name], int(best["epoch"]))
        writer.close()
        del self.writers[str(folder)]

    def winner_epoch(self, folder: str, row: dict[str, Any]) -> None:
        """One epoch of a winner."""
        self._scalars(Path(folder), row)

    def close(self) -> None:
        """Close what is still open."""
        for writer in self.writers.values():
            writer.close()
        self.writers.clear()

    def _scalars(self, folder: Path, row: dict[str, Any]) -> None:
        # What an earlier process wrote from this epoch on is void: the trial started over or went on from a checkpoint.
        writer = self._writer(folder, purge_step=int(row["epoch"]))
        for name in ("train_loss", *(f"val_{metric}" for metric in METRICS), RELATIVE_ERROR, "seconds_per_epoch"):
            value = row.get(name)
            if value is not None and math.isfinite(value):
                writer.add_scalar(name, value, int(row["epoch"]))
        writer.flush()

    def _writer(self, folder: Path, purge_step: int | None = None) -> SummaryWriter:
        key = str(folder)
        if key not in self.writers:
            self.writers[key] = SummaryWriter(key, purge_step=purge_step)
        return self.writers[key]


def _add(writer: SummaryWriter, summary: Any) -> None:
    """Write a message that torch's writer has no method for."""
    writer._get_file_writer().add_summary(summary)  # type: ignore[no-untyped-call]  # torch leaves it untyped


def _domain(parameter: Parameter) -> Any:
    if isinstance(parameter, Choice):
        kinds = {type(value) for value in parameter.values}
        return hparams.Discrete([value if len(kinds) == 1 else str(value) for value in parameter.values])
    if isinstance(parameter, Int):
        return hparams.IntInterval(parameter.low, parameter.high)
    assert isinstance(parameter, Float)
    return hparams.RealInterval(parameter.low, parameter.high)
