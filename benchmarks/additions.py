"""What does each part beyond the paper bring? Each alone against a base, cross-validated, at its own best rate.

    python -m benchmarks.additions --data data/celeba-mini --weights vgg16.safetensors
    python -m benchmarks.additions --only cosine dwa --blocks 5 --quick

The base is the multi-task model (multi-task with self-attention for the parts of attention) with the landmark head
started at the mean face, Adam, L1, lambda2 of 20 and batches of 15. Everything is trained on every fold of train and
validation with several seeds and learning rates; of each its best rate by relative error is compared with the base's:
means over seeds of means over folds, and the difference from the base with its 95 % interval over seeds and faces. What
was trained is kept in --work and not trained again. Appends to benchmarks/results/additions.csv.
"""

import argparse
import hashlib
import json
import math
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.material import RESULTS, Material, add_material_options, load_material
from benchmarks.process import in_fresh_process
from benchmarks.record import append_rows
from benchmarks.table import Row, text_table
from core.bootstrap import twofold_difference
from core.cache_folder import default_cache
from core.config import config_from_flat
from core.device import best_precision, device_at_hand, make_repeatable
from core.errors import run_script
from core.folds import FoldedSession
from core.kept_predictions import read_predictions, write_predictions
from core.metrics import Floats, Truth, baseline_scores, cross_entropy, gender_margin, nme_per_face_pct
from core.names import RELATIVE_ERROR, Precision
from core.retraining import finished_record, write_record
from core.seeds import derived_seed
from tune.cluster import WORKER_ENVIRONMENT
from tune.progress import Progress, clock

BASE, ATTENDING = "base", "base, attention"
MULTITASK = {
    "architecture": "multitask",
    "head_width": 512,
    "landmark_start": "mean_face",
    "optimizer": "adam",
    "landmark_loss": "l1",
    "lambda2": 20.0,
}
SELF = {**MULTITASK, "architecture": "attention", "d_k": 256}
ADDITIONS: dict[str, tuple[str, dict[str, Any]]] = {
    BASE: (BASE, MULTITASK),
    "uncertainty": (BASE, {**MULTITASK, "loss_weighting": "uncertainty"}),
    "dwa": (BASE, {**MULTITASK, "loss_weighting": "dwa"}),
    "cosine": (BASE, {**MULTITASK, "lr_schedule": "cosine"}),
    "weight decay 0.001": (BASE, {**MULTITASK, "weight_decay": 0.001}),
    "weight decay 0.01": (BASE, {**MULTITASK, "weight_decay": 0.01}),
    "dropout 0.2": (BASE, {**MULTITASK, "dropout": 0.2}),
    "batches of 50": (BASE, {**MULTITASK, "batch_size": 50}),
    "heatmap": (BASE, {**MULTITASK, "landmark_head": "heatmap"}),
    "heatmap of block 4": (BASE, {**MULTITASK, "landmark_head": "heatmap", "heatmap_block": 4}),
    ATTENDING: (BASE, SELF),
    "own d_k": (ATTENDING, {**SELF, "d_k_landmarks": 64}),
    "values of 64": (ATTENDING, {**SELF, "d_v": 64}),
    "8 heads": (ATTENDING, {**SELF, "attention_heads": 8}),
    "squeeze-and-excitation": (ATTENDING, {**SELF, "attention": "se"}),
    "CBAM": (ATTENDING, {**SELF, "attention": "cbam"}),
}
"""By name: what it is compared with, and its settings."""
SHOWN = ("val_nme_pct", "val_fr10_pct", "val_gender_auc", "val_gender_accuracy")


Key = tuple[str, float, int]


@dataclass(frozen=True)
class Training:
    """One configuration with one seed on every fold."""

    name: str
    lr: float
    seed: int
    settings: Mapping[str, Any]
    epochs: int

    @property
    def key(self) -> Key:
        """What it is known by."""
        return self.name, self.lr, self.seed

    def record(self, precision: str, digest: str) -> dict[str, Any]:
        """What is written beside its predictions, by which they are known again."""
        config = config_from_flat({**self.settings, "lr": self.lr, "precision": precision}).flat()
        return {"seed": self.seed, "epochs": self.epochs, "faces_and_weights": digest, "config": config}


def main() -> None:
    """Parse, train what is missing, print, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_material_options(parser)
    parser.add_argument("--only", nargs="+", choices=list(ADDITIONS), metavar="NAME", help=", ".join(ADDITIONS))
    parser.add_argument("--blocks", type=int, default=4, choices=range(1, 6), help="frozen (default: %(default)s)")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--rates", nargs="+", type=float, default=[1e-4, 3e-4, 1e-3], help="(default: %(default)s)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--work", type=Path, default=default_cache() / "additions", metavar="DIR")
    parser.add_argument("--quick", action="store_true", help="one seed, one rate, 2 folds and 2 epochs; not recorded")
    given = parser.parse_args()
    if given.quick:
        given.seeds, given.rates, given.folds, given.epochs = 1, given.rates[:1], 2, 2
    rows = in_fresh_process(measured, given, environment=WORKER_ENVIRONMENT)
    columns = ("addition", "against", "lr", "relative_error", *SHOWN, "gain_pct", "seconds_per_epoch")
    seeds = f"{given.seeds} seed{'s' if given.seeds > 1 else ''}"
    print(f"\n{given.blocks} frozen blocks, {given.folds} folds, {seeds}\n{text_table(rows, columns)}")
    if not given.quick:
        append_rows(RESULTS / "additions.csv", rows)


def wanted(given: argparse.Namespace) -> list[Training]:
    """All trainings: what is asked for, and what that is compared with."""
    asked = given.only or [name for name in ADDITIONS if name != "heatmap of block 4" or given.blocks < 5]
    names = [*asked, *(against for name in asked for against in (ADDITIONS[name][0], BASE))]
    return [
        Training(name, rate, seed, ADDITIONS[name][1] | {"frozen_blocks": given.blocks}, given.epochs)
        for seed in range(given.seeds)
        for name in dict.fromkeys(names)
        for rate in given.rates
    ]


@dataclass(frozen=True, eq=False)
class Result:
    """What came of a training: metrics of its best epoch, means over folds; and of each face the relative error."""

    best: dict[str, Any]
    error_by_face: Floats


def measured(given: argparse.Namespace) -> list[Row]:
    """Train everything that is asked for and make a row of each addition."""
    torch.set_num_threads(given.threads)
    device = device_at_hand()
    make_repeatable(device)
    precision = str(best_precision(device, default_cache()))
    material = load_material(given, [given.blocks], Precision(precision), device, folds=given.folds)
    lab, trainings, results = Lab(given, material, device), wanted(given), {}
    records = {training.key: training.record(precision, lab.digest) for training in trainings}
    start = time.monotonic()
    with Progress(
        lambda: f"{len(results)}/{len(trainings)} trainings on {given.folds} folds; {clock(time.monotonic() - start)}"
    ):
        for training in trainings:
            results[training.key] = lab.result(training, records[training.key])
    return rows_of(trainings, results)


class Lab:
    """The faces in folds, and what was trained on them, kept in ``given.work``."""

    def __init__(self, given: argparse.Namespace, material: Material, device: torch.device) -> None:
        self.work, self.device, self.weights = given.work, device, material.weights
        inputs = material.inputs[given.blocks]
        self.parts = inputs.fold_examples(np.load(inputs.path, mmap_mode="r"))
        seen = [validation for _, validation in inputs.folds]
        self.truth = Truth(
            np.concatenate([part.gender for part in seen]), np.concatenate([part.landmarks for part in seen])
        )
        known = [material.faces.fingerprint, material.weights.digest, *(part.rows.tolist() for part in seen)]
        self.digest = hashlib.sha256(repr(known).encode()).hexdigest()
        self.mean_face_nme_pct = baseline_scores(self.truth, self.truth)["nme_pct"]

    def result(self, training: Training, record: dict[str, Any]) -> Result:
        """Of a training that is there, or is trained now."""
        folder = self.work / hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:16]
        best = finished_record(folder, record) or self._train(training, record, folder)
        said = read_predictions(folder, len(self.truth.gender))
        assert said.gender_logits is not None
        assert said.landmarks is not None
        nats = cross_entropy(gender_margin(said.gender_logits), self.truth.gender)
        nme_pct = nme_per_face_pct(said.landmarks, self.truth.landmarks)
        return Result(best, (nats / math.log(2) + nme_pct / self.mean_face_nme_pct) / 2)

    def _train(self, training: Training, record: dict[str, Any], folder: Path) -> dict[str, Any]:
        config, seed = config_from_flat(record["config"]), derived_seed(training.seed, 1)
        session = FoldedSession(config, self.parts, self.weights, seed, self.device, training.epochs)
        best: dict[str, Any] = {}
        seconds = []
        for _ in range(training.epochs):
            row = session.run_epoch()
            seconds.append(row["seconds_per_epoch"])
            if not best or row[RELATIVE_ERROR] < best[RELATIVE_ERROR]:
                best = row
                write_predictions(folder, session.predictions)
        best = {**best, "seconds_per_epoch": statistics.median(seconds) / len(self.parts)}
        write_record(folder, record, best)
        return best


def rows_of(trainings: Sequence[Training], results: Mapping[Key, Result]) -> list[Row]:
    """A row an addition, at its best rate: means over seeds, and what it gains on what it is compared with."""
    rates: dict[str, dict[float, list[Result]]] = {}
    for training in trainings:
        rates.setdefault(training.name, {}).setdefault(training.lr, []).append(results[training.key])
    best = {
        name: min(by_rate.items(), key=lambda item: _mean(item[1], RELATIVE_ERROR)) for name, by_rate in rates.items()
    }
    rows = []
    for name, (rate, found) in best.items():
        against = ADDITIONS[name][0]
        row: Row = {"addition": name, "against": "-" if name == BASE else against, "lr": rate, "seeds": len(found)}
        for metric in (RELATIVE_ERROR, *SHOWN, "seconds_per_epoch"):
            values = [result.best[metric] for result in found]
            row |= {metric: _mean(found, metric), f"{metric}_min": min(values), f"{metric}_max": max(values)}
        if name != BASE:
            row |= _gain(found, best[against][1])
        rows.append(row)
    return rows


def _mean(results: Sequence[Result], metric: str) -> float:
    return float(np.mean([result.best[metric] for result in results]))


def _gain(results: Sequence[Result], others: Sequence[Result]) -> Row:
    """How much lower the relative error is than the others', in percent of theirs, with its 95 % interval."""
    ours, theirs = (np.stack([result.error_by_face for result in group]) for group in (results, others))
    gain, low, high = (100 * value / float(theirs.mean()) for value in twofold_difference(theirs, ours, seed=0))
    return {"gain_pct": gain, "gain_pct_min": low, "gain_pct_max": high}


if __name__ == "__main__":
    run_script(main)
