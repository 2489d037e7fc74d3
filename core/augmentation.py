"""Training faces changed: mirrored, turned, scaled, shifted, lit otherwise, partly covered; and landmarks with them.

Shapes: B faces of 3 x H x W pixels, L = 5 landmarks, X = (x, y) as fractions of the crop's side.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from core.config import DataConfig
from core.names import CROP, MIRRORED

MOST_DEGREES = 15.0  # at strength 1, to either side; CelebA's faces are aligned by hand to a few
MOST_SCALE = 1.15  # and its inverse
MOST_SHIFT = 0.08  # of the crop's side, along each axis
MOST_LIGHT = 1.35  # times as bright or as rich in contrast, and its inverse
COVERED = 0.5  # probability that a face is, at strength 1
COVER_SIDES = (0.1, 0.35)  # of the crop's side


@dataclass(frozen=True)
class Augmentation:
    """How training faces are changed; see :class:`core.config.DataConfig`."""

    strength: float
    flip: bool
    views: int
    """Changed versions of each face that are kept where layers are frozen; mirrored faces have but one."""

    @property
    def name(self) -> str:
        """In words, for progress."""
        words = [f"augmentation {self.strength:g}"] if self.strength else []
        return ", ".join([*words, *(["mirrored"] if self.flip else [])])


def augmentation_of(settings: DataConfig) -> Augmentation | None:
    """The augmentation that a config asks for; None for plain faces."""
    if settings.augmentation:
        return Augmentation(settings.augmentation, settings.flip, settings.views)
    return Augmentation(0.0, True, 1) if settings.flip else None


@dataclass(frozen=True, eq=False)
class Changes:
    """What is done to each of B faces, in this order."""

    mirrored: NDArray[np.bool_]
    degrees: NDArray[np.float64] | None = None
    """Counterclockwise as one sees it. None, and nothing of what follows, where faces are only mirrored."""
    scale: NDArray[np.float64] | None = None
    shift: NDArray[np.float64] | None = None
    """(B, X)"""
    contrast: NDArray[np.float64] | None = None
    brightness: NDArray[np.float64] | None = None
    cover: NDArray[np.float64] | None = None
    """(B, 4): left, top, right and bottom of what is covered, as fractions; the same twice where nothing is."""

    def of(self, faces: NDArray[np.int64]) -> "Changes":
        """Those of some of the faces."""
        chosen: dict[str, Any] = {name: None if value is None else value[faces] for name, value in vars(self).items()}
        return Changes(**chosen)


def draw_changes(random: np.random.Generator, count: int, augmentation: Augmentation) -> Changes:
    """Changes for so many faces.

    At strength s rotation is even within s x 15 degrees and shift within s x 8 % of the crop; scale, brightness and
    contrast are even on a logarithmic scale within 1.15^s and 1.35^s; a rectangle of the face's mean colour covers
    something with probability s / 2. With ``flip`` half of all faces are mirrored.
    """
    mirrored = random.random(count) < 0.5 if augmentation.flip else np.zeros(count, dtype=bool)
    strength = augmentation.strength
    if not strength:
        return Changes(mirrored)
    around = random.uniform(-strength, strength, (6, count))
    middle, sides = random.random((count, 2)), random.uniform(*COVER_SIDES, (count, 2))
    sides[random.random(count) >= strength * COVERED] = 0
    return Changes(
        mirrored,
        MOST_DEGREES * around[0],
        MOST_SCALE ** around[1],
        MOST_SHIFT * around[2:4].T,
        MOST_LIGHT ** around[4],
        MOST_LIGHT ** around[5],
        np.concatenate([middle - sides / 2, middle + sides / 2], axis=1),
    )


def changed_images(images: Tensor, changes: Changes) -> Tensor:
    """uint8 faces (B, 3, H, W) with ``changes`` made; uint8 again.

    What turning and shifting bring into the picture is its own reflection at the edges.
    """
    chosen = torch.from_numpy(changes.mirrored).to(images.device)
    images = torch.where(chosen[:, None, None, None], images.flip(-1), images)
    if changes.degrees is None:
        return images
    matrix, offset = (part.to(images.device) for part in _motion(changes))
    shown = _covered(_lit(_moved(images.float(), matrix, offset), changes), changes)
    return shown.round().clamp(0, 255).to(torch.uint8)


def changed_landmarks(landmarks: Tensor, changes: Changes) -> Tensor:
    """Where landmarks (B, L, X) are after :func:`changed_images`; left and right change places in a mirror."""
    other = landmarks[:, list(MIRRORED)].clone()
    # Pixel x has its centre at x: the first and the last column, 0 and CROP - 1, change places.
    other[..., 0] = (CROP - 1) / CROP - other[..., 0]
    chosen = torch.from_numpy(changes.mirrored).to(landmarks.device)
    landmarks = torch.where(chosen[:, None, None], other, landmarks)
    if changes.degrees is None:
        return landmarks
    matrix, offset = (part.to(landmarks.device) for part in _motion(changes))
    return landmarks @ matrix.transpose(1, 2) + offset[:, None]


def _motion(changes: Changes) -> tuple[Tensor, Tensor]:
    """Where a place p of the crop goes, as fractions: ``matrix @ p + offset``; about the crop's middle."""
    assert changes.degrees is not None
    assert changes.scale is not None
    assert changes.shift is not None
    angle = changes.degrees * math.pi / 180
    cosine, sine = changes.scale * np.cos(angle), changes.scale * np.sin(angle)
    matrix = np.stack([np.stack([cosine, sine], 1), np.stack([-sine, cosine], 1)], 1)  # y points down
    middle = np.full(2, (CROP - 1) / 2 / CROP)
    offset = middle + changes.shift - matrix @ middle
    return torch.from_numpy(matrix).float(), torch.from_numpy(offset).float()


def _moved(images: Tensor, matrix: Tensor, offset: Tensor) -> Tensor:
    """Each pixel of the result is what was where the motion takes it from."""
    back = torch.linalg.inv(matrix)
    # grid_sample's coordinates run from -1 to 1 over the outer edges of pixels; pixel x, with its centre at x, is at
    # u = 2 (x + 1/2) / CROP - 1, and so p = (u + 1) / 2 - 1 / (2 CROP).
    half = 0.5 - 0.5 / CROP
    origin = torch.full_like(offset, half) - offset
    shift = 2 * ((back @ origin[:, :, None])[:, :, 0] - half)
    grid = functional.affine_grid(torch.cat([back, shift[:, :, None]], 2), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def _lit(images: Tensor, changes: Changes) -> Tensor:
    assert changes.contrast is not None
    assert changes.brightness is not None
    contrast, brightness = (
        torch.from_numpy(values).float().to(images.device)[:, None, None, None]
        for values in (changes.contrast, changes.brightness)
    )
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return ((images - mean) * contrast + mean).clamp(0, 255) * brightness


def _covered(images: Tensor, changes: Changes) -> Tensor:
    assert changes.cover is not None
    left, top, right, bottom = torch.from_numpy(changes.cover.T).float().to(images.device)[:, :, None]
    x, y = (torch.arange(size, device=images.device) / size for size in (images.shape[3], images.shape[2]))
    across, down = (x >= left) & (x < right), (y >= top) & (y < bottom)
    inside = down[:, None, :, None] & across[:, None, None, :]
    return torch.where(inside, images.mean(dim=(2, 3), keepdim=True), images)


class ChangedFaces:
    """Faces that are changed when they are asked for: view k of face i is number i x views + k.

    Args:
        images: uint8, (M, 3, 224, 224).
        rows: (N,), which of them; landmarks: theirs, (N, L, X) in crop pixels.
        seed: of what is drawn for all of them.
    """

    def __init__(
        self,
        images: NDArray[np.uint8],
        rows: NDArray[np.int64],
        landmarks: NDArray[np.float32],
        augmentation: Augmentation,
        seed: int,
    ) -> None:
        self.images = images
        self.numbers = np.arange(len(rows) * augmentation.views, dtype=np.int64)
        self.rows = rows.repeat(augmentation.views)
        self.changes = draw_changes(np.random.default_rng(seed), len(self.rows), augmentation)
        if not augmentation.strength:  # the mirrored side of every face
            self.changes = Changes(np.ones(len(self.rows), dtype=bool))
        before = torch.from_numpy(landmarks.repeat(augmentation.views, axis=0) / np.float32(CROP))
        after = changed_landmarks(before, self.changes).numpy() * np.float32(CROP)
        self.landmarks: NDArray[np.float32] = after.reshape(len(rows), augmentation.views, *landmarks.shape[1:])
        """(N, views, L, X), crop pixels."""

    def __getitem__(self, numbers: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Views by number: (B, 3, 224, 224)."""
        images: NDArray[np.uint8] = changed_images(
            torch.from_numpy(self.images[self.rows[numbers]]), self.changes.of(numbers)
        ).numpy()
        return images
