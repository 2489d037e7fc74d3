"""What a row of the step benchmark is about, and the session that it times."""

import argparse
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from benchmarks.material import Material, load_material
from benchmarks.step_variants import Change, Variant
from benchmarks.whole_network import PAPER
from core.config import config_from_flat
from core.device import device_at_hand
from core.names import Architecture, Optimizer, Precision
from core.preparation import DRAWN
from core.session import Session
from core.vgg import vgg16_features

LR = 1e-4  # small enough that training on random filters never blows the loss up


@dataclass(frozen=True)
class Case:
    """What a row is about."""

    model: Architecture
    frozen_blocks: int
    head_width: int
    optimizer: Optimizer
    variant: Variant

    def told(self) -> dict[str, Any]:
        """As columns."""
        return {name: str(value) if name == "variant" else value for name, value in vars(self).items()}

    @property
    def blocks_read(self) -> int:
        """Blocks whose output is read from the cache; the rest starts from there, or from faces at 0."""
        return 0 if Change.UNCACHED in self.variant.changes else self.frozen_blocks

    def __str__(self) -> str:
        return f"{self.model}, {self.frozen_blocks} blocks frozen, {self.optimizer}, {self.variant}"


@dataclass(frozen=True)
class Effort:
    """How much is measured, and on what."""

    batch: int
    repeats: int
    epochs: int
    faces: int
    folder: Path
    """Holds filters, drawn faces and activations, made once for all rows."""


def write_filters(path: Path) -> None:
    """VGG-16's convolutions with random filters that keep activations at one size: time depends on nothing else."""
    torch.manual_seed(0)
    features = vgg16_features("cpu")
    for layer in features:
        if isinstance(layer, nn.Conv2d) and layer.bias is not None:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
    save_file({f"features.{name}": tensor for name, tensor in features.state_dict().items()}, path)


def material_for(effort: Effort, blocks: Collection[int], precision: Precision) -> Material:
    """Drawn faces and what leaves their frozen blocks; made at the first call, then read."""
    filters = effort.folder / "filters.safetensors"
    if not filters.exists():
        write_filters(filters)
    given = argparse.Namespace(data=DRAWN, faces=effort.faces, weights=str(filters))
    return load_material(given, blocks, precision, device_at_hand(), effort.folder)


def built_session(case: Case, effort: Effort, device: torch.device) -> Session:
    """The session that a trial with these settings would train."""
    precision = case.variant.precision
    material = material_for(effort, [case.blocks_read], precision)
    settings = {"architecture": case.model, "frozen_blocks": case.frozen_blocks, "head_width": case.head_width}
    settings |= {"optimizer": case.optimizer, "precision": precision, "batch_size": effort.batch, "lr": LR}
    train, validation = material.examples(case.blocks_read)
    return Session(config_from_flat({**PAPER, **settings}), train, validation, material.weights, 0, device)
