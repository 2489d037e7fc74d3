"""What several tests need: small drawn faces, weights of VGG-16's shape, and Ray's quiet settings."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # as if it had been activated

from photo_desk import write_photos, write_sure_run
from s3_server import s3_server
from safetensors.torch import save_file

from core.examples import Examples
from core.run_folder import RunFolder
from core.urls import below
from core.vgg import vgg16_features
from core.weights import Weights

torch.set_num_threads(2)
settings.register_profile("tandem", deadline=None, derandomize=True)  # the same on every machine, however busy
settings.load_profile("tandem")


def pytest_configure(config: pytest.Config) -> None:
    """Tests that need no GPU do without where there is one, as they do where there is none: only ``-m gpu`` sees it."""
    if "gpu" not in config.option.markexpr.replace("not gpu", ""):
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


@pytest.fixture(scope="session")
def weights() -> Weights:
    """Small random filters, so that activations stay finite; nothing here depends on what they are."""
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for name, tensor in vgg16_features("meta").state_dict().items():
        fan_in = tensor[0].numel() if tensor.ndim > 1 else 1
        scale = (2 / fan_in) ** 0.5 if tensor.ndim > 1 else 0.01
        tensors[f"features.{name}"] = torch.empty(tensor.shape).normal_(generator=generator) * scale
    return Weights(tensors, "made for tests", "0" * 64)


@pytest.fixture(scope="session")
def weights_file(tmp_path_factory: pytest.TempPathFactory, weights: Weights) -> Path:
    """The same weights in a file, from which whole searches have them at once: random ones would be calibrated."""
    path = tmp_path_factory.mktemp("weights") / "vgg16.safetensors"
    save_file(dict(weights.tensors), path)
    return path


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder for whole searches, most of which are on the same few faces."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def activations() -> tuple[Examples, Examples]:
    """Made-up activations of five frozen blocks, from which gender and landmarks can be learned: 60 faces and 20."""
    random = np.random.default_rng(0)
    count = 80
    gender = np.arange(count) % 2
    shift = random.normal(0, 12, (count, 2))
    face = np.array([[80, 100], [144, 100], [112, 140], [88, 170], [136, 170]], dtype=np.float32)
    landmarks = (face + shift[:, None]).astype(np.float32)
    inputs = random.normal(0, 0.3, (count, 512, 7, 7)).astype(np.float32)
    inputs[:, :8] += gender[:, None, None, None]
    inputs[:, 8:16] += shift[:, :1, None, None] / 10
    inputs[:, 16:24] += shift[:, 1:, None, None] / 10
    rows = np.arange(count)

    def part(chosen: np.ndarray) -> Examples:
        return Examples(inputs, chosen, landmarks[chosen], gender[chosen].astype(np.int64))

    return part(rows[:60]), part(rows[60:])


@pytest.fixture(scope="session")
def sure_run(tmp_path_factory: pytest.TempPathFactory, weights: Weights) -> RunFolder:
    """A run whose winners say the same of every photo; no test changes it."""
    return write_sure_run(tmp_path_factory.mktemp("runs"), weights)


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Photos of every size."""
    return write_photos(tmp_path / "photos")


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The URL of an S3 bucket."""
    with s3_server() as url:
        yield url


@pytest.fixture(params=["file", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A URL for runs."""
    if request.param == "file":
        return f"file://{tmp_path}/there"
    return below(request.getfixturevalue("s3"), tmp_path.name)
