"""Predictions of a model for whole sets of faces."""

import numpy as np
import torch

from core.examples import BatchSource, Examples
from core.metrics import Predictions, Truth
from core.models import FaceModel
from core.names import CROP, Precision, Task

PREDICTION_BATCH = 64


def truth_of(examples: Examples) -> Truth:
    """What the faces really are."""
    return Truth(gender=examples.gender, landmarks=examples.landmarks)


def frozen_input(model: FaceModel, inputs: torch.Tensor) -> torch.Tensor:
    """What the learning part of the model reads: activations as given, or computed from faces."""
    return model.frozen_features(inputs) if inputs.dtype == torch.uint8 else inputs


@torch.no_grad()
def predict(model: FaceModel, source: BatchSource, precision: Precision) -> Predictions:
    """Predict every face of ``source``; the model is left in evaluation mode."""
    model.eval()
    outputs: dict[Task, list[torch.Tensor]] = {Task(name): [] for name in model.heads}
    with torch.autocast(source.device.type, torch.bfloat16, enabled=precision is Precision.BF16):
        for batch in source.batches(PREDICTION_BATCH):
            for task, output in model(frozen_input(model, batch.inputs)).items():
                outputs[task].append(output)
    whole = {task: torch.cat(parts).cpu().numpy() for task, parts in outputs.items()}
    landmarks = whole.get(Task.LANDMARKS)
    return Predictions(
        gender_logits=whole.get(Task.GENDER),
        landmarks=None if landmarks is None else landmarks * np.float32(CROP),
    )
