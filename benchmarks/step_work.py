"""What one training step must do at least: the multiply-adds of its matrix products, and the bytes it must move.

A convolution of C to K channels over H x W positions is a matrix product too: 9 C K H W multiply-adds a face. Each
product is done once forward, once more for the gradient of its weights if they learn, and once more for the gradient of
its input if anything before it learns. What is done per number (biases, ReLU, pooling, softmax, dropout) is left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from benchmarks.step_limits import Limits
from core.models import FaceModel
from core.names import CROP, Optimizer, Precision
from core.vgg import BLOCK_ENDS, POSITIONS

NUMBER_BYTES = 4  # weights, gradients and optimiser state are float32, under bfloat16 autocast too
STATES: dict[Optimizer, int] = {Optimizer.ADAM: 2, Optimizer.ADAMAX: 2, Optimizer.ADAGRAD: 1, Optimizer.RMSPROP: 1}
"""Numbers that an optimiser remembers for each parameter."""


@dataclass(frozen=True)
class Product:
    """One matrix product of the forward pass, and what of its backward pass is needed."""

    macs: int
    """Multiply-adds a face, forward."""
    weights: int
    """Size of its weight matrix; 0 where both sides are activations."""
    weight_gradient: bool
    input_gradient: bool

    @property
    def passes(self) -> int:
        """How many products of this size a training step makes of it: 1 to 3."""
        return 1 + self.weight_gradient + self.input_gradient


def products(model: FaceModel, from_faces: bool) -> list[Product]:
    """All matrix products of a training step.

    Args:
        model: its frozen blocks are those whose weights need no gradient.
        from_faces: frozen blocks are computed in every step; else they cost nothing, as their output is read.
    """
    return [*_convolutions(model, from_faces), *_attention(model), *_heads(model)]


def _convolutions(model: FaceModel, from_faces: bool) -> list[Product]:
    first = 0 if from_faces else model.split
    side = CROP >> BLOCK_ENDS.index(first)
    found, something_learns = [], False
    for layer in model.features[first:]:
        if isinstance(layer, nn.MaxPool2d):
            side //= 2
        elif isinstance(layer, nn.Conv2d):
            size, learns = layer.weight.numel(), layer.weight.requires_grad
            found.append(Product(side * side * size, size, learns, something_learns))
            something_learns = something_learns or learns
    return found


def _features_learn(model: FaceModel) -> bool:
    return model.split < len(model.features)


def _attention(model: FaceModel) -> list[Product]:
    found = []
    for layer in model.attention.values():
        maps = [part for part in layer.children() if isinstance(part, nn.Linear)]
        for part in maps:
            size = part.weight.numel()
            found.append(Product(POSITIONS * size, size, True, _features_learn(model)))
        scores = Product(POSITIONS * POSITIONS * maps[0].out_features, 0, True, True)
        found += [scores, scores]  # queries with keys, then weights with values; either side of both has a gradient
    return found


def _heads(model: FaceModel) -> list[Product]:
    found = []
    for head in model.heads.values():
        something_learns = _features_learn(model) or len(model.attention) > 0
        for layer in head.children():
            if isinstance(layer, nn.Linear):
                size = layer.weight.numel()
                found.append(Product(size, size, True, something_learns))
                something_learns = True
    return found


def optimizer_bytes(kind: Optimizer, parameters: int) -> int:
    """Bytes of one update: parameter, gradient and each state are read, parameter and each state written."""
    states = STATES[kind]
    return NUMBER_BYTES * parameters * ((2 + states) + (1 + states))


def learned_parameters(model: FaceModel) -> int:
    """Number of scalars that training changes."""
    return sum(tensor.numel() for tensor in model.learned_tensors().values())


def products_seconds(found: Sequence[Product], batch: int, limits: Limits, precision: Precision) -> float:
    """The least time for the products of a step: each takes its arithmetic, or moving its weights if that is longer.

    Moving counts float32 weights read once (or their gradient written once) a product: at a batch of 15 this is what
    a head's layers cost, not their arithmetic. Activations are not counted.
    """
    moved = NUMBER_BYTES / limits.bytes_per_second
    return sum(p.passes * max(batch * p.macs / limits.macs_per_second[precision], p.weights * moved) for p in found)
