"""The four optimisers of table I, in torch's fastest implementation for the device."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, optim

from core.names import Optimizer, Schedule

OPTIMIZERS: dict[Optimizer, Callable[..., optim.Optimizer]] = {
    Optimizer.ADAM: optim.Adam,
    Optimizer.ADAMAX: optim.Adamax,
    Optimizer.ADAGRAD: optim.Adagrad,
    Optimizer.RMSPROP: optim.RMSprop,
}

# The fused forms read and write each number once, which is what a step on tens of millions of weights costs: 3 to 5
# times faster than the plain ones on a CPU. Torch has none for Adamax and RMSprop, and Adagrad's for GPUs not in every
# version that we take.
FUSED: dict[Optimizer, tuple[str, ...]] = {Optimizer.ADAM: ("cpu", "cuda"), Optimizer.ADAGRAD: ("cpu",)}


def build_optimizer(
    kind: Optimizer,
    parameters: Iterable[Tensor] | Iterable[dict[str, Any]],
    lr: float,
    device: torch.device,
    weight_decay: float = 0.0,
) -> optim.Optimizer:
    """An optimiser with torch's defaults apart from the learning rate and the weight decay; groups of parameters may
    have a rate of their own, as torch takes them."""
    options = {"fused": True} if device.type in FUSED.get(kind, ()) else {}
    return OPTIMIZERS[kind](list(parameters), lr=lr, weight_decay=weight_decay, **options)


def rate_at(schedule: Schedule, epoch: int, epochs: int) -> float:
    """The share of the learning rate with which ``epoch`` (from 0) of ``epochs`` is trained."""
    if schedule is Schedule.COSINE:
        return (1 + math.cos(math.pi * epoch / epochs)) / 2
    return 1.0
