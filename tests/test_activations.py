import numpy as np
import pytest
import torch

from core.activations import frozen_activations
from core.config import config_from_flat
from core.examples import Examples
from core.names import Precision
from core.session import Session

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def faces():
    random = np.random.default_rng(1)
    images = random.integers(0, 256, (14, 3, 224, 224), dtype=np.uint8)
    return images, random.uniform(60, 160, (14, 5, 2)).astype(np.float32), np.arange(14) % 2


@pytest.mark.slow
@pytest.mark.parametrize("blocks", [3, 5])
def test_curves_with_and_without_the_cache_agree(faces, weights, tmp_path, blocks):
    images, landmarks, gender = faces
    rows = np.arange(14)
    path = frozen_activations(images, rows, "faces", weights, blocks, Precision.FP32, CPU, tmp_path)
    curves = []
    for inputs in (images, np.load(path, mmap_mode="r")):
        train = Examples(inputs, rows[:10], landmarks[:10], gender[:10])
        validation = Examples(inputs, rows[10:], landmarks[10:], gender[10:])
        settings = {"frozen_blocks": blocks, "head_width": 16, "precision": "fp32", "lr": 1e-4, "batch_size": 5}
        run = Session(config_from_flat(settings), train, validation, weights, 1, CPU)
        curves.append([[v for k, v in run.run_epoch().items() if k != "seconds_per_epoch"] for _ in range(2)])
    np.testing.assert_allclose(curves[0], curves[1], rtol=1e-4)


@pytest.mark.slow
def test_only_the_rows_asked_for_are_computed_and_the_second_time_none(faces, weights, tmp_path):
    images, _, _ = faces
    heard = []
    options = ("faces", weights, 2, Precision.FP32, CPU, tmp_path, lambda done, total: heard.append((done, total)))
    path = frozen_activations(images, np.array([4, 1]), *options)
    assert heard == [(2, 2)]
    assert np.load(path).shape == (2, 128, 56, 56)
    assert frozen_activations(images, np.array([4, 1]), *options) == path
    assert heard == [(2, 2)]
    other = frozen_activations(images, np.array([1, 4]), *options)
    np.testing.assert_allclose(np.load(other)[0], np.load(path)[1], rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_bfloat16_activations_are_kept_bit_for_bit(faces, weights, tmp_path):
    images, _, _ = faces
    path = frozen_activations(images, np.array([0]), "faces", weights, 1, Precision.BF16, CPU, tmp_path)
    stored = np.load(path)
    assert stored.dtype == np.uint16
    exact = frozen_activations(images, np.array([0]), "faces", weights, 1, Precision.FP32, CPU, tmp_path)
    as_float = torch.from_numpy(stored).view(torch.bfloat16).float().numpy()
    np.testing.assert_allclose(as_float, np.load(exact), rtol=0.05, atol=0.05)
