"""Training from faces and from made-up activations, in a process of its own: seconds an epoch and private memory."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.process import Peak, private_bytes
from benchmarks.table import Row, spread
from core.config import config_from_flat
from core.cores import cores
from core.examples import BatchSource, Examples
from core.names import Precision
from core.preparation import Inputs, Part
from core.session import Session
from core.vgg import block_output_shape, vgg16_features
from core.weights import Weights

SETTINGS = {"frozen_blocks": 5, "head_width": 512, "landmark_start": "mean_face", "lr": 1e-4, "lambda2": 20.0}
BATCH = 15
BLOCK = 500  # faces whose made-up activations are drawn; the others have the same again
CPU = torch.device("cpu")
MB = 1e6


def made_up_weights() -> Weights:
    """Convolutions of any numbers: nothing that is measured with them passes through one."""
    tensors = {f"features.{name}": tensor for name, tensor in vgg16_features("cpu").state_dict().items()}
    return Weights(tensors, "made up", "0" * 64)


def made_up_inputs(inputs: Inputs, path: Path, precision: Precision) -> Inputs:
    """Numbers of the shape, type and order in which Tandem keeps what leaves five frozen blocks.

    Computing the real ones takes a CPU an hour for 50,000 faces; what an epoch costs does not depend on their values.
    """
    seen = np.sort(np.concatenate([inputs.train.rows, inputs.validation.rows]))
    bf16 = precision is Precision.BF16
    dtype: Any = np.uint16 if bf16 else np.float32
    out = np.lib.format.open_memmap(path, "w+", dtype, (len(seen), *block_output_shape(5)))
    drawn = np.abs(np.random.default_rng(0).normal(0, 0.3, (BLOCK, *out.shape[1:]))).astype(np.float32)
    block: NDArray[Any] = drawn
    if bf16:
        block = torch.from_numpy(drawn).to(torch.bfloat16).view(torch.uint16).numpy()
    for start in range(0, len(out), BLOCK):
        out[start : start + BLOCK] = block[: len(out) - start]
    out.flush()
    train, validation = (
        Part(np.searchsorted(seen, part.rows), part.landmarks, part.gender, part.person)
        for part in (inputs.train, inputs.validation)
    )
    return Inputs(path, train, validation)


def memory_of_reading(pickled: bytes) -> Row:
    """Private memory for data: opened as a worker opens it, and every face read once, without a network.

    A network's own memory is the same for any number of faces. It is left out because it hides what is measured: the
    heap around a step differs by 100 MB from one process to the next, on the same data.
    """
    read(Examples(np.zeros((BATCH, 3, 224, 224), np.uint8), np.arange(BATCH), *labels(BATCH)))  # all code is loaded
    before = private_bytes()
    with Peak() as peak:
        parts = opened(pickled)
        for part in parts:
            read(part)
    return {"private_mb": (peak.bytes - before) / MB}


def training(pickled: bytes, epochs: int, precision: str) -> Row:
    """Epochs over all faces, and the private memory of the process that trains; wants one of its own."""
    torch.set_num_threads(cores())
    with Peak() as peak:
        seconds = learn(pickled, epochs, precision)
    faces = len(opened(pickled)[0])
    return {
        "precision": precision,
        "train_faces": faces,
        **spread("epoch_s", seconds),
        **spread("epoch_ms_per_face", [1e3 * value / faces for value in seconds]),
        "private_mb_in_all": peak.bytes / MB,
        "epochs": epochs,
    }


def learn(pickled: bytes, epochs: int, precision: str) -> list[float]:
    """Seconds of each epoch of a session as the profile ``fast`` has it."""
    train, validation = opened(pickled)
    config = config_from_flat({**SETTINGS, "precision": precision})
    session = Session(config, train, validation, made_up_weights(), 0, CPU)
    return [session.run_epoch()["seconds_per_epoch"] for _ in range(epochs)]


def opened(pickled: bytes) -> tuple[Examples, Examples]:
    """Train and validation examples; pickled, because a worker gets labels by pickle and arrays by their path."""
    inputs: Inputs = pickle.loads(pickled)
    return inputs.examples()


def read(part: Examples) -> None:
    """Gather every face once, in a random order, as an epoch does."""
    order = np.random.default_rng(0).permutation(len(part)).astype(np.int64)
    for _ in BatchSource(part, CPU).batches(BATCH, order):  # a batch is a copy, so its pixels have been read
        pass


def labels(count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Landmarks and genders of no particular faces."""
    return np.zeros((count, 5, 2), np.float32), np.arange(count, dtype=np.int64) % 2
