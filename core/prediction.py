"""Predictions of a model for whole sets of faces, and their loss."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from core.config import TrainingConfig
from core.examples import BatchSource, Examples
from core.losses import gender_loss, joint_loss, landmark_loss
from core.metrics import Floats, Predictions, Truth
from core.models import FaceModel
from core.names import CROP, Precision, Task

PREDICTION_BATCH = 64
IMAGE_BATCH = 16  # whole faces: what leaves one layer of VGG-16's first block is 13 MB a face

ModelLoss = Callable[[Mapping[Task, Tensor], Tensor, Tensor], Tensor]
"""From a model's outputs, true landmarks (B, 5, 2; fractions of the crop) and gender (B,) to the mean over faces."""
TaskLosses = Callable[[Mapping[Task, Tensor], Tensor, Tensor], dict[Task, Tensor]]
"""The same for each task."""


def truth_of(examples: Examples) -> Truth:
    """What the faces really are."""
    return Truth(gender=examples.gender, landmarks=examples.landmarks)


def frozen_input(model: FaceModel, inputs: Tensor) -> Tensor:
    """What the learning part of the model reads: activations as given, or computed from faces."""
    return model.frozen_features(inputs) if inputs.dtype == torch.uint8 else inputs


@torch.no_grad()
def predict(
    model: FaceModel, source: BatchSource, precision: Precision, progress: Callable[[int, int], None] | None = None
) -> Predictions:
    """Predict every face of ``source``; the model is left in evaluation mode.

    Args:
        progress: hears after every batch how many of how many faces are done.
    """
    model.eval()
    outputs: dict[Task, list[Tensor]] = {Task(name): [] for name in model.heads}
    size = IMAGE_BATCH if source.examples.inputs.dtype == np.uint8 else PREDICTION_BATCH
    done = 0
    with torch.autocast(source.device.type, torch.bfloat16, enabled=precision is Precision.BF16):
        for batch in source.batches(size):
            for task, output in model(frozen_input(model, batch.inputs)).items():
                outputs[task].append(output)
            done += len(batch.gender)
            if progress is not None:
                progress(done, len(source.examples))
    whole = {task: torch.cat(parts).cpu().numpy() for task, parts in outputs.items()}
    landmarks = whole.get(Task.LANDMARKS)
    return Predictions(
        gender_logits=whole.get(Task.GENDER),
        landmarks=None if landmarks is None else landmarks * np.float32(CROP),
    )


def task_losses(training: TrainingConfig) -> TaskLosses:
    """The loss of each task that a model has, by these settings."""
    of_landmarks = landmark_loss(
        training.landmark_loss,
        beta=training.smooth_l1_beta,
        delta=training.huber_delta,
        w=training.wing_w,
        epsilon=training.wing_epsilon,
    )

    def losses_of(outputs: Mapping[Task, Tensor], landmarks_BLX: Tensor, gender_B: Tensor) -> dict[Task, Tensor]:
        losses = {}
        if Task.GENDER in outputs:
            losses[Task.GENDER] = gender_loss(outputs[Task.GENDER], gender_B)
        if Task.LANDMARKS in outputs:
            losses[Task.LANDMARKS] = of_landmarks(outputs[Task.LANDMARKS], landmarks_BLX)
        return losses

    return losses_of


def equation_17(losses: Mapping[Task, Tensor], training: TrainingConfig) -> Tensor:
    """The losses of two tasks as one, or the one that there is."""
    if len(losses) == 1:
        return next(iter(losses.values()))
    return joint_loss(losses[Task.GENDER], losses[Task.LANDMARKS], training.lambda1, training.lambda2)


def model_loss(training: TrainingConfig) -> ModelLoss:
    """The loss of a model with these settings: that of its task, or equation 17 over both."""
    losses_of = task_losses(training)
    return lambda outputs, landmarks, gender: equation_17(losses_of(outputs, landmarks, gender), training)


def prediction_loss(predictions: Predictions, truth: Truth, loss: ModelLoss) -> float:
    """A loss over whole predictions, as ``val_loss`` and ``test_loss`` say it."""
    return _loss_of(predictions, truth, loss, slice(None))


def loss_per_face(predictions: Predictions, truth: Truth, loss: ModelLoss) -> Floats:
    """The loss of each face (N,), whose mean is :func:`prediction_loss`."""
    return np.array([_loss_of(predictions, truth, loss, slice(i, i + 1)) for i in range(len(truth.gender))])


def _loss_of(predictions: Predictions, truth: Truth, loss: ModelLoss, faces: slice) -> float:
    outputs = {}
    if predictions.gender_logits is not None:
        outputs[Task.GENDER] = torch.from_numpy(predictions.gender_logits[faces])
    if predictions.landmarks is not None:
        outputs[Task.LANDMARKS] = torch.from_numpy(predictions.landmarks[faces] / np.float32(CROP))
    landmarks = torch.from_numpy(truth.landmarks[faces] / np.float32(CROP))
    return float(loss(outputs, landmarks, torch.from_numpy(truth.gender[faces].copy())))
