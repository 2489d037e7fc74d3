"""Winners as a search left them: found, read back and made into models."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from core.config import Config, config_from_flat
from core.errors import UserError
from core.models import FaceModel
from core.names import Architecture
from core.run_folder import RunFolder


@dataclass(frozen=True, eq=False)
class Winner:
    """The best retrained configuration of one kind of model, with a folder for each seed."""

    label: str
    config: Config
    folders: tuple[Path, ...]
    curves: tuple[pd.DataFrame, ...]
    row: dict[str, Any]
    """Its row of ``winners.csv``."""

    @property
    def architecture(self) -> Architecture:
        """Which of the four models it is."""
        return self.config.model.architecture


def read_winners(run: RunFolder) -> list[Winner]:
    """The first-ranked winner of each kind of model in a run.

    Raises:
        UserError: the search has not ended, or a file of a winner is missing or damaged.
    """
    if not run.winners.is_file():
        raise UserError(f"{run.path}: no winners yet; finish the search first: --resume {run.path.name}")
    table = pd.read_csv(run.winners)
    return [_read(run, dict(row)) for _, row in table[table["rank"] == 1].iterrows()]


def _read(run: RunFolder, row: dict[str, Any]) -> Winner:
    label = str(row["model"])
    folders = sorted(path.parent for path in (run.path / "winners" / label).glob("seed-*/config.json"))
    if not folders:
        raise UserError(f"{run.path}/winners/{label}: no retrained weights here")
    record = json.loads((folders[0] / "config.json").read_text(encoding="utf-8"))
    curves = tuple(pd.read_csv(folder / "curve.csv") for folder in folders)
    return Winner(label, config_from_flat(record["config"]), tuple(folders), curves, row)


def load_model(run: RunFolder, winner: Winner, folder: Path, device: torch.device) -> FaceModel:
    """The model of one seed: the run's backbone with what this winner learned laid over it.

    Raises:
        UserError: a file is missing, damaged or of another model.
    """
    settings = winner.config.model
    model = FaceModel(
        settings.architecture, settings.frozen_blocks, settings.head_width, settings.dropout, settings.d_k
    )
    path = folder / "weights.safetensors"
    try:
        tensors = {**load_file(run.backbone), **load_file(path)}
        model.load_state_dict(tensors)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise UserError(f"{path}: not the weights of this winner ({str(error).splitlines()[0][:200]})") from None
    model.features.to(memory_format=torch.channels_last)
    return model.to(device).eval()
