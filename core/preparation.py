"""Everything a search or a test needs before the first step: faces, split, weights, activations."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from core.activations import frozen_activations
from core.examples import Examples
from core.faces import Faces, load_celeba_faces, load_drawn_faces
from core.folds import Folds
from core.names import Precision
from core.splits import Split
from core.weights import (
    Weights,
    WeightsUnavailableError,
    calibrated_random_weights,
    imagenet_weights,
    weights_from_file,
)

DRAWN = "drawn"
AUTO, IMAGENET, RANDOM = "auto", "imagenet", "random"  # weights that are no file
CALIBRATION_FACES = 64

Say = Callable[[str], None]
Reporter = Callable[[str], Callable[[int, int], None]]
"""Gives, for a named piece of work, the function that hears how much of it is done."""


def load_faces(data: str, drawn_faces: int, drawn_seed: int, cache: Path, report: Reporter) -> Faces:
    """Faces of a CelebA folder, or drawn ones if ``data`` is ``drawn``."""
    if data == DRAWN:
        return load_drawn_faces(drawn_faces, drawn_seed, cache, report("drawing faces"))
    return load_celeba_faces(Path(data), cache, report("decoding faces"))


def load_weights(weights: str, faces: Faces, split: Split, say: Say, report: Reporter) -> Weights:
    """Weights by what the user asked for: ``auto``, ``imagenet``, ``random`` or a file.

    ``auto`` is ImageNet's, or, for drawn faces only, calibrated random filters where ImageNet's cannot be had.

    Raises:
        UserError: the file is no VGG-16; ImageNet weights cannot be had and the faces are not drawn.
    """
    if weights == RANDOM:
        say("weights: random filters, calibrated on the training faces")
        return _random_weights(faces, split, report)
    if weights not in (AUTO, IMAGENET):
        return weights_from_file(Path(weights))
    say("weights: ImageNet's, from torchvision's cache or downloaded")
    try:
        return imagenet_weights()
    except WeightsUnavailableError:
        if weights == IMAGENET or faces.source != DRAWN:
            raise
    say("weights: those cannot be had here; random filters, calibrated on the drawn faces, take their place")
    return _random_weights(faces, split, report)


def _random_weights(faces: Faces, split: Split, report: Reporter) -> Weights:
    images, _, _ = faces.take(split.train[:CALIBRATION_FACES])
    return calibrated_random_weights(torch.from_numpy(images), 0, report("calibrating random filters, layer"))


@dataclass(frozen=True, eq=False)
class Part:
    """One part of the split: where its faces stand in a file of inputs, and what is true of them."""

    rows: NDArray[np.int64]
    landmarks: NDArray[np.float32]
    """(N, 5, 2), crop pixels."""
    gender: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Inputs:
    """What models with some number of frozen blocks read."""

    path: Path
    """A ``.npy`` file: faces (no block frozen, or no cache) or activations."""
    train: Part
    validation: Part
    folds: tuple[tuple[Part, Part], ...] = ()
    """Train and validation of each fold, where trials are cross-validated."""

    def examples(self, array: NDArray[np.generic]) -> tuple[Examples, Examples]:
        """Train and validation examples over the file's array, without copying it."""
        return _over(array, self.train), _over(array, self.validation)

    def fold_examples(self, array: NDArray[np.generic]) -> list[tuple[Examples, Examples]]:
        """The same of each fold."""
        return [(_over(array, train), _over(array, validation)) for train, validation in self.folds]


def _over(array: NDArray[np.generic], part: Part) -> Examples:
    return Examples(array, part.rows, part.landmarks, part.gender)


def prepare_inputs(
    faces: Faces,
    split: Split,
    weights: Weights,
    frozen_blocks: Iterable[int],
    precision: Precision,
    device: torch.device,
    cache: Path,
    report: Reporter,
    folds: Folds = (),
) -> dict[int, Inputs]:
    """Inputs for every number of frozen blocks that a search may try, 0 always among them.

    Activations are computed for the train and validation faces only: the search never reads a test face.

    Args:
        folds: how these are also divided for cross-validation.
    """
    seen = np.sort(np.concatenate([split.train, split.validation]))

    def inputs(path: Path, rows_of: Callable[[NDArray[np.int64]], NDArray[np.int64]]) -> Inputs:
        def part(indices: NDArray[np.int64]) -> Part:
            return Part(rows_of(indices), faces.landmarks[indices], faces.gender[indices])

        folded = tuple((part(train), part(validation)) for train, validation in folds)
        return Inputs(path, part(split.train), part(split.validation), folded)

    found = {0: inputs(faces.images_path, lambda indices: indices)}
    for blocks in sorted(set(frozen_blocks) - {0}):
        path = frozen_activations(
            faces.images,
            seen,
            faces.fingerprint,
            weights,
            blocks,
            precision,
            device,
            cache,
            report(f"activations of {blocks} frozen block{'s' if blocks > 1 else ''}"),
        )
        found[blocks] = inputs(path, lambda indices: np.searchsorted(seen, indices))
    return found
