"""A small run to be damaged, written by Tandem: drawn faces, one winner with one seed, a kept test, a checkpoint."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core.config import Config, config_from_flat
from core.examples import Examples
from core.faces import Faces, load_drawn_faces
from core.final_test import Measured
from core.kept_test import keep_test
from core.metrics import Predictions
from core.names import Architecture
from core.objective import Objective
from core.retraining import Retraining, finished_record
from core.run_folder import RunFolder
from core.session import Session
from core.splits import split_faces, write_split
from core.vgg import vgg16_features
from core.weights import Weights
from core.winner import read_winners
from tune.winners import Candidate, winners_table

FACES = 40
OBJECTIVE = Objective("relative_error")
SETTINGS = {"architecture": "multitask", "head_width": 2, "frozen_blocks": 5, "precision": "fp32"}


@dataclass(frozen=True, eq=False)
class Material:
    """What the readers need."""

    folder: Path
    faces: Faces
    run: RunFolder
    session: Session

    def small_tensors(self) -> dict[str, Tensor]:
        """What a winner's weights file holds."""
        return self.session.learned_tensors()

    def checkpoint(self, place: Path) -> bytes:
        """The checkpoint of a retraining in ``place`` after one epoch."""
        retraining = Retraining(new_session(), OBJECTIVE, 9, place, {"model": "m"})
        retraining.run_epoch()
        retraining.checkpoint()
        return (place / "checkpoint.pt").read_bytes()


def new_session() -> Session:
    """Tiny heads on made-up activations of five frozen blocks."""
    random = np.random.default_rng(0)
    inputs = random.normal(0, 0.3, (FACES, 512, 7, 7)).astype(np.float32)
    face = np.array([[80, 100], [144, 100], [112, 140], [88, 170], [136, 170]], dtype=np.float32)
    shift = random.normal(0, 9, (FACES, 1, 2)).astype(np.float32)
    gender = np.arange(FACES) % 2

    def part(rows: np.ndarray) -> Examples:
        return Examples(inputs, rows, face + shift[rows], gender[rows].astype(np.int64))

    tensors = {f"features.{k}": torch.zeros(t.shape) for k, t in vgg16_features("meta").state_dict().items()}
    halves = np.arange(FACES).reshape(2, -1)
    weights = Weights(tensors, "zeros", "0" * 64)
    return Session(settings(), part(halves[0]), part(halves[1]), weights, 0, torch.device("cpu"))


def settings() -> Config:
    """Of the only winner."""
    return config_from_flat(SETTINGS)


def small_run(folder: Path) -> Material:
    """A run's folder, made in some seconds."""
    faces = load_drawn_faces(FACES, 0, folder / "cache")
    run = RunFolder(folder / "run")
    run.path.mkdir(parents=True)
    write_split(run.split, faces, split_faces(faces.gender, faces.identity, 0))
    record = {"model": "multitask", "trial": 3, "replicate": 0, "config": settings().flat()}
    retraining = Retraining(new_session(), OBJECTIVE, 2, run.winner("multitask", 0), record)
    while not retraining.done:
        retraining.run_epoch()
    best = finished_record(retraining.folder, record)
    assert best is not None
    candidate = Candidate("multitask", Architecture.MULTITASK, 3, SETTINGS)
    winners_table([candidate], {"multitask": [best]}, OBJECTIVE, {"nme_pct": 45.0}, {}).to_csv(run.winners, index=False)
    predicted = Predictions(np.zeros((FACES, 2), np.float32), faces.landmarks)
    keep_test(run.test, [Measured(read_winners(run)[0], [predicted], 12.5, "a CPU")])
    return Material(folder, faces, run, retraining.session)
