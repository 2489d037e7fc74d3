"""Trainings of additions on folds of the faces, kept so that each is done once."""

import argparse
import hashlib
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.additions_list import settings_of
from benchmarks.material import Material
from core.augmentation import augmentation_of
from core.config import config_from_flat
from core.examples import Examples
from core.folds import FoldedSession
from core.kept_predictions import read_predictions, write_predictions
from core.metrics import Floats, Predictions, Truth, baseline_scores, cross_entropy, gender_margin, nme_per_face_pct
from core.names import RELATIVE_ERROR
from core.retraining import finished_record, write_record
from core.seeds import derived_seed

RATE_SEED = 1000  # far from those that are compared


@dataclass(frozen=True)
class Training:
    """One configuration with one seed on the first ``folds``."""

    name: str
    lr: float
    seed: int
    settings: Mapping[str, Any]
    epochs: int
    folds: int

    def record(self, precision: str, digest: str) -> dict[str, Any]:
        """What is written beside its predictions, by which they are known again."""
        config = config_from_flat({**self.settings, "lr": self.lr, "precision": precision}).flat()
        own = {"seed": self.seed, "epochs": self.epochs, "folds": self.folds}
        return {**own, "faces_and_weights": digest, "config": config}


@dataclass(frozen=True, eq=False)
class Result:
    """What came of a training: metrics of its best epoch, means over folds; and of each face the relative error."""

    best: dict[str, Any]
    error_by_face: Floats


def truth_of_folds(parts: Sequence[tuple[Examples, Examples]]) -> Truth:
    """What is true of the validation faces, one fold after the other."""
    seen = [validation for _, validation in parts]
    return Truth(np.concatenate([part.gender for part in seen]), np.concatenate([part.landmarks for part in seen]))


def error_by_face(said: Predictions, truth: Truth) -> Floats:
    """Relative error of each face (N,) of a model with both tasks; the mean face is that of these faces."""
    assert said.gender_logits is not None
    assert said.landmarks is not None
    nats = cross_entropy(gender_margin(said.gender_logits), truth.gender)
    nme_pct = nme_per_face_pct(said.landmarks, truth.landmarks) / baseline_scores(truth, truth)["nme_pct"]
    error: Floats = (nats / math.log(2) + nme_pct) / 2
    return error


class Lab:
    """The faces in folds, and what was trained on them, kept in ``given.work``."""

    def __init__(self, given: argparse.Namespace, material: Material, device: torch.device, precision: str) -> None:
        self.given, self.device, self.precision, self.weights = given, device, precision, material.weights
        self.inputs = material.inputs[given.blocks]
        self.parts = self.inputs.fold_examples()
        known = [material.faces.fingerprint, material.weights.digest, *(part.rows.tolist() for _, part in self.parts)]
        self.digest = hashlib.sha256(repr(known).encode()).hexdigest()
        self.done, self.doing = 0, ""

    def training(self, name: str, rate: float, seed: int, folds: int) -> Training:
        """One training of an addition."""
        return Training(name, rate, seed, settings_of(name, self.given.blocks), self.given.epochs, folds)

    def best_rate(self, name: str, rates: Sequence[float]) -> float:
        """That with the least relative error on the first folds, with a seed that is used for nothing else."""
        if len(rates) == 1:
            return rates[0]
        tried = (self.training(name, rate, RATE_SEED, self.given.rate_folds) for rate in rates)
        return min(tried, key=lambda training: float(self.result(training).best[RELATIVE_ERROR])).lr

    def result(self, training: Training) -> Result:
        """Of a training that is there, or is trained now."""
        self.doing = f"{training.name}, learning rate {training.lr:g}"
        record = training.record(self.precision, self.digest)
        folder = self.given.work / hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:16]
        best = finished_record(folder, record) or self._train(training, record, folder)
        truth = truth_of_folds(self.parts[: training.folds])
        said = read_predictions(folder, len(truth.gender))
        self.done += 1
        return Result(best, error_by_face(said, truth))

    def _train(self, training: Training, record: dict[str, Any], folder: Path) -> dict[str, Any]:
        config, seed = config_from_flat(record["config"]), derived_seed(training.seed, 1)
        parts = self.inputs.fold_examples(augmentation_of(config.data))[: training.folds]
        session = FoldedSession(config, parts, self.weights, seed, self.device, training.epochs)
        best: dict[str, Any] = {}
        seconds = []
        for _ in range(training.epochs):
            row = session.run_epoch()
            seconds.append(row["seconds_per_epoch"])
            if not best or row[RELATIVE_ERROR] < best[RELATIVE_ERROR]:
                best = row
                write_predictions(folder, session.predictions)
        best = {**best, "seconds_per_epoch": statistics.median(seconds) / len(parts)}
        write_record(folder, record, best)
        return best
