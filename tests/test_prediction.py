import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from finished_run import FACE, made_predictions, tiny

from core.examples import BatchSource, Examples
from core.metrics import Predictions, Truth
from core.names import LandmarkLoss, Precision, Task
from core.prediction import model_loss, predict, prediction_loss

GENDER = np.array([0, 1, 1, 0])
TRUTH = Truth(GENDER, np.tile(FACE, (4, 1, 1)))


class Watched(torch.nn.Module):
    """Stands for a model: says how many faces it was shown at once, and returns their first pixels as logits."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = {Task.GENDER: None}
        self.sizes: list[int] = []

    def frozen_features(self, images: torch.Tensor) -> torch.Tensor:
        return images.float()

    def forward(self, inputs: torch.Tensor) -> dict[Task, torch.Tensor]:
        self.sizes.append(len(inputs))
        return {Task.GENDER: inputs[:, :2, 0, 0].float()}


def source(dtype: type, faces: int) -> BatchSource:
    inputs = np.arange(faces * 2, dtype=dtype).reshape(faces, 2, 1, 1)
    rows = np.arange(faces)
    return BatchSource(Examples(inputs, rows, np.tile(FACE, (faces, 1, 1)), rows % 2), torch.device("cpu"))


@pytest.mark.parametrize(("dtype", "sizes"), [(np.uint8, [16, 16, 16, 16, 16, 10]), (np.float32, [64, 26])])
def test_whole_faces_are_shown_16_at_a_time_and_activations_64(dtype: type, sizes: list[int]) -> None:
    model, heard = Watched(), []
    predicted = predict(model, source(dtype, 90), Precision.FP32, lambda *progress: heard.append(progress))
    assert model.sizes == sizes
    assert heard == [(int(done), 90) for done in np.cumsum(sizes)]
    assert np.array_equal(predicted.gender_logits, np.arange(180).reshape(90, 2))


def by_hand(predictions: Predictions, landmark_loss: str) -> tuple[float, float]:
    """Cross-entropy and landmark loss in numpy."""
    logits = predictions.gender_logits.astype(float)
    chosen = logits[np.arange(4), GENDER] - np.log(np.exp(logits).sum(axis=1))
    error = np.abs(predictions.landmarks - TRUTH.landmarks).astype(float) / 224
    huber = np.where(error < 0.02, error**2 / 2, 0.02 * (error - 0.01))
    return -chosen.mean(), {"l1": error, "l2": error**2, "huber": huber}[landmark_loss].mean()


@pytest.mark.parametrize("kind", ["l1", "l2", "huber"])
def test_the_loss_of_two_tasks_is_equation_17_of_each_ones_own(kind: str) -> None:
    predictions = made_predictions(TRUTH.landmarks, GENDER, 10.0)
    cross_entropy, error = by_hand(predictions, kind)
    training = tiny(landmark_loss=kind, huber_delta=0.02, lambda1=3, lambda2=7).training
    assert prediction_loss(predictions, TRUTH, model_loss(training)) == pytest.approx(
        3 * cross_entropy + 7 * error, rel=1e-5
    )


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"landmark_loss": "smooth_l1", "smooth_l1_beta": 0.02, "huber_delta": 5.0}, lambda e: e - 0.01),
        ({"landmark_loss": "huber", "smooth_l1_beta": 5.0, "huber_delta": 0.02}, lambda e: 0.02 * (e - 0.01)),
        ({"landmark_loss": "wing", "wing_w": 0.5, "wing_epsilon": 0.25}, lambda e: 0.5 * math.log(1 + e / 0.25)),
    ],
    ids=lambda value: value["landmark_loss"] if isinstance(value, dict) else "",
)
def test_each_landmark_loss_has_its_own_parameters_of_the_config(settings, expected) -> None:
    shift = 10.0
    moved = TRUTH.landmarks + np.array([shift, 0.0], dtype=np.float32)  # x of each landmark, and no y
    loss = model_loss(tiny(architecture="landmarks", **settings).training)
    assert prediction_loss(Predictions(landmarks=moved), TRUTH, loss) == pytest.approx(
        expected(shift / 224) / 2, rel=1e-4
    )


@pytest.mark.parametrize("task", ["gender", "landmarks"])
def test_the_loss_of_one_task_has_no_lambda(task: str) -> None:
    both, one = made_predictions(TRUTH.landmarks, GENDER, 10.0), made_predictions(TRUTH.landmarks, GENDER, 10.0, task)
    expected = by_hand(both, "l1")[task == "landmarks"]
    loss = model_loss(tiny(lambda1=3, lambda2=7).training)
    assert prediction_loss(one, TRUTH, loss) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", LandmarkLoss)
def test_every_landmark_loss_of_right_landmarks_is_0(kind: LandmarkLoss) -> None:
    loss = model_loss(tiny(landmark_loss=kind).training)
    assert prediction_loss(Predictions(landmarks=TRUTH.landmarks), TRUTH, loss) == 0


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_part_that_is_brought_to_its_device_a_piece_at_a_time_is_the_part(monkeypatch, dtype: type) -> None:
    monkeypatch.setattr("core.examples.COPIED", 7)
    whole = source(dtype, 20)
    part = BatchSource(replace(whole.examples, rows=whole.examples.rows[::-1]), torch.device("cpu"))
    expected = part.gather(np.arange(20)).inputs
    assert torch.equal(part._copied(), expected)
    assert part._copied().dtype == expected.dtype
