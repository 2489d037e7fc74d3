"""What leaves the frozen blocks, computed once per machine and shared by every trial.

The same picture of a face gives the same activations in every epoch and trial. They are kept as one memory-mapped
array, named by all that determines it: faces, weights, number of frozen blocks, precision and kind of device.
"""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray

from core.atomic import new_folder
from core.errors import UserError
from core.names import Precision
from core.vgg import BLOCK_ENDS, block_output_shape, normalised, vgg16_features
from core.weights import Weights

EXTRACTION_BATCH = 16
_VERSION = 2


class Images(Protocol):
    """Pictures by number."""

    def __getitem__(self, rows: NDArray[np.int64], /) -> NDArray[np.uint8]:
        """uint8, (B, 3, 224, 224)."""


Progress = Callable[[int, int], None]
"""Called with how many of how many are done."""


def _folder(
    cache: Path, faces: str, rows: NDArray[np.int64], digest: str, blocks: int, precision: Precision, device: str
) -> Path:
    # A GPU's sums differ from a CPU's in their last digits, so each has its own.
    key = f"{_VERSION} {faces} {digest} {blocks} {precision} {device}".encode() + rows.tobytes()
    return cache / f"activations-{hashlib.sha256(key).hexdigest()[:16]}"


def activations_bytes(faces: int, blocks: int, precision: Precision) -> int:
    """Disk that the activations take."""
    return faces * int(np.prod(block_output_shape(blocks))) * (2 if precision is Precision.BF16 else 4)


def frozen_activations(
    images: Images,
    rows: NDArray[np.int64],
    fingerprint: str,
    weights: Weights,
    blocks: int,
    precision: Precision,
    device: torch.device,
    cache: Path,
    progress: Progress | None = None,
) -> Path:
    """Compute the activations of ``images[rows]`` after the first ``blocks`` blocks, or find them in ``cache``.

    Args:
        images: an array, uint8, (N, 3, 224, 224), or what gives such for row numbers.
        rows: which of them, in which order.
        fingerprint: of the images.
        blocks: 1-5.

    Returns:
        A ``.npy`` file (rows, C, H, W): float32, or the bits of bfloat16 as uint16.

    Raises:
        UserError: the disk has no room for them.
    """
    folder = _folder(cache, fingerprint, rows, weights.digest, blocks, precision, device.type)
    path = folder / "activations.npy"
    if path.exists():
        return path
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):  # two searches may want the same array
            if path.exists():
                return path
            _check_room(cache, len(rows), blocks, precision)
            with new_folder(folder, folder.with_name(f".{folder.name}.partial")) as partial:
                _extract(images, rows, weights, blocks, precision, device, partial / path.name, progress)
    except OSError as error:
        raise UserError(f"{cache}: cannot write the cache ({error.strerror or error})") from None
    return path


def _check_room(cache: Path, faces: int, blocks: int, precision: Precision) -> None:
    need, free = activations_bytes(faces, blocks, precision), shutil.disk_usage(cache).free
    if need > free:  # writing to a memory map on a full disk kills the process
        raise UserError(
            f"{cache}: activations of {faces} faces need {need / 1e9:.1f} GB, {free / 1e9:.1f} GB are free; "
            "choose another --cache, more frozen blocks, fewer views or activation_cache=false"
        )


@torch.inference_mode()
def _extract(
    images: Images,
    rows: NDArray[np.int64],
    weights: Weights,
    blocks: int,
    precision: Precision,
    device: torch.device,
    path: Path,
    progress: Progress | None,
) -> None:
    features = vgg16_features("cpu")
    features.load_state_dict(weights.features)
    frozen = features[: BLOCK_ENDS[blocks]].to(device).to(memory_format=torch.channels_last)
    bf16 = precision is Precision.BF16
    dtype: Any = np.uint16 if bf16 else np.float32
    out = np.lib.format.open_memmap(path, "w+", dtype, (len(rows), *block_output_shape(blocks)))
    for start in range(0, len(rows), EXTRACTION_BATCH):
        batch = torch.from_numpy(images[rows[start : start + EXTRACTION_BATCH]]).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            y = frozen(normalised(batch).contiguous(memory_format=torch.channels_last)).contiguous().cpu()
        out[start : start + len(batch)] = (y.to(torch.bfloat16).view(torch.uint16) if bf16 else y).numpy()
        if progress is not None:
            progress(start + len(batch), len(rows))
    out.flush()
