"""What a measurement works with: faces, their split, weights and inputs; the real excerpt if it is there."""

import argparse
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from core.augmentation import Augmentation
from core.cache_folder import default_cache
from core.examples import Examples
from core.faces import Faces
from core.folds import fold_faces
from core.names import Precision
from core.preparation import AUTO, DRAWN, Inputs, load_faces, load_weights, prepare_inputs
from core.splits import Split, split_faces
from core.weights import Weights

EXCERPT = Path("data/celeba-mini")
RESULTS = Path("benchmarks/results")


@dataclass(frozen=True, eq=False)
class Material:
    """Faces and all that is made of them before the first epoch."""

    data: str
    faces: Faces
    split: Split
    weights: Weights
    inputs: dict[int, Inputs]

    def examples(self, blocks: int) -> tuple[Examples, Examples]:
        """Train and validation examples of a number of frozen blocks."""
        return self.inputs[blocks].examples()


def add_material_options(parser: argparse.ArgumentParser, weights: str = AUTO, counted: bool = True) -> None:
    """Where faces and weights come from; ``counted`` if so many faces are drawn as the user says."""
    data = str(EXCERPT) if EXCERPT.is_dir() else DRAWN
    parser.add_argument("--data", default=data, metavar="DIR", help=f"a CelebA folder, or {DRAWN} (default: {data})")
    if counted:
        parser.add_argument("--faces", type=int, default=500, help="how many to draw (default: %(default)s)")
    parser.add_argument("--weights", default=weights, metavar="PATH", help="VGG-16 weights (default: %(default)s)")


def load_material(
    given: argparse.Namespace,
    blocks: Collection[int],
    precision: Precision,
    device: torch.device,
    cache: Path | None = None,
    folds: int = 1,
    augmentations: Collection[Augmentation] = (),
) -> Material:
    """Load or make everything; ``cache`` is the user's own unless another folder is named."""
    cache = cache or default_cache()
    faces = load_faces(given.data, given.faces, cache, quiet)
    split = split_faces(faces.gender, faces.identity, 0)
    weights = load_weights(given.weights, faces, split, cache, print, quiet)
    divided = fold_faces(split, faces.gender, faces.identity, folds, 0)
    inputs = prepare_inputs(faces, split, weights, blocks, precision, device, cache, quiet, divided, augmentations)
    return Material(given.data, faces, split, weights, inputs)


def quiet(_: str) -> Any:
    """Progress that nobody hears."""
    return lambda *_: None
