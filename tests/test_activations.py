import shutil
from pathlib import Path
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
from core.weights import Weights

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


WANTED = {
    "images": None,
    "rows": np.arange(4),
    "fingerprint": "faces",
    "weights": Weights({}, "", "0" * 64),
    "blocks": 3,
    "precision": Precision.FP32,
    "device": CPU,
    "cache": Path("cache"),
}


@pytest.mark.parametrize(
    "other",
    [
        {"rows": np.arange(5)},
        {"rows": np.array([1, 0, 2, 3])},
        {"fingerprint": "other faces"},
        {"weights": Weights({}, "", "1" * 64)},
        {"blocks": 4},
        {"precision": Precision.BF16},
        {"device": torch.device("cuda")},
        {"cache": Path("elsewhere")},
    ],
    ids=lambda other: next(iter(other)),
)
def test_each_thing_that_determines_activations_tells_their_files_apart(other):
    path = FrozenActivations(**WANTED).path
    same = {"rows": np.arange(4), "weights": Weights({}, "the same of another source", "0" * 64)}
    assert FrozenActivations(**WANTED | same).path == path
    assert FrozenActivations(**WANTED | other).path != path


def through_block_1(weights, images):
    """What leaves VGG-16's first block, written out anew."""
    x = normalised(torch.from_numpy(images))
    for layer in ("features.0", "features.2"):
        x = torch.conv2d(x, weights.tensors[f"{layer}.weight"], weights.tensors[f"{layer}.bias"], padding=1).relu()
    return torch.max_pool2d(x, 2).numpy()


def test_other_weights_and_other_faces_have_activations_of_their_own_in_one_cache(faces, weights, tmp_path):
    images, _, _ = faces
    doubled = Weights({name: 2 * tensor for name, tensor in weights.tensors.items()}, "", "1" * 64)

    def computed(images, fingerprint, weights):
        wanted = {"images": images, "rows": np.array([0]), "fingerprint": fingerprint, "weights": weights, "blocks": 1}
        return np.load(FrozenActivations(**WANTED | wanted | {"cache": tmp_path}).computed())

    first = computed(images, "faces", weights)
    of_other_weights, of_other_faces = computed(images, "faces", doubled), computed(images[1:], "others", weights)
    assert first.any()
    for found, layers, image in ((of_other_weights, doubled, images[:1]), (of_other_faces, weights, images[1:2])):
        np.testing.assert_allclose(found, through_block_1(layers, image), rtol=1e-4, atol=1e-5)
        assert not np.allclose(found, first, rtol=0.1)
    np.testing.assert_array_equal(computed(images, "faces", weights), first)


def of_blocks(weights, cache, *blocks, faces=4):
    """Files of so many faces each, not computed: 100,352 bytes a face in float32 with 5 frozen blocks, four times that
    with 4 (7 x 7 and 14 x 14 pixels of 512 channels)."""
    return [FrozenActivations(None, np.arange(faces), "faces", weights, b, Precision.FP32, CPU, cache) for b in blocks]


def test_files_that_fit_alone_but_not_together_are_refused_with_their_sum(weights, tmp_path, monkeypatch):
    wanted = of_blocks(weights, tmp_path / "cache", 5, 4, faces=10_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=4_500_000_000))
    for one in wanted:
        check_room([one])
    with pytest.raises(
        UserError, match=r"cache: activations of 20000 faces need 5\.0 GB, 4\.5 GB are free; choose another"
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
