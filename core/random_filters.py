"""Random convolutions where VGG-16 starts without ImageNet's, calibrated on faces and kept in the cache."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from core.atomic import new_file
from core.errors import UserError
from core.faces import Faces
from core.tensor_files import save_tensors
from core.turns import alone
from core.vgg import normalised, vgg16_features
from core.weights import Weights, digest_of

CALIBRATED = "random filters, calibrated on faces"
CALIBRATION_FACES = 64
SEED = 0
DIGEST = "sha256"
_VERSION = 1


def kept_random_weights(
    faces: Faces, rows: NDArray[np.int64], cache: Path, progress: Callable[[int, int], None] | None = None
) -> Weights:
    """Random filters calibrated on the first of some faces, from ``cache`` or computed and kept there.

    Their last digits hang on the number of threads, so a run that is resumed elsewhere needs the same cache, as one
    with other weights needs the same file.

    Args:
        rows: training faces; the folds of a cross-validation cut through them, so some of the faces that set means and
            spreads of channels (no label does) validate in one of the folds.

    Raises:
        UserError: the cache cannot be written.
    """
    chosen = rows[:CALIBRATION_FACES]
    key = hashlib.sha256(f"{_VERSION} {faces.fingerprint} {SEED}".encode() + chosen.tobytes()).hexdigest()[:16]
    path = cache / f"random-filters-{key}.safetensors"
    kept = _read(path)
    if kept is not None:
        return kept
    images = np.asarray(faces.images[chosen])
    try:
        cache.mkdir(parents=True, exist_ok=True)
        # Of two searches that begin at once one computes them, and both have the same to the last digit.
        with alone(path.with_name(f"{path.name}.lock"), progress):
            kept = _read(path)
            if kept is not None:
                return kept
            weights = calibrated_random_weights(torch.from_numpy(images), SEED, progress)
            with new_file(path) as partial:
                save_tensors(partial, weights.tensors, {DIGEST: weights.digest})
    except OSError as error:
        raise UserError(f"{cache}: cannot write the cache ({error.strerror or error})") from None
    return weights


def _read(path: Path) -> Weights | None:
    """What is kept; None where there is nothing, or what there is was damaged: it has another digest than it had."""
    try:
        with safe_open(path, "pt") as file:
            digest = (file.metadata() or {}).get(DIGEST)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping, for all that
    except (SafetensorError, OSError):
        return None
    return Weights(tensors, _source(SEED), digest) if digest is not None and digest == digest_of(tensors) else None


def _source(seed: int) -> str:
    return f"{CALIBRATED} (seed {seed})"


@torch.no_grad()
def calibrated_random_weights(images: Tensor, seed: int, progress: Callable[[int, int], None] | None = None) -> Weights:
    """Random convolutions, scaled layer by layer so that every channel has mean 0 and variance 1 on ``images``.

    Plain random networks of this depth give nearly the same features for every face. Setting each channel's scale and
    shift from data (Mishkin and Matas 2016, "All you need is a good init"; Salimans and Kingma 2016) keeps faces apart,
    so that heads can learn from frozen random features.

    Args:
        images: uint8, (N, 3, 224, 224); some dozens are enough.
        seed: of the random filters.
        progress: called after each layer with the number done and of all.
    """
    generator = torch.Generator().manual_seed(seed)
    features = vgg16_features(device="cpu")
    activations = normalised(images).contiguous(memory_format=torch.channels_last)
    for index, layer in enumerate(features, 1):
        if progress is not None:
            progress(index, len(features))
        if not isinstance(layer, nn.Conv2d):
            activations = layer(activations)
            continue
        layer.weight.copy_(torch.empty_like(layer.weight).normal_(generator=generator))
        assert layer.bias is not None
        layer.bias.zero_()
        activations = layer(activations)
        mean, std = activations.mean((0, 2, 3)), activations.std((0, 2, 3)).clamp_min(1e-6)
        layer.weight.div_(std[:, None, None, None])
        layer.bias.copy_(-mean / std)
        activations.sub_(mean[:, None, None]).div_(std[:, None, None])
    tensors = {f"features.{name}": tensor.clone() for name, tensor in features.state_dict().items()}
    return Weights(tensors, _source(seed), digest_of(tensors))
