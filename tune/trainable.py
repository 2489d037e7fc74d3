"""What runs in Ray's worker processes: thin shells around a session."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch
from ray import tune as ray_tune

from core.augmentation import Augmentation, augmentation_of
from core.config import Config, config_from_flat
from core.device import make_repeatable
from core.examples import Examples
from core.folds import FoldedSession
from core.kept_predictions import write_predictions
from core.objective import Objective
from core.preparation import Inputs
from core.retraining import Retraining, write_record
from core.session import Session
from core.weights import Weights
from tune.depot import Depot
from tune.guard import guarded_epoch
from tune.machine import sharing
from tune.outpost import Outpost
from tune.recorder import AWAY, NOTE


@dataclass(frozen=True, eq=False)
class Workload:
    """All that a worker needs besides a trial's parameters; travels once per worker, the big arrays as paths."""

    inputs: dict[int, Inputs]
    weights: "Weights | ray.ObjectRef[Weights]"
    """Themselves, or where Ray keeps them."""
    settings: dict[str, Any]
    """Flat config that every trial shares."""
    threads: int
    gpus: float
    """That each trial has: 0 for none, 0.5 where two share one."""
    epochs: int
    retrain_epochs: int
    objective: Objective
    folded: bool
    """Whether a trial is trained on every fold."""
    keep_predictions: bool
    """Whether a trial leaves what it predicted for the validation faces, in its best epoch, in its folder."""
    timeout: float | None
    """Seconds that an epoch may take before its worker counts as hanging; None for any."""
    depot: Depot | None
    """Where nodes that lack the inputs' files get them; None where there is but one machine."""
    cache: Path | None
    """The cache folder that the user wants on every node; None for each node's own default."""


class Bench:
    """A worker's lasting part: memory-mapped inputs and pretrained weights, kept from trial to trial."""

    def __init__(self, workload: Workload) -> None:
        torch.set_num_threads(workload.threads)
        self.workload = workload
        given = workload.weights
        self.weights: Weights = ray.get(given) if isinstance(given, ray.ObjectRef) else given
        self.device = torch.device("cuda" if workload.gpus else "cpu")
        make_repeatable(self.device)
        self.arrays: dict[Path, np.ndarray] = {}

    def examples(self, config: Config) -> tuple[Examples, Examples]:
        """What a config trains and is validated on."""
        blocks, augmentation = inputs_of(config)
        return self.workload.inputs[blocks].examples(augmentation, self._opened)

    def _opened(self, path: Path) -> np.ndarray:
        """The array of a file, opened, and on a node that lacks it fetched, when first read."""
        if path not in self.arrays:
            depot = self.workload.depot
            self.arrays[path] = np.load(path if depot is None else depot.local(path), mmap_mode="r")
        return self.arrays[path]

    def session(self, parameters: dict[str, Any], seed: int, epochs: int) -> Session:
        """A fresh session on train and validation, for so many epochs."""
        config = config_from_flat({**self.workload.settings, **parameters})
        gpu_share = sharing(self.workload.gpus)
        return Session(config, *self.examples(config), self.weights, seed, self.device, gpu_share, epochs)

    def trial(self, parameters: dict[str, Any], seed: int) -> Session | FoldedSession:
        """A fresh session of a trial, on every fold where trials are cross-validated."""
        if not self.workload.folded:
            return self.session(parameters, seed, self.workload.epochs)
        config = config_from_flat({**self.workload.settings, **parameters})
        blocks, augmentation = inputs_of(config)
        folds = self.workload.inputs[blocks].fold_examples(augmentation, self._opened)
        epochs, gpu_share = self.workload.epochs, sharing(self.workload.gpus)
        return FoldedSession(config, folds, self.weights, seed, self.device, epochs, gpu_share)


def inputs_of(config: Config) -> tuple[int, Augmentation | None]:
    """Which prepared inputs a config reads: those of its frozen blocks, and the views of its augmentation.

    Faces, 0, which are augmented as they are shown, where none are frozen or nothing may be cached.
    """
    blocks = config.model.frozen_blocks if config.training.activation_cache else 0
    return blocks, augmentation_of(config.data) if blocks else None


class SearchTrial(ray_tune.Trainable):
    """One trial of the search; keeps no weights."""

    session: Session | FoldedSession | None = None

    def setup(self, config: dict[str, Any], workload: Workload) -> None:
        """Open what lasts, then start the first trial."""
        self.bench = Bench(workload)
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Start another trial in this process."""
        self._let_go()  # before the new one is made
        self.job = new_config
        self.best: dict[str, float] = {}
        return True

    def step(self) -> dict[str, Any]:
        """One epoch."""
        result = guarded_epoch(self._epoch, self.bench.workload.timeout)
        if result.get("done"):
            self._let_go()  # its memory may be what a neighbour on the same GPU lacks
        return result

    def _let_go(self) -> None:
        self.session = None
        torch.cuda.empty_cache()  # nothing happens where there is no GPU

    def _epoch(self) -> dict[str, Any]:
        if self.session is None:
            # A folder is looked for even where no trial writes to it: the winners will, and a node that does not see it
            # is better told now than after the whole search. A URL is not opened for that.
            if self.bench.workload.keep_predictions or self.job["url"] is None:
                self.outpost = Outpost(self.job, self.bench.workload.cache)
            self.session = self.bench.trial(self.job["parameters"], self.job["seed"])
        metrics = self.session.run_epoch()
        workload = self.bench.workload
        cost = workload.objective.cost(metrics)
        if workload.keep_predictions and (not self.best or cost < workload.objective.cost(self.best)):
            self.best = metrics
            outpost, predictions = self.outpost, self.session.predictions
            outpost.patience(lambda: write_predictions(outpost.path, predictions), outpost.path)
            outpost.send()
        return {**metrics, "done": self.session.epoch >= workload.epochs}


class RaceTrial(SearchTrial):
    """A leader of a search with another seed; its folder holds what it predicted in its best epoch, and its record."""

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Start another one in this process."""
        return super().reset_config(new_config["job"])

    def _epoch(self) -> dict[str, Any]:
        result = super()._epoch()
        if result["done"]:
            place = self.outpost.path
            self.outpost.patience(lambda: write_record(place, self.job["record"], self.best), place)
            self.outpost.send()
            self.outpost.clear()
        return result


class RetrainTrial(ray_tune.Trainable):
    """One winner with one seed; its folder holds its checkpoint and then its weights."""

    retraining: Retraining | None = None

    def setup(self, config: dict[str, Any], workload: Workload) -> None:
        """Open what lasts, then start the first winner."""
        self.bench = Bench(workload)
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Start another winner in this process."""
        self._let_go()
        self.job = new_config["job"]
        return True

    def step(self) -> dict[str, Any]:
        """One epoch."""
        whole = False
        try:
            result = guarded_epoch(self._epoch, self.bench.workload.timeout)
            whole = "failure" not in result and AWAY not in result
        finally:
            if not whole:
                self.retraining = None  # what it holds may be of half an epoch, and Ray calls cleanup nevertheless
        if result.get("done"):
            self._let_go()
        return result

    def _let_go(self) -> None:
        self.retraining = None
        torch.cuda.empty_cache()  # as in a search

    def cleanup(self) -> None:
        """The search ends: keep what is trained so far."""
        if self.retraining is not None and not self.retraining.done:
            self.retraining.checkpoint()
            self.outpost.send()
            self.outpost.clear()  # whoever goes on with it, here or elsewhere, fetches it

    def _epoch(self) -> dict[str, Any]:
        workload = self.bench.workload
        if self.retraining is None:
            session = self.bench.session(self.job["parameters"], self.job["seed"], workload.retrain_epochs)
            self.outpost = Outpost(self.job, self.bench.workload.cache)
            self.outpost.fetch()
            self.retraining = Retraining(
                session,
                workload.objective,
                workload.retrain_epochs,
                self.outpost.path,
                self.job["record"],
                self.outpost.patience,
            )
        metrics = self.retraining.run_epoch()
        self.retraining.charge(self.outpost.send())
        if self.retraining.done:
            self.outpost.clear()
        return {**metrics, NOTE: self.retraining.unsaved, "done": self.retraining.done}
