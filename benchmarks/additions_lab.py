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
from filelock import FileLock
from numpy.typing import NDArray

from benchmarks.additions_list import ADDITIONS, settings_of
from benchmarks.material import Material
from core.augmentation import augmentation_of
from core.config import Config, config_from_flat
from core.errors import UserError
from core.examples import Examples
from core.folds import FoldedSession
from core.kept_predictions import read_predictions, write_predictions
from core.metrics import Floats, Predictions, Truth, baseline_scores, cross_entropy, gender_margin, nme_per_face_pct
from core.names import RELATIVE_ERROR
from core.retraining import finished_record, write_record
from core.seeds import derived_seed
from core.session import DivergedError

DEFAULTS = Config().flat()
RATE_SEED = 1000  # far from those that are compared
RECIPE = 3  # changes with anything that trains otherwise under the same settings: what is kept is trained anew then


@dataclass(frozen=True)
class Training:
    """One configuration with one seed on the first ``folds``."""

    name: str
    lr: float
    seed: int
    settings: Mapping[str, Any]
    epochs: int
    """At most."""
    patience: int
    """Epochs without a better one after which it ends."""
    folds: int

    def record(self, precision: str, digest: str) -> dict[str, Any]:
        """What is written beside its predictions, by which they are known again."""
        config = config_from_flat({**self.settings, "lr": self.lr, "precision": precision}).flat()
        own = {"seed": self.seed, "epochs": self.epochs, "patience": self.patience, "folds": self.folds}
        return {"recipe": RECIPE, **own, "faces_and_weights": digest, "config": config}


@dataclass(frozen=True, eq=False)
class Result:
    """What came of a training: metrics of its best epoch, means over folds; and of each face what errors it has."""

    best: dict[str, Any]
    by_face: dict[str, Floats]


def truth_of_folds(parts: Sequence[tuple[Examples, Examples]]) -> Truth:
    """What is true of the validation faces, one fold after the other."""
    seen = [validation for _, validation in parts]
    return Truth(np.concatenate([part.gender for part in seen]), np.concatenate([part.landmarks for part in seen]))


def errors_by_face(said: Predictions, truth: Truth) -> dict[str, Floats]:
    """Of each face (N,) of a model with both tasks: relative error (the mean face is that of these faces), NME in
    percent and cross-entropy in nats."""
    assert said.gender_logits is not None
    assert said.landmarks is not None
    nats = cross_entropy(gender_margin(said.gender_logits), truth.gender)
    nme_pct = nme_per_face_pct(said.landmarks, truth.landmarks)
    relative: Floats = (nats / math.log(2) + nme_pct / baseline_scores(truth, truth)["nme_pct"]) / 2
    return {RELATIVE_ERROR: relative, "nme_pct": nme_pct, "gender_ce": nats}


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
        """One training of an addition, for its own number of epochs or for as long as it gets better."""
        settings, fixed = settings_of(name, self.given.blocks, self.given.head_width), ADDITIONS[name].epochs
        epochs, patience = (fixed, fixed) if fixed else (self.given.epochs, self.given.patience)
        return Training(name, rate, seed, settings, min(epochs, self.given.epochs), patience, folds)

    def best_rate(self, name: str, rates: Sequence[float]) -> float:
        """That with the least relative error on the first folds, with a seed that is used for nothing else.

        From the middle of ``rates``, which ascend, it goes to the better neighbour until neither is better.
        """
        at = (len(rates) - 1) // 2
        while True:
            beside = [index for index in (at, at - 1, at + 1) if 0 <= index < len(rates)]
            if len(beside) == 1:
                return rates[at]
            best = min(beside, key=lambda index: self._error_of(name, rates[index]))
            if best == at:
                return rates[at]
            at = best

    def _error_of(self, name: str, rate: float) -> float:
        best = self.record(self.training(name, rate, RATE_SEED, self.given.rate_folds))
        return float(best[RELATIVE_ERROR]) if best else math.inf

    def result(self, training: Training) -> Result:
        """Of a training that is there, or is trained now.

        Raises:
            UserError: it diverged in its first epoch.
        """
        best = self.record(training)
        if not best:
            raise UserError(f"{training.name}: diverged with a learning rate of {training.lr:g}, seed {training.seed}")
        return Result(best, errors_by_face(self.predictions(training), truth_of_folds(self.parts[: training.folds])))

    def predictions(self, training: Training) -> Predictions:
        """What a training that is there says of the validation faces, one fold after the other."""
        faces = sum(len(validation) for _, validation in self.parts[: training.folds])
        return read_predictions(self._folder(training)[0], faces)

    def folds_of_faces(self, folds: int) -> NDArray[np.int64]:
        """The fold (N,) of each validation face."""
        return np.repeat(np.arange(folds), [len(validation) for _, validation in self.parts[:folds]])

    def record(self, training: Training) -> dict[str, Any]:
        """Metrics of the best epoch of a training that is there, or is trained now; none if it diverged in its first.

        Two processes that want the same one wait for each other.
        """
        self.doing = f"{training.name}, learning rate {training.lr:g}"
        folder, record = self._folder(training)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            known = finished_record(folder, record)
            best = self._train(training, record, folder) if known is None else known
        self.done += 1
        return {} if best.get("diverged") else best

    def _folder(self, training: Training) -> tuple[Path, dict[str, Any]]:
        record = training.record(self.precision, self.digest)
        # Settings at their defaults do not count, so that a new one leaves what was trained before it where it is.
        named = {**record, "config": {key: value for key, value in record["config"].items() if value != DEFAULTS[key]}}
        name = hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()[:16]
        return self.given.work / name, record

    def _train(self, training: Training, record: dict[str, Any], folder: Path) -> dict[str, Any]:
        config, seed = config_from_flat(record["config"]), derived_seed(training.seed, 1)
        parts = self.inputs.fold_examples(augmentation_of(config.data))[: training.folds]
        session = FoldedSession(config, parts, self.weights, seed, self.device, training.epochs)
        best: dict[str, Any] = {}
        seconds = []
        while session.epoch < min(training.epochs, best.get("epoch", 0) + training.patience):
            try:
                row = session.run_epoch()
            except DivergedError:
                break  # what it had learned before counts
            seconds.append(row["seconds_per_epoch"])
            if not best or row[RELATIVE_ERROR] < best[RELATIVE_ERROR]:
                best, said = row, session.predictions
        if best:
            write_predictions(folder, said)
            best = {**best, "seconds_per_epoch": statistics.median(seconds) / len(parts)}
        write_record(folder, record, best or {"diverged": True})
        return best or {"diverged": True}
