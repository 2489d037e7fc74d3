"""Where VGG-16 starts: ImageNet weights from torchvision or a file."""

import errno
import hashlib
import socket
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from pickle import UnpicklingError
from urllib.error import URLError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torchvision.models import VGG16_Weights

from core.errors import UserError, first_line
from core.tensor_files import load_tensors
from core.vgg import vgg16_features

HEAD_LAYERS = ("classifier.0", "classifier.3")  # the two hidden layers of ImageNet's own head
DOWNLOAD_TIMEOUT_S = 15.0

HOW_TO_GET_WEIGHTS = (
    "run once with access to download.pytorch.org (torchvision keeps the file), or give a local copy: "
    f"--weights PATH to {VGG16_Weights.IMAGENET1K_V1.url.rsplit('/', 1)[-1]} or any file "
    "with torchvision's key names (.pth or .safetensors)"
)


class WeightsUnavailableError(UserError):
    """ImageNet weights can be neither found nor downloaded here."""


@dataclass(frozen=True)
class Weights:
    """Weights of the 13 convolutions, and of ImageNet's two hidden layers where the source has them."""

    tensors: Mapping[str, Tensor]
    """float32, torchvision's key names: ``features.<i>.{weight,bias}`` and perhaps ``classifier.{0,3}.*``."""
    source: str
    digest: str
    """SHA-256 over names, shapes and values."""

    def without_head(self) -> "Weights":
        """The convolutions alone, under the same digest: what models that make their heads anew start from."""
        return Weights({k: t for k, t in self.tensors.items() if k.startswith("features.")}, self.source, self.digest)

    @property
    def with_head(self) -> bool:
        """Whether ImageNet's two hidden layers are among them."""
        return f"{HEAD_LAYERS[0]}.weight" in self.tensors

    @property
    def features(self) -> dict[str, Tensor]:
        """Tensors of the convolutions, named as in torchvision's ``features``."""
        prefix = "features."
        return {name.removeprefix(prefix): t for name, t in self.tensors.items() if name.startswith(prefix)}


def digest_of(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, shapes and values."""
    state = hashlib.sha256()
    for name in sorted(tensors):
        state.update(f"{name}{tuple(tensors[name].shape)}".encode())
        state.update(tensors[name].contiguous().numpy().tobytes())
    return state.hexdigest()


def _expected_shapes() -> dict[str, tuple[int, ...]]:
    features = vgg16_features(device="meta")
    return {f"features.{name}": tuple(tensor.shape) for name, tensor in features.state_dict().items()}


def _checked(tensors: Mapping[str, Tensor], source: str) -> Weights:
    """The tensors that we use, as float32, after checking that all are there and fit.

    Raises:
        UserError: a layer is missing, has another shape or holds values that are not finite.
    """
    kept = {}
    for name, shape in _expected_shapes().items():
        if name not in tensors:
            raise UserError(f"{source}: no tensor {name!r}; VGG-16 weights need every features.* layer")
        if tuple(tensors[name].shape) != shape:
            raise UserError(f"{source}: {name} has shape {tuple(tensors[name].shape)}, VGG-16 needs {shape}")
        kept[name] = tensors[name].detach().to(torch.float32)
    head = {f"{layer}.{kind}" for layer in HEAD_LAYERS for kind in ("weight", "bias")}
    if head <= set(tensors):
        kept |= {name: tensors[name].detach().to(torch.float32) for name in head}
    for name, tensor in kept.items():
        if not bool(torch.isfinite(tensor).all()):
            raise UserError(f"{source}: {name} holds values that are not finite")
    return Weights(kept, source, digest_of(kept))


def weights_from_file(path: Path) -> Weights:
    """VGG-16 weights from a ``.safetensors`` file or a ``.pth`` file, read without running code from it.

    Raises:
        UserError: no such file, not readable as weights, or not VGG-16's.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such weights file")
    try:
        if path.suffix == ".safetensors":
            tensors = load_file(path)
        else:
            with warnings.catch_warnings():  # about pickle's protocol, which a user of the file cannot change
                warnings.filterwarnings("ignore", message="Detected pickle protocol")
                tensors = load_tensors(path)
    except (SafetensorError, OSError, EOFError, RuntimeError, ValueError, KeyError) as error:
        raise UserError(f"{path}: not a readable weights file ({first_line(error)})") from error
    except Exception as error:  # torch.load raises pickle's own error class for code in the file
        raise UserError(f"{path}: refused, a weights file may hold tensors only ({first_line(error)})") from error
    if not isinstance(tensors, Mapping) or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise UserError(f"{path}: must hold a mapping from layer names to tensors")
    return _checked(tensors, str(path))


def imagenet_weights() -> Weights:
    """Torchvision's ImageNet weights, from its cache or downloaded once.

    Raises:
        WeightsUnavailableError: neither is possible here.
    """
    old_timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT_S)  # torch.hub sets none, and a dropped packet would hang the search
    try:
        tensors = VGG16_Weights.IMAGENET1K_V1.get_state_dict(progress=True, check_hash=True, weights_only=True)
    except (URLError, HTTPException, OSError, EOFError, RuntimeError, UnpicklingError) as error:
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):  # to do without would be another experiment
            raise UserError(f"{torch.hub.get_dir()}: no room for ImageNet's weights (528 MB)") from None
        cause = error.reason if isinstance(error, URLError) and isinstance(error.reason, Exception) else error
        raise WeightsUnavailableError(
            f"no ImageNet weights for VGG-16 ({first_line(cause)}); {HOW_TO_GET_WEIGHTS}"
        ) from error
    finally:
        socket.setdefaulttimeout(old_timeout)
    return _checked(tensors, "torchvision VGG16_Weights.IMAGENET1K_V1")
