"""A run as a search leaves it, made in a moment: tiny heads that learned nothing, on a few drawn faces."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file

from core.config import Config, config_from_flat
from core.faces import Faces
from core.metrics import Predictions
from core.models import FaceModel, unlearned
from core.names import MEAN_FACE
from core.run_folder import RunFolder
from core.splits import Split, write_split
from core.weights import Weights
from core.winner import Winner

TINY = {"head_width": 4, "frozen_blocks": 5, "precision": "fp32", "dropout": 0.0}
FACE = np.array([[80, 100], [144, 100], [112, 140], [88, 170], [136, 170]], dtype=np.float32)  # eyes 64 px apart


def tiny(**settings: Any) -> Config:
    return config_from_flat({**TINY, **settings})


def tiny_model(config: Config, seed: int) -> FaceModel:
    torch.manual_seed(seed)
    return unlearned(config.model)


def curve(epochs: int = 3) -> pd.DataFrame:
    falling = 1 / np.arange(1, epochs + 1)
    columns = {"train_loss": falling, "val_loss": falling, "relative_error": falling}
    return pd.DataFrame({"epoch": np.arange(1, epochs + 1), **columns})


def write_seed(run: RunFolder, label: str, number: int, trial: int = 1, **settings: Any) -> Path:
    """One retrained seed without a search."""
    folder, config = run.winner(label, number), tiny(**settings)
    folder.mkdir(parents=True)
    save_file(
        {k: t.detach().clone() for k, t in tiny_model(config, number).learned_tensors().items()},
        folder / "weights.safetensors",
    )
    curve().to_csv(folder / "curve.csv", index=False)
    (folder / "config.json").write_text(json.dumps({"trial": trial, "replicate": number, "config": config.flat()}))
    return folder


def write_winners(run: RunFolder, rows: Sequence[tuple[str, int, int, int]]) -> None:
    """``winners.csv`` from (model, rank, trial, seeds); the baseline's row makes pandas read ranks as floats."""
    table = pd.DataFrame(rows, columns=["model", "rank", "trial", "seeds"])
    table["val_nme_pct"], table["val_nme_pct_sd"] = 7.5, 0.25
    table = table.astype({"rank": "Int64", "trial": "Int64", "seeds": "Int64"})
    nothing = pd.DataFrame([{"model": MEAN_FACE, "val_nme_pct": 45.0}])
    pd.concat([table, nothing], ignore_index=True).to_csv(run.winners, index=False)


def write_backbone(run: RunFolder, weights: Weights) -> None:
    run.backbone.parent.mkdir(parents=True, exist_ok=True)
    save_file(dict(weights.tensors), run.backbone)


def write_run(
    path: Path, faces: Faces, split: Split, weights: Weights, models: Mapping[str, str], plan: Mapping[str, Any]
) -> RunFolder:
    """A run with two seeds (0 and 2; seed 1 failed) of each of ``models`` (label: architecture)."""
    run = RunFolder(path)
    path.mkdir(parents=True)
    search = {
        "plan": plan,
        "workers": {"count": 1, "threads": 1, "gpus": 0.0},
        "precision": "fp32",
        "faces": len(faces),
        "data_fingerprint": faces.fingerprint,
        "split_fingerprint": split.fingerprint(faces.file),
        "weights": weights.source,
        "weights_sha256": weights.digest,
        "baseline_validation": {"nme_pct": 45.0, "relative_error": 1.0},
    }
    run.write_search(search)
    write_split(run.split, faces, split)
    write_backbone(run, weights)
    for label, architecture in models.items():
        for number in (0, 2):
            write_seed(run, label, number, architecture=architecture)
    write_winners(run, [(label, 1, 1, 2) for label in models])
    return run


def made_winner(label: str, replicates: Sequence[int] = (0, 2), **settings: Any) -> Winner:
    """A winner without files."""
    folders = tuple(Path(f"seed-{number}") for number in replicates)
    row = {"model": label, "val_nme_pct": 7.5, "val_nme_pct_sd": 0.25, "val_loss": 0.5, "relative_error": 0.25}
    return Winner(label, tiny(**settings), tuple(replicates), folders, tuple(curve() for _ in replicates), row)


def made_predictions(
    landmarks: np.ndarray, gender: np.ndarray, shift_px: float, tasks: str = "gender landmarks"
) -> Predictions:
    """Every face right about its gender with 73 %, every landmark off to the right by ``shift_px``."""
    logits = np.stack([1.0 - gender, gender], axis=1).astype(np.float32)
    moved = landmarks + np.array([shift_px, 0], dtype=np.float32)
    return Predictions(logits if "gender" in tasks else None, moved if "landmarks" in tasks else None)
