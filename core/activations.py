"""What leaves the frozen blocks, computed once per machine and shared by every trial.

The same picture of a face gives the same activations in every epoch and trial. They are kept as one memory-mapped
array, named by all that determines it: faces, weights, number of frozen blocks, precision and kind of device.
"""

import hashlib
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from core.atomic import new_array, new_folder
from core.device import gpu_errors, make_repeatable
from core.errors import UserError
from core.names import Precision
from core.turns import Progress, alone
from core.vgg import BLOCK_ENDS, block_output_shape, normalised, vgg16_features
from core.weights import Weights

EXTRACTION_BATCH = 16
_VERSION = 3


class Images(Protocol):
    """Pictures by number."""

    def __getitem__(self, rows: NDArray[np.int64], /) -> NDArray[np.uint8]:
        """uint8, (B, 3, 224, 224)."""


def activations_bytes(faces: int, blocks: int, precision: Precision) -> int:
    """Disk that the activations take."""
    return faces * int(np.prod(block_output_shape(blocks))) * (2 if precision is Precision.BF16 else 4)


@dataclass(frozen=True, eq=False)
class FrozenActivations:
    """What leaves the first blocks for some pictures: a ``.npy`` file in a cache, computed where it is not there.

    It holds (rows, C, H, W): float32, or the bits of bfloat16 as uint16.
    """

    images: Images
    """An array, uint8, (N, 3, 224, 224), or what gives such for row numbers."""
    rows: NDArray[np.int64]
    """Which of them, in which order."""
    fingerprint: str
    """Of the images."""
    weights: Weights
    blocks: int
    """1-5."""
    precision: Precision
    device: torch.device
    cache: Path

    @property
    def path(self) -> Path:
        """The file, there or not."""
        # A GPU's sums differ from a CPU's in their last digits, so each has its own.
        key = f"{_VERSION} {self.fingerprint} {self.weights.digest} {self.blocks} {self.precision} {self.device.type}"
        name = hashlib.sha256(key.encode() + self.rows.tobytes()).hexdigest()[:16]
        return self.cache / f"activations-{name}" / "activations.npy"

    def computed(self, progress: Progress | None = None) -> Path:
        """The file, after it was computed if need be.

        Raises:
            UserError: the disk has no room for it, or cannot be written to.
            GpuError: the GPU fails.
        """
        path, folder = self.path, self.path.parent
        if path.exists():
            return path
        try:
            self.cache.mkdir(parents=True, exist_ok=True)
            with alone(folder.with_name(f"{folder.name}.lock"), progress):  # two searches may want the same array
                if path.exists():
                    return path
                check_room([self])
                with new_folder(folder, folder.with_name(f".{folder.name}.partial")) as partial:
                    _extract(self, partial / path.name, progress)
        except OSError as error:
            raise UserError(f"{self.cache}: cannot write the cache ({error.strerror or error})") from None
        return path


def check_room(wanted: Sequence[FrozenActivations]) -> None:
    """Refuse to compute activations, all of one cache, if those that are not there do not fit on its disk together.

    Raises:
        UserError: they do not.
    """
    missing = [one for one in wanted if not one.path.exists()]
    if not missing:
        return
    cache, faces = missing[0].cache, sum(len(one.rows) for one in missing)
    need = sum(activations_bytes(len(one.rows), one.blocks, one.precision) for one in missing)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(cache).free
    except OSError as error:
        raise UserError(f"{cache}: cannot write the cache ({error.strerror or error})") from None
    if need > free:
        raise UserError(
            f"{cache}: activations of {faces} faces need {need / 1e9:.1f} GB, {free / 1e9:.1f} GB are free; "
            "choose another --cache, more frozen blocks, fewer views or activation_cache=false"
        )


def _extract(wanted: FrozenActivations, path: Path, progress: Progress | None) -> None:
    try:
        with gpu_errors(wanted.device, "activations were computed", "CUDA_VISIBLE_DEVICES chooses another one"):
            _extract_on(wanted, path, progress)
    finally:
        with suppress(RuntimeError):  # of a GPU that has failed, which is told
            torch.cuda.empty_cache()  # for the trials, which run in other processes; without a GPU nothing happens


@torch.inference_mode()
def _extract_on(wanted: FrozenActivations, path: Path, progress: Progress | None) -> None:
    features = vgg16_features("cpu")
    features.load_state_dict(wanted.weights.features)
    device, rows = wanted.device, wanted.rows
    make_repeatable(device)  # as training and the test: with TF32 they would be of other activations
    frozen = features[: BLOCK_ENDS[wanted.blocks]].to(device).to(memory_format=torch.channels_last)
    bf16 = wanted.precision is Precision.BF16
    dtype: Any = np.uint16 if bf16 else np.float32
    out = new_array(path, dtype, (len(rows), *block_output_shape(wanted.blocks)))
    for start in range(0, len(rows), EXTRACTION_BATCH):
        batch = torch.from_numpy(wanted.images[rows[start : start + EXTRACTION_BATCH]]).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            y = frozen(normalised(batch).contiguous(memory_format=torch.channels_last)).contiguous().cpu()
        out[start : start + len(batch)] = (y.to(torch.bfloat16).view(torch.uint16) if bf16 else y).numpy()
        if progress is not None:
            progress(start + len(batch), len(rows))
    out.flush()
