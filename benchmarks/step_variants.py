"""The forms in which a training step can be run, named by words: ``fp32``, ``bf16+foreach``, ``bf16+graph+no-copy``.

A bare precision is the step as :class:`core.session.Session` does it; each further word changes one thing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import torch
from torch import optim

from core.errors import UserError
from core.names import Optimizer, Precision
from core.optimizers import FUSED, OPTIMIZERS, build_optimizer


class Change(StrEnum):
    """What may differ from the session's own step."""

    CONTIGUOUS = "contiguous"
    LOOP = "loop"
    FOREACH = "foreach"
    FUSED = "fused"
    COMPILED_UPDATE = "compiled-update"
    COMPILE = "compile"
    NO_COPY = "no-copy"
    UNCACHED = "uncached"
    GRAPH = "graph"


MEANING: dict[Change, str] = {
    Change.CONTIGUOUS: "convolutions not in channels-last order",
    Change.LOOP: "the optimiser goes from tensor to tensor",
    Change.FOREACH: "the optimiser takes all tensors operation by operation",
    Change.FUSED: "the optimiser does all operations in one pass",
    Change.COMPILED_UPDATE: "the optimiser's step through torch.compile",
    Change.COMPILE: "forward and backward pass through torch.compile",
    Change.NO_COPY: "always the same batch, already on the device",
    Change.UNCACHED: "frozen blocks computed from the faces in every step",
    Change.GRAPH: "the whole step as one CUDA graph",
}

FORMS: dict[Change, dict[str, bool]] = {
    Change.LOOP: {"foreach": False},
    Change.FOREACH: {"foreach": True},
    Change.FUSED: {"fused": True},
    Change.COMPILED_UPDATE: {"foreach": True},  # torch.compile makes one kernel of it
}
"""The optimiser's forms that exclude one another, by torch's own options."""

COMPILED = frozenset({Change.COMPILE, Change.COMPILED_UPDATE})
PRECISIONS = (Precision.FP32, Precision.BF16)
EACH_ALONE = ("fp32", "fp32+contiguous", "bf16", *(f"bf16+{change}" for change in Change))


@dataclass(frozen=True)
class Variant:
    """One form of the step."""

    precision: Precision
    changes: frozenset[Change] = frozenset()

    def __str__(self) -> str:
        return "+".join([self.precision, *(change for change in Change if change in self.changes)])


def parse_variant(text: str) -> Variant:
    """``bf16+foreach`` as a variant.

    Raises:
        UserError: no precision first, an unknown word, or two forms of the optimiser.
    """
    first, *words = text.split("+")
    if first not in PRECISIONS or not set(words) <= set(Change):
        raise UserError(f"a variant is fp32 or bf16, then +WORD with {', '.join(Change)}; got {text!r}")
    changes = frozenset(Change(word) for word in words)
    if len(changes & set(FORMS)) > 1:
        raise UserError(f"a variant has one of {', '.join(FORMS)}; got {text!r}")
    return Variant(Precision(first), changes)


def obstacle(variant: Variant, optimizer: Optimizer, frozen_blocks: int, device: torch.device) -> str:
    """Why this cannot be measured, in a few words; empty if it can."""
    changes = variant.changes
    if Change.FUSED in changes and device.type not in FUSED.get(optimizer, ()):
        return f"torch has no fused {optimizer} on {device.type}"
    if Change.UNCACHED in changes and frozen_blocks == 0:
        return "no block is frozen"
    if Change.CONTIGUOUS in changes and frozen_blocks == 5:
        return "no convolution learns"
    if Change.GRAPH in changes and device.type != "cuda":
        return "CUDA graphs need a GPU"
    if Change.GRAPH in changes and optimizer is Optimizer.ADAGRAD:
        return "torch's Adagrad cannot be captured"
    return ""


def variant_optimizer(
    variant: Variant, kind: Optimizer, parameters: Iterable[torch.Tensor], lr: float, device: torch.device
) -> optim.Optimizer:
    """The optimiser as the session builds it, or in the form that the variant names."""
    options: dict[str, Any] = {}
    for change in variant.changes & set(FORMS):
        options |= FORMS[change]
    if Change.GRAPH in variant.changes:
        options["capturable"] = True  # its count of steps lives on the GPU, where a replayed graph can raise it
        if not variant.changes & set(FORMS) and device.type in FUSED.get(kind, ()):
            options["fused"] = True
    if not options:
        return build_optimizer(kind, parameters, lr, device)
    return OPTIMIZERS[kind](list(parameters), lr=lr, **options)
