import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from core.activations import FrozenActivations, check_room
from core.config import config_from_flat
from core.errors import UserError
from core.examples import Examples
from core.names import Precision
from core.session import Session
from core.vgg import BLOCK_ENDS, normalised, vgg16_features

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
    path = FrozenActivations(images, rows, "faces", weights, blocks, Precision.FP32, CPU, tmp_path).computed()
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
    options = ("faces", weights, 2, Precision.FP32, CPU, tmp_path)

    def hear(done, total):
        heard.append((done, total))

    path = FrozenActivations(images, np.array([4, 1]), *options).computed(hear)
    assert heard == [(2, 2)]
    assert np.load(path).shape == (2, 128, 56, 56)
    assert FrozenActivations(images, np.array([4, 1]), *options).computed(hear) == path
    assert heard == [(2, 2)]
    other = FrozenActivations(images, np.array([1, 4]), *options).computed()
    np.testing.assert_allclose(np.load(other)[0], np.load(path)[1], rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_bfloat16_activations_are_kept_bit_for_bit_and_near_those_of_float32(faces, weights, tmp_path):
    images, _, _ = faces
    options = (images, np.array([0]), "faces", weights, 1)
    stored, exact = (
        np.load(FrozenActivations(*options, precision, CPU, tmp_path).computed())
        for precision in (Precision.BF16, Precision.FP32)
    )
    assert stored.dtype == np.uint16
    layers = vgg16_features("cpu")
    layers.load_state_dict({key.removeprefix("features."): value for key, value in weights.tensors.items()})
    layers = layers[: BLOCK_ENDS[1]].to(memory_format=torch.channels_last)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        expected = layers(normalised(torch.from_numpy(images[:1])).contiguous(memory_format=torch.channels_last))
    np.testing.assert_array_equal(stored, expected.to(torch.bfloat16).contiguous().view(torch.uint16).numpy())
    as_float = torch.from_numpy(stored).view(torch.bfloat16).float().numpy()
    np.testing.assert_allclose(as_float, exact, rtol=0.05, atol=0.05)


def of_blocks(weights, cache, *blocks):
    """Files of four faces each, not computed: 401,408 bytes in float32 with 5 frozen blocks, four times that with 4
    (7 x 7 and 14 x 14 pixels of 512 channels)."""
    return [FrozenActivations(None, np.arange(4), "faces", weights, b, Precision.FP32, CPU, cache) for b in blocks]


def test_files_that_fit_alone_but_not_together_are_refused_with_their_sum(weights, tmp_path, monkeypatch):
    wanted = of_blocks(weights, tmp_path / "cache", 5, 4)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2_000_000))
    for one in wanted:
        check_room([one])
    with pytest.raises(
        UserError, match=r"cache: activations of 8 faces need 0\.0 GB, 0\.0 GB are free; choose another"
    ):
        check_room(wanted)


def test_a_file_that_is_there_needs_no_room(weights, tmp_path, monkeypatch):
    wanted = of_blocks(weights, tmp_path, 5, 4)
    wanted[1].path.parent.mkdir()
    wanted[1].path.touch()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=500_000))
    check_room(wanted)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=400_000))
    with pytest.raises(UserError, match="activations of 4 faces"):
        check_room(wanted)
