"""How long one face takes, by a clock of the test's own."""

import numpy as np
import pytest
import torch

from core.inference import TIMED, WARM_UP, inference_ms
from core.names import Precision, Task

IMAGE = np.random.default_rng(0).integers(0, 256, (3, 8, 8), dtype=np.uint8)


class Watched(torch.nn.Module):
    """Stands for a model: each look at a face takes the next of some times, and what it was shown is kept."""

    def __init__(self, took: list[float]) -> None:
        super().__init__()
        self.took = list(took)
        self.now = 1000.0
        self.shown: list[torch.Tensor] = []
        self.layer = torch.nn.Linear(8, 2)
        self.computed: set[torch.dtype] = set()

    def clock(self) -> float:
        return self.now

    def frozen_features(self, images: torch.Tensor) -> torch.Tensor:
        self.shown.append(images)
        return images.float()

    def forward(self, inputs: torch.Tensor) -> dict[Task, torch.Tensor]:
        assert not self.training
        self.now += self.took.pop(0)
        found = self.layer(inputs)
        self.computed.add(found.dtype)
        return {Task.GENDER: found}


def milliseconds(monkeypatch: pytest.MonkeyPatch, model: Watched, precision: Precision = Precision.FP32) -> float:
    monkeypatch.setattr("core.inference.time.perf_counter", model.clock)
    try:
        return inference_ms(model.train(), IMAGE, precision, torch.device("cpu"))
    finally:
        monkeypatch.undo()


def test_the_time_of_a_face_is_the_median_in_milliseconds_once_the_model_is_warm(monkeypatch) -> None:
    squares = [k**2 / 1000 for k in range(1, TIMED + 1)]  # 1 ms, 4 ms, ..., 400 ms: the mean is 143.5
    shuffled = np.random.default_rng(1).permutation(squares).tolist()
    model = Watched([9.0] * WARM_UP + shuffled)
    assert milliseconds(monkeypatch, model) == pytest.approx((100 + 121) / 2)
    assert model.took == []


def test_the_whole_network_sees_one_face_at_a_time_as_it_lies_in_memory(monkeypatch) -> None:
    model = Watched([1.0] * (WARM_UP + TIMED))
    milliseconds(monkeypatch, model)
    assert len(model.shown) == WARM_UP + TIMED
    for face in model.shown:
        assert face.dtype == torch.uint8
        np.testing.assert_array_equal(face.numpy(), IMAGE[None])


@pytest.mark.parametrize(
    ("precision", "dtype"), [(Precision.FP32, torch.float32), (Precision.BF16, torch.bfloat16)], ids=str
)
def test_it_is_timed_in_the_precision_that_it_was_trained_in(monkeypatch, precision, dtype) -> None:
    model = Watched([1.0] * (WARM_UP + TIMED))
    milliseconds(monkeypatch, model, precision)
    assert model.computed == {dtype}
