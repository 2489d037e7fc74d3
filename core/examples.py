"""Faces as training reads them: arrays that worker processes share, and batches of them as tensors."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.names import CROP


@dataclass(frozen=True, eq=False)
class Views:
    """Changed versions of the N faces of a part, K of each, as what leaves the frozen blocks."""

    inputs: NDArray[np.generic]
    """(M, C, H, W), as of :class:`Examples`."""
    rows: NDArray[np.int64]
    """(N, K), where they stand in ``inputs``."""
    landmarks: NDArray[np.float32]
    """(N, K, 5, 2), crop pixels."""


@dataclass(frozen=True, eq=False)
class Examples:
    """One part of the split. Arrays may be memory-mapped and read-only; nothing here writes into them."""

    inputs: NDArray[np.generic]
    """Faces, uint8 (M, 3, 224, 224); or what leaves the frozen blocks, (M, C, H, W), float32 or, for bfloat16
    (which numpy lacks), its bits as uint16."""
    rows: NDArray[np.int64]
    """(N,), where this part's faces stand in ``inputs``."""
    landmarks: NDArray[np.float32]
    """(N, 5, 2), crop pixels."""
    gender: NDArray[np.int64]
    """(N,), 1 for a man."""
    views: Views | None = None
    """What training may show instead; predictions are of the faces themselves."""

    def __len__(self) -> int:
        return len(self.gender)


@dataclass(frozen=True, eq=False)
class Batch:
    """Some faces on the device: inputs, landmarks as fractions of the crop (B, 5, 2), gender (B,)."""

    inputs: Tensor
    landmarks: Tensor
    gender: Tensor


def as_tensor(array: NDArray[np.generic]) -> Tensor:
    """A tensor over ``array``'s memory; uint16 is read as bfloat16."""
    tensor = torch.from_numpy(array)
    return tensor.view(torch.bfloat16) if tensor.dtype == torch.uint16 else tensor


COPIED = 1024  # faces at a time to a device


class BatchSource:
    """Batches of one part of the split on one device.

    On a GPU the whole part is copied there once if it takes at most a quarter of the free memory (of the share of
    ``beside`` such parts, where there are more), so that training never waits for copies; else, and on the CPU, each
    batch is gathered from the shared arrays. Views are always gathered.
    """

    def __init__(self, examples: Examples, device: torch.device, beside: int = 1) -> None:
        self.examples = examples
        self.device = device
        self.landmarks = torch.from_numpy(examples.landmarks / np.float32(CROP)).to(device)
        self.gender = torch.from_numpy(examples.gender.copy()).to(device)
        self.resident: Tensor | None = None
        if device.type == "cuda" and self._bytes() <= torch.cuda.mem_get_info(device)[0] // (4 * beside):
            self.resident = self._copied()

    def _copied(self) -> Tensor:
        """The whole part on the device, brought there a piece at a time: the host never holds it."""
        examples = self.examples
        kind = as_tensor(examples.inputs[examples.rows[:0]])
        copy = torch.empty((len(examples), *kind.shape[1:]), dtype=kind.dtype, device=self.device)
        for start in range(0, len(examples), COPIED):
            piece = slice(start, start + COPIED)
            copy[piece] = as_tensor(examples.inputs[examples.rows[piece]]).to(self.device)
        return copy

    def _bytes(self) -> int:
        return int(self.examples.inputs[:1].nbytes) * len(self.examples)

    def gather(self, indices: NDArray[np.int64]) -> Batch:
        """The faces at ``indices``, in that order."""
        where = torch.from_numpy(indices).to(self.device)
        if self.resident is not None:
            inputs = self.resident[where]
        else:
            inputs = as_tensor(self.examples.inputs[self.examples.rows[indices]]).to(self.device)
        return Batch(inputs, self.landmarks[where], self.gender[where])

    def gather_views(self, indices: NDArray[np.int64], chosen: NDArray[np.int64]) -> Batch:
        """The same faces, of each the view ``chosen`` (B,) from 1 to K, or itself for 0."""
        views = self.examples.views
        assert views is not None
        plain, other = np.flatnonzero(chosen == 0), np.flatnonzero(chosen)
        itself, which = self.gather(indices[plain]), (indices[other], chosen[other] - 1)
        inputs = as_tensor(views.inputs[views.rows[which]]).to(self.device)
        landmarks = torch.from_numpy(views.landmarks[which] / np.float32(CROP)).to(self.device)
        back = torch.from_numpy(np.argsort(np.concatenate([plain, other]))).to(self.device)
        return Batch(
            torch.cat([itself.inputs, inputs])[back],
            torch.cat([itself.landmarks, landmarks])[back],
            self.gender[torch.from_numpy(indices).to(self.device)],
        )

    def batches(self, size: int, order: NDArray[np.int64] | None = None) -> Iterator[Batch]:
        """All faces in ``order`` (default: as stored), ``size`` at a time."""
        if order is None:
            order = np.arange(len(self.examples), dtype=np.int64)
        for start in range(0, len(order), size):
            yield self.gather(order[start : start + size])
