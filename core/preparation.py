"""Everything a search or a test needs before the first step: faces, split, weights, activations."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from core.activations import FrozenActivations, Images, check_room
from core.augmentation import Augmentation, ChangedFaces
from core.errors import UserError
from core.examples import Examples, Views
from core.faces import Faces, load_celeba_faces, load_drawn_faces
from core.folds import Folds
from core.metrics import Truth
from core.names import Precision
from core.random_filters import kept_random_weights
from core.splits import Split
from core.weights import Weights, WeightsUnavailableError, imagenet_weights, weights_from_file

DRAWN = "drawn"
AUTO, IMAGENET, RANDOM = "auto", "imagenet", "random"  # weights that are no file
VIEW_SEED, VIEWS_VERSION = 0, 1  # of changed faces that are kept; the version is of how they are changed

Say = Callable[[str], None]
Reporter = Callable[[str], Callable[[int, int], None]]
"""Gives, for a named piece of work, the function that hears how much of it is done."""


def load_faces(data: str, drawn_faces: int, cache: Path, report: Reporter) -> Faces:
    """Faces of a CelebA folder, or so many drawn ones, always the same, if ``data`` is ``drawn``.

    Raises:
        UserError: no such folder, or not one of CelebA's; an image that cannot be read; the cache cannot be written.
    """
    if data != DRAWN and not Path(data).is_dir():
        raise UserError(f"{data}: no such folder of faces; --data DIR says where they are")
    if data == DRAWN:
        return load_drawn_faces(drawn_faces, 0, cache, report("drawing faces"))
    return load_celeba_faces(Path(data), cache, report("decoding faces"))


def told_source(plan: Mapping[str, Any]) -> str:
    """Where the faces of a recorded plan come from, in words."""
    data = str(plan.get("data", DRAWN))  # without it a plan draws its faces
    return "drawn faces" if data == DRAWN else f"faces of {Path(data).absolute().name}"


def check_places(given: Mapping[str, Any]) -> None:
    """Raise a UserError if the options name faces or a file of weights that are not there."""
    data = given.get("data", DRAWN)
    if data != DRAWN and not Path(data).is_dir():
        raise UserError(f"--data {data}: must be a folder with CelebA's annotation files, there is none")
    weights = given.get("weights", AUTO)
    if weights not in (AUTO, IMAGENET, RANDOM) and not Path(weights).is_file():
        raise UserError(f"--weights {weights}: no such weights file (nor is it {AUTO}, {IMAGENET} or {RANDOM})")


def load_weights(weights: str, faces: Faces, split: Split, cache: Path, say: Say, report: Reporter) -> Weights:
    """Weights by what the user asked for: ``auto``, ``imagenet``, ``random`` (kept in ``cache``) or a file.

    ``auto`` is ImageNet's, or, for drawn faces only, calibrated random filters where ImageNet's cannot be had.

    Raises:
        UserError: the file is no VGG-16; ImageNet weights cannot be had and the faces are not drawn.
    """
    if weights == RANDOM:
        say("weights: random filters, calibrated on the training faces")
        return _random_weights(faces, split, cache, report)
    if weights not in (AUTO, IMAGENET):
        return weights_from_file(Path(weights))
    say("weights: ImageNet's, from torchvision's cache or downloaded")
    try:
        return imagenet_weights()
    except WeightsUnavailableError as error:
        reason = str(error).partition(";")[0]
        if weights == IMAGENET or faces.source != DRAWN:
            raise
    say(f"weights: {reason}; random filters, calibrated on the drawn faces, take their place")
    return _random_weights(faces, split, cache, report)


def _random_weights(faces: Faces, split: Split, cache: Path, report: Reporter) -> Weights:
    return kept_random_weights(faces, split.train, cache, report("calibrating random filters, layer"))


@dataclass(frozen=True, eq=False)
class Part:
    """One part of the split: where its faces stand in a file of inputs, and what is true of them."""

    rows: NDArray[np.int64]
    landmarks: NDArray[np.float32]
    """(N, 5, 2), crop pixels."""
    gender: NDArray[np.int64]
    person: NDArray[np.int64]
    """Of whom each face is; faces without an identity file have a person each."""

    @property
    def truth(self) -> Truth:
        """What is true of them."""
        return Truth(self.gender, self.landmarks, self.person)


@dataclass(frozen=True, eq=False)
class ViewFile:
    """Views of all faces of a file of activations, those of each in a row."""

    path: Path
    landmarks: NDArray[np.float32]
    """(faces, K, 5, 2), crop pixels."""


Opener = Callable[[Path], NDArray[np.generic]]


def mapped(path: Path) -> NDArray[np.generic]:
    """The array of a ``.npy`` file, read from the disk as it is used."""
    array: NDArray[np.generic] = np.load(path, mmap_mode="r")
    return array


@dataclass(frozen=True, eq=False)
class Inputs:
    """What models with some number of frozen blocks read."""

    path: Path
    """A ``.npy`` file: faces (no block frozen, or no cache) or activations."""
    train: Part
    validation: Part
    folds: tuple[tuple[Part, Part], ...] = ()
    """Train and validation of each fold, where trials are cross-validated."""
    views: Mapping[Augmentation, ViewFile] = field(default_factory=dict)
    """Changed versions of all these faces, of each augmentation that models may ask for."""

    def examples(self, augmentation: Augmentation | None = None, opened: Opener = mapped) -> tuple[Examples, Examples]:
        """Train and validation examples over the files' arrays, without copying them.

        Args:
            augmentation: whose views training shows, where inputs are activations.
            opened: gives the array of a file.
        """
        return self._over(self.train, augmentation, opened), self._over(self.validation, None, opened)

    def fold_examples(
        self, augmentation: Augmentation | None = None, opened: Opener = mapped
    ) -> list[tuple[Examples, Examples]]:
        """The same of each fold."""
        over = self._over
        return [(over(train, augmentation, opened), over(val, None, opened)) for train, val in self.folds]

    def _over(self, part: Part, augmentation: Augmentation | None, opened: Opener) -> Examples:
        views = None
        if augmentation is not None and self.views:
            kept = self.views[augmentation]
            rows = part.rows[:, None] * augmentation.views + np.arange(augmentation.views)
            views = Views(opened(kept.path), rows, kept.landmarks[part.rows])
        return Examples(opened(self.path), part.rows, part.landmarks, part.gender, views)


@dataclass(frozen=True, eq=False)
class _Wanted:
    """A file of activations, and what to call it."""

    file: FrozenActivations
    title: str


@dataclass(frozen=True, eq=False)
class _Extraction:
    """From the faces that a search sees to what leaves frozen blocks."""

    faces: Faces
    seen: NDArray[np.int64]
    weights: Weights
    precision: Precision
    device: torch.device
    cache: Path

    def plain(self, blocks: int) -> _Wanted:
        """Activations of the faces as they are."""
        return self._wanted(self.faces.images, self.seen, self.faces.fingerprint, blocks, "")

    def views(self, augmentation: Augmentation, blocks: int) -> tuple[_Wanted, NDArray[np.float32]]:
        """Activations of their views, and the landmarks of these."""
        changed = ChangedFaces(self.faces.images, self.seen, self.faces.landmarks[self.seen], augmentation, VIEW_SEED)
        name = f"{self.faces.fingerprint} {VIEWS_VERSION} {augmentation} {self.seen.tolist()}"
        return self._wanted(changed, changed.numbers, name, blocks, f", {augmentation.name}"), changed.landmarks

    def _wanted(self, images: Images, rows: NDArray[np.int64], name: str, blocks: int, more: str) -> _Wanted:
        weights, precision, device = self.weights, self.precision, self.device
        file = FrozenActivations(images, rows, name, weights, blocks, precision, device, self.cache)
        return _Wanted(file, f"activations of {blocks} frozen block{'s' if blocks > 1 else ''}{more}")


def _compute(wanted: Sequence[_Wanted], report: Reporter) -> None:
    """Compute what is not there; whether all of it fits is known before the first is begun."""
    missing = [one for one in wanted if not one.file.path.exists()]
    check_room([one.file for one in missing])
    for number, one in enumerate(missing, start=1):
        one.file.computed(report(one.title + (f" ({number} of {len(missing)})" if len(missing) > 1 else "")))


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
    augmentations: Collection[Augmentation] = (),
) -> dict[int, Inputs]:
    """Inputs for every number of frozen blocks that a search may try, 0 always among them.

    Activations are computed for the train and validation faces only: the search never reads a test face.

    Args:
        folds: how these are also divided for cross-validation.
        augmentations: of which views are computed where blocks are frozen.
    """
    seen = np.sort(np.concatenate([split.train, split.validation]))
    extraction = _Extraction(faces, seen, weights, precision, device, cache)
    blocks_wanted = sorted(set(frozen_blocks) - {0})
    plain = {blocks: extraction.plain(blocks) for blocks in blocks_wanted}
    views = {blocks: {a: extraction.views(a, blocks) for a in augmentations} for blocks in blocks_wanted}
    of_views = [wanted for kept in views.values() for wanted, _ in kept.values()]
    _compute([*plain.values(), *of_views], report)

    def part(rows: NDArray[np.int64], indices: NDArray[np.int64]) -> Part:
        return Part(rows, faces.landmarks[indices], faces.gender[indices], faces.identity[indices])

    def inputs(path: Path, rows_of: Callable[[NDArray[np.int64]], NDArray[np.int64]]) -> Inputs:
        folded = tuple((part(rows_of(train), train), part(rows_of(val), val)) for train, val in folds)
        train, validation = split.train, split.validation
        return Inputs(path, part(rows_of(train), train), part(rows_of(validation), validation), folded)

    found = {0: inputs(faces.images_path, lambda indices: indices)}
    for blocks in blocks_wanted:
        kept = {a: ViewFile(wanted.file.path, landmarks) for a, (wanted, landmarks) in views[blocks].items()}
        plain_inputs = inputs(plain[blocks].file.path, lambda indices: np.searchsorted(seen, indices))
        found[blocks] = replace(plain_inputs, views=kept)
    return found
