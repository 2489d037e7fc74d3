"""One training run, without Ray: everything that a trial does."""

import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.augmentation import augmentation_of, changed_images, changed_landmarks, draw_changes
from core.config import Config
from core.examples import Batch, BatchSource, Examples
from core.metrics import Predictions, baseline_scores, relative_error, score
from core.models import build_model
from core.names import CROP, RELATIVE_ERROR, Precision, Schedule, Task
from core.optimizers import as_built_here, build_optimizer, rate_at
from core.prediction import equation_17, frozen_input, model_loss, predict, prediction_loss, task_losses, truth_of
from core.seeds import derived_seed
from core.weighting import TaskWeights
from core.weights import Weights


class DivergedError(ArithmeticError):
    """The loss or a prediction is no longer a finite number."""


class Session:
    """A model, its optimiser and its faces; :meth:`run_epoch` trains once over all of them and validates.

    Same config, data, weights, seed, device type and number of threads: same curve. Every epoch draws its random
    numbers from (seed, epoch), so a session restored from :meth:`state_dict` goes on exactly as one never stopped.

    Args:
        config: with ``precision`` resolved (not ``auto``).
        train, validation: faces, or activations of the config's frozen blocks.
        weights: where the backbone starts.
        seed: of initial heads, order of faces, dropout and how faces are changed.
        device: where to train.
        beside: how many sessions share the device, this one among them; each keeps to its share of memory.
        epochs: that it will be trained for, which a schedule of the learning rate must know.
    """

    def __init__(
        self,
        config: Config,
        train: Examples,
        validation: Examples,
        weights: Weights,
        seed: int,
        device: torch.device,
        beside: int = 1,
        epochs: int | None = None,
    ) -> None:
        if config.training.precision is Precision.AUTO:
            raise ValueError("precision must be resolved before training, got auto")
        if config.training.lr_schedule is not Schedule.CONSTANT and epochs is None:
            raise ValueError(f"a {config.training.lr_schedule} schedule must know its epochs, got none")
        self.augmentation = augmentation_of(config.data)
        if self.augmentation is not None and train.views is None and train.inputs.dtype != np.uint8:
            raise ValueError("activations cannot be changed as faces are; their views are missing")
        self.epochs = epochs
        self.config = config
        self.seed = seed
        self.device = device
        self.epoch = 0
        self.predictions = Predictions()
        """For the validation faces, of the last epoch."""
        self.train_source = BatchSource(train, device, beside)
        self.validation_source = BatchSource(validation, device, beside)
        self.truth = truth_of(validation)
        mean_face = train.landmarks.mean(axis=0)
        self.mean_face_nme_pct = baseline_scores(truth_of(train), self.truth)["nme_pct"]
        torch.manual_seed(derived_seed(seed, 0))
        mean_fraction = torch.from_numpy(mean_face / np.float32(CROP))
        self.model = build_model(config.model, weights, mean_fraction).to(device)
        training = config.training
        self.optimizer = build_optimizer(training.optimizer, self._groups(), training.lr, device, training.weight_decay)
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.loss = model_loss(training)
        self.losses = task_losses(training)
        lambdas = {Task.GENDER: training.lambda1, Task.LANDMARKS: training.lambda2}
        self.weights = TaskWeights(training.loss_weighting, lambdas, device)

    def _groups(self) -> list[dict[str, Any]]:
        """What is trained; apart, where it has a rate of its own, what is trained for landmarks alone."""
        own_rate, learned = self.config.training.lr_landmarks, self.model.learned_tensors()
        own = self.model.learned_for(Task.LANDMARKS) if own_rate and len(self.model.heads) > 1 else {}
        shared = {"params": [tensor for name, tensor in learned.items() if name not in own]}
        return [shared, {"params": list(own.values()), "lr": own_rate}] if own else [shared]

    def run_epoch(self) -> dict[str, float]:
        """Train one epoch, then score the whole validation set.

        Returns:
            ``epoch`` (from 1), ``train_loss`` (mean over faces, dropout on; of two tasks by equation 17 with the fixed
            lambdas, whatever was minimised), ``val_<metric>`` for the tasks that the
            model has, ``relative_error`` and ``seconds_per_epoch``.

        Raises:
            DivergedError: a loss or score that is not finite.
        """
        start = time.perf_counter()
        train_loss = self._train()
        predictions = self.validate()
        scores = score(predictions, self.truth)
        val_loss = prediction_loss(predictions, self.truth, self.loss)
        if not all(math.isfinite(value) for value in (train_loss, val_loss, *scores.values())):
            raise DivergedError(f"loss or score not finite in epoch {self.epoch + 1}")
        self.epoch += 1
        self.predictions = predictions
        return {
            "epoch": self.epoch,
            "train_loss": train_loss,
            "val_loss": val_loss,
            **{f"val_{name}": value for name, value in scores.items()},
            RELATIVE_ERROR: relative_error(scores, self.mean_face_nme_pct),
            "seconds_per_epoch": time.perf_counter() - start,
        }

    def validate(self) -> Predictions:
        """What the model says of the validation faces now."""
        return predict(self.model, self.validation_source, self.config.training.precision)

    def _train(self) -> float:
        seed = derived_seed(self.seed, 1, self.epoch)
        torch.manual_seed(seed)
        random = np.random.default_rng(seed)
        order = random.permutation(len(self.train_source.examples)).astype(np.int64)
        bf16 = self.config.training.precision is Precision.BF16
        self._set_rate()
        weights = self.weights.of_epoch()
        self.model.train()
        total = torch.zeros((), device=self.device)
        size = self.config.training.batch_size
        for start in range(0, len(order), size):
            shown = self._shown(order[start : start + size], random)
            self.optimizer.zero_grad(set_to_none=True)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
                outputs = self.model(frozen_input(self.model, shown.inputs))
            losses = self.losses(outputs, shown.landmarks, shown.gender)
            told = equation_17(losses, self.config.training)
            loss = self.weights.combined(losses, told, weights)
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves Tensor.backward untyped
            self.optimizer.step()
            self.weights.after_step(losses, len(shown.gender))
            total += told.detach() * len(shown.gender)
        self.weights.after_epoch(len(order))
        return float(total) / len(order)

    def _set_rate(self) -> None:
        training = self.config.training
        if training.lr_schedule is not Schedule.CONSTANT:
            assert self.epochs is not None
            share = rate_at(training.lr_schedule, self.epoch, self.epochs)
            for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
                group["lr"] = rate * share

    def _shown(self, faces: NDArray[np.int64], random: np.random.Generator) -> Batch:
        """Training faces as an epoch shows them."""
        views = self.train_source.examples.views
        if self.augmentation is not None and views is not None:
            kinds = views.rows.shape[1]
            # Downwards, so that where there is but a mirrored view it is chosen when the face itself would be mirrored.
            chosen = kinds - (random.random(len(faces)) * (kinds + 1)).astype(np.int64)
            return self.train_source.gather_views(faces, chosen)
        batch = self.train_source.gather(faces)
        if self.augmentation is None:
            return batch
        changes = draw_changes(random, len(faces), self.augmentation)
        return Batch(changed_images(batch.inputs, changes), changed_landmarks(batch.landmarks, changes), batch.gender)

    def learned_tensors(self) -> dict[str, Tensor]:
        """The tensors that training changes, by name; live, not copies."""
        return self.model.learned_tensors()

    def state_dict(self) -> dict[str, Any]:
        """All that training changed: learned tensors, optimisers, epoch. Frozen blocks are not in it."""
        return {
            "epoch": self.epoch,
            "model": {name: tensor.detach() for name, tensor in self.learned_tensors().items()},
            "optimizer": self.optimizer.state_dict(),
            "weights": self.weights.state_dict(),
        }

    @torch.no_grad()
    def load_tensors(self, learned: Mapping[str, Tensor]) -> None:
        """Give the model what was learned elsewhere, named as in :meth:`learned_tensors`.

        Raises:
            ValueError: it belongs to another model.
        """
        tensors = self.learned_tensors()
        if set(tensors) != set(learned):
            raise ValueError("this state belongs to another model")
        for name, tensor in tensors.items():
            if learned[name].shape != tensor.shape:  # copy_ would stretch it
                raise ValueError(f"{name} of this state has another shape")
            tensor.copy_(learned[name])

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where the session that gave ``state`` (same config, data and seed) was."""
        self.load_tensors(state["model"])
        self.optimizer.load_state_dict(as_built_here(self.optimizer, state["optimizer"]))
        if "weights" in state:  # an older version had none but fixed ones
            self.weights.load_state_dict(state["weights"])
        self.epoch = int(state["epoch"])
