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


def as_built_here(optimizer: optim.Optimizer, state: dict[str, Any]) -> dict[str, Any]:
    """The state of an optimiser that may have been built for another device, for one built for this one: which of
    torch's forms does the step is this one's choice.

    Raises:
        ValueError: it has another number of groups.
    """
    pairs = zip(state["param_groups"], optimizer.param_groups, strict=True)
    groups = [{**group, "fused": ours["fused"]} if "fused" in ours else group for group, ours in pairs]
    return {**state, "param_groups": groups}


def rate_at(schedule: Schedule, epoch: int, epochs: int) -> float:
    """The share of the learning rate with which ``epoch`` (from 0) of ``epochs`` is trained."""
    if schedule is Schedule.COSINE:
        return (1 + math.cos(math.pi * epoch / epochs)) / 2
    return 1.0
