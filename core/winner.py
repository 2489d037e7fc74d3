"""Winners as a search left them: found, checked, read back and made into models."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from core.checks import shown
from core.config import Config, config_from_flat
from core.errors import UserError, first_line
from core.json_text import read_json
from core.models import FaceModel, unlearned
from core.names import CROP, MEAN_FACE, Architecture, Precision
from core.prediction import IMAGE_BATCH
from core.preparation import Reporter
from core.run_folder import RunFolder
from core.weights import Weights, weights_from_file

LABEL = f"(?:{'|'.join(Architecture)})(?:-[0-9]{{1,4}})?"  # the kind of model, with its rank from the second on
SCORES = ("val_", "relative_error", "best_epoch")  # what the names of columns with scores begin with


@dataclass(frozen=True, eq=False)
class Winner:
    """One retrained configuration of one kind of model, with a folder for each seed."""

    label: str
    config: Config
    replicates: tuple[int, ...]
    """The seeds' numbers, ascending; ``folders`` and ``curves`` are in their order."""
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
        UserError: the search has not ended, or a file of a winner is missing, damaged or of another winner.
    """
    table = _candidates(run)
    winners = [_read(run, row) for row in _rows(table[table["rank"] == 1])]
    if not winners:
        raise UserError(f"{run.winners}: no row of rank 1; go on with the search: {run.again}")
    return winners


def read_winner(run: RunFolder, label: str | None) -> Winner:
    """One winner of a run: that of a label such as ``multitask`` or ``multitask-2``; without one, the only first one.

    Raises:
        UserError: no such winner, or several to choose from; the search has not ended; a file of it is damaged.
    """
    if label is None:
        winners = read_winners(run)
        if len(winners) > 1:
            choice = ", ".join(place_of_winner(run, winner.label) for winner in winners)
            raise UserError(f"{run.path}: has several winners; name one of {choice}")
        return winners[0]
    rows = {str(row["model"]): row for row in _rows(_candidates(run))}
    if label not in rows:
        raise UserError(f"{run.winners}: no winner {shown(label)}; it lists {', '.join(rows)}")
    return _read(run, rows[label])


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for _, row in table.iterrows()]


def place_of_winner(run: RunFolder, label: str) -> str:
    """Its folder, or its URL where the run is kept under one."""
    return run.url("winners", label) or str(run.path / "winners" / label)


def _candidates(run: RunFolder) -> pd.DataFrame:
    """The rows of ``winners.csv`` that are models; the baseline's has no rank, which makes floats of all ranks."""
    path = run.winners
    if not path.is_file():
        raise UserError(f"{run.path}: no winners yet; finish the search first: {run.again}")
    try:
        table = pd.read_csv(path)
        models = table[table["model"] != MEAN_FACE]
        whole = {name: models[name].astype("Int64").astype("int64") for name in ("rank", "trial", "seeds")}
        scores = {str(name): models[name].astype("float64") for name in models if str(name).startswith(SCORES)}
        models = models.assign(**whole, **scores)
    except (OSError, ValueError, TypeError, KeyError, OverflowError) as error:
        raise UserError(f"{path}: not the table of winners that a search writes ({first_line(error)})") from None
    for label in map(str, models["model"]):  # it names a folder
        if not re.fullmatch(LABEL, label):
            raise UserError(f"{path}: a model must be one of {', '.join(Architecture)}, got {shown(label)}")
    if not models["model"].is_unique:
        raise UserError(f"{path}: a model must be listed once")
    return models


def _read(run: RunFolder, row: dict[str, Any]) -> Winner:
    label, trial, seeds = str(row["model"]), int(row["trial"]), int(row["seeds"])
    folders = _seed_folders(run.path / "winners" / label)
    resume = f"go on with the run: {run.again}"
    configs = []
    for folder in folders.values():
        found, config = _record(folder / "config.json")
        if found != trial:
            listed = f"{run.winners.name} lists trial {trial}"
            raise UserError(f"{folder}: retrained from trial {found}, {listed}; {resume}")
        configs.append(config)
    if len(folders) != seeds or not folders:
        place = run.path / "winners" / label
        raise UserError(f"{place}: {len(folders)} retrained seeds, {run.winners.name} lists {seeds}; {resume}")
    if configs.count(configs[0]) != seeds:
        raise UserError(f"{run.path / 'winners' / label}: its seeds differ in their settings; {resume}")
    curves = tuple(_curve(folder / "curve.csv") for folder in folders.values())
    return Winner(label, configs[0], tuple(folders), tuple(folders.values()), curves, row)


def _seed_folders(place: Path) -> dict[int, Path]:
    """The finished seeds of a winner by number; ``config.json`` is written last."""
    named = ((re.fullmatch(r"seed-([0-9]+)", path.parent.name), path.parent) for path in place.glob("*/config.json"))
    return dict(sorted((int(match[1]), folder) for match, folder in named if match))


def _record(path: Path) -> tuple[object, Config]:
    """The trial and the configuration that a seed was retrained from."""
    try:
        record = read_json(path)
        return record["trial"], config_from_flat(record["config"])
    except (KeyError, TypeError, UserError) as error:
        raise UserError(f"{path}: not the record of a retrained winner ({first_line(error)})") from None


def _curve(path: Path) -> pd.DataFrame:
    try:
        curve = pd.read_csv(path)
    except (OSError, ValueError, OverflowError) as error:
        raise UserError(f"{path}: not a learning curve ({first_line(error)})") from None
    whole = not curve.empty and "epoch" in curve and curve.select_dtypes("number").shape == curve.shape
    if not whole or np.isinf(curve.to_numpy(dtype=np.float64)).any() or curve["epoch"].isna().any():
        raise UserError(f"{path}: not a learning curve (it must have a row of numbers for each epoch)")
    return curve


def read_backbone(run: RunFolder) -> Weights:
    """The convolutions that all winners of a run started from.

    Raises:
        UserError: the file is missing or damaged.
    """
    return weights_from_file(run.backbone)


def load_model(backbone: Weights, winner: Winner, folder: Path, device: torch.device) -> FaceModel:
    """The model of one seed: the run's backbone with what this winner learned laid over it.

    Raises:
        UserError: the seed's weights are missing, damaged or of another model.
    """
    with torch.device("meta"):  # random heads of 120 million parameters each would only be overwritten
        model = unlearned(winner.config.model)
    learned = read_learned(folder / "weights.safetensors", model.learned_tensors(), model.state_dict())
    started = {f"features.{name}": tensor for name, tensor in backbone.features.items()}
    model.load_state_dict({**started, **learned}, assign=True)
    model.features.to(memory_format=torch.channels_last)
    return model.to(device).eval()


def check_weights(winners: Sequence[Winner], backbone: Weights, device: torch.device, report: Reporter) -> None:
    """Load every seed's model once, let each winner's first look at black faces, and let go of them: what cannot be
    loaded, or not be used on the device, must not cost an opening of the test split.

    Raises:
        UserError: a seed's weights are missing, damaged or of another model, or the device fails.
    """
    folders = [(winner, folder) for winner in winners for folder in winner.folders]
    progress = report("checking the winners' weights")
    count = IMAGE_BATCH if device.type == "cuda" else 1  # a GPU must have room for as many as the test shows it at once
    for done, (winner, folder) in enumerate(folders, 1):
        try:
            model = load_model(backbone, winner, folder, device)
            if folder is winner.folders[0]:
                look_at(model, torch.zeros((count, 3, CROP, CROP), dtype=torch.uint8, device=device), winner.config)
        except RuntimeError as error:
            without = "; CUDA_VISIBLE_DEVICES= (empty) tests on the CPU" if device.type == "cuda" else ""
            raise UserError(f"{folder}: cannot be used on the {device.type} ({first_line(error)}){without}") from None
        progress(done, len(folders))


@torch.inference_mode()
def look_at(model: FaceModel, images: Tensor, config: Config) -> None:
    """Let a model see uint8 faces (B, 3, 224, 224) in its own precision, whatever it says."""
    bf16 = config.training.precision is Precision.BF16
    with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
        model(model.frozen_features(images))


def read_learned(path: Path, expected: Mapping[str, Tensor], known: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a winner's weights file as float32, in the names and shapes of ``expected``.

    It may hold others of ``known``, all that the model has: older versions kept convolutions that nothing looks at.

    Raises:
        UserError: the file is damaged or of another model.
    """
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path}: not readable as weights ({first_line(error)})") from None
    for name in sorted(set(expected) | set(tensors)):
        wanted = expected if name in expected else known
        shapes = [tuple(held[name].shape) if name in held else "missing" for held in (tensors, wanted)]
        if shapes[0] != shapes[1]:
            raise UserError(f"{path}: not the weights of this winner ({name} is {shapes[0]}, must be {shapes[1]})")
        if not bool(torch.isfinite(tensors[name]).all()):
            raise UserError(f"{path}: {name} holds values that are not finite")
    return {name: tensors[name].float() for name in expected}
