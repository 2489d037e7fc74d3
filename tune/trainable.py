"""What runs in Ray's worker processes: thin shells around a session."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ray import tune as ray_tune

from core.config import Config, config_from_flat
from core.device import make_repeatable
from core.kept_predictions import write_predictions
from core.preparation import Inputs
from core.retraining import Objective, Retraining
from core.session import Session
from core.weights import Weights


@dataclass(frozen=True, eq=False)
class Workload:
    """All that a worker needs besides a trial's parameters; travels once per worker, the big arrays as paths."""

    inputs: dict[int, Inputs]
    weights: Weights
    settings: dict[str, Any]
    """Flat config that every trial shares."""
    threads: int
    gpu: bool
    epochs: int
    retrain_epochs: int
    objective: Objective
    keep_predictions: bool
    """Whether a trial leaves what it predicted for the validation faces, in its best epoch, in its folder."""


class Bench:
    """A worker's lasting part: memory-mapped inputs and pretrained weights, kept from trial to trial."""

    def __init__(self, workload: Workload) -> None:
        torch.set_num_threads(workload.threads)
        self.workload = workload
        self.device = torch.device("cuda" if workload.gpu else "cpu")
        make_repeatable(self.device)
        self.arrays = {blocks: np.load(given.path, mmap_mode="r") for blocks, given in workload.inputs.items()}

    def session(self, parameters: dict[str, Any], seed: int) -> Session:
        """A fresh session."""
        config = config_from_flat({**self.workload.settings, **parameters})
        key = input_key(config)
        train, validation = self.workload.inputs[key].examples(self.arrays[key])
        return Session(config, train, validation, self.workload.weights, seed, self.device)


def input_key(config: Config) -> int:
    """Which prepared inputs a config reads: those of its frozen blocks, or faces where none may be cached."""
    cached = config.training.activation_cache and not config.data.flip
    return config.model.frozen_blocks if cached else 0


def guarded_epoch(run: Any) -> dict[str, Any]:
    """One epoch; a trial that raises ends with its reason, and its worker lives on for the next trial."""
    try:
        result: dict[str, Any] = run()
    except Exception as error:  # whatever it was is recorded as the trial's reason
        if "CUDA error" in str(error):
            raise  # this process can use its GPU no more; Ray starts another one and tries the trial again
        return {"failure": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}", "done": True}
    return result


class SearchTrial(ray_tune.Trainable):
    """One trial of the search; keeps no weights."""

    def setup(self, config: dict[str, Any], workload: Workload) -> None:
        """Open what lasts, then start the first trial."""
        self.bench = Bench(workload)
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Start another trial in this process."""
        self.session: Session | None = None  # let the old model go before the new one is made
        torch.cuda.empty_cache()  # nothing happens where there is no GPU
        self.job = new_config
        self.best: float | None = None
        return True

    def step(self) -> dict[str, Any]:
        """One epoch."""
        return guarded_epoch(self._epoch)

    def _epoch(self) -> dict[str, Any]:
        if self.session is None:
            self.session = self.bench.session(self.job["parameters"], self.job["seed"])
        metrics = self.session.run_epoch()
        workload = self.bench.workload
        cost = workload.objective.cost(metrics)
        if workload.keep_predictions and (self.best is None or cost < self.best):
            self.best = cost
            write_predictions(Path(self.job["folder"]), self.session.predictions)
        return {**metrics, "done": self.session.epoch >= workload.epochs}


class RetrainTrial(ray_tune.Trainable):
    """One winner with one seed; its folder holds its checkpoint and then its weights."""

    def setup(self, config: dict[str, Any], workload: Workload) -> None:
        """Open what lasts, then start the first winner."""
        self.bench = Bench(workload)
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Start another winner in this process."""
        self.retraining: Retraining | None = None
        self.job = new_config["job"]
        return True

    def step(self) -> dict[str, Any]:
        """One epoch."""
        return guarded_epoch(self._epoch)

    def _epoch(self) -> dict[str, Any]:
        workload = self.bench.workload
        if self.retraining is None:
            session = self.bench.session(self.job["parameters"], self.job["seed"])
            folder, record = Path(self.job["folder"]), self.job["record"]
            self.retraining = Retraining(session, workload.objective, workload.retrain_epochs, folder, record)
        metrics = self.retraining.run_epoch()
        return {**metrics, "done": self.retraining.done}
