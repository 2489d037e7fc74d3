"""Torchvision's VGG-16 convolutions, cut into the five blocks that can be frozen one after another."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torchvision.models import vgg16

from core.names import CROP

BLOCK_ENDS = (0, 5, 10, 17, 24, 31)
"""``features[:BLOCK_ENDS[k]]`` are the first k blocks; each ends with its max pooling."""

CHANNELS = 512
POSITIONS = 49  # the last feature map is 7 x 7

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


def vgg16_features(device: str) -> nn.Sequential:
    """The 31 layers of torchvision's VGG-16 before its classifier, uninitialised; ``"meta"`` allocates nothing."""
    with torch.device("meta"):  # the classifier's 124 million parameters are never made
        features = cast(nn.Sequential, vgg16(weights=None, init_weights=False).features)
    return features if device == "meta" else features.to_empty(device=device)


def block_output_shape(blocks: int) -> tuple[int, int, int]:
    """Channels, height and width of what leaves the first ``blocks`` blocks (0-5) for a 224 x 224 face."""
    channels = (3, 64, 128, 256, 512, 512)[blocks]
    side = CROP >> blocks
    return channels, side, side


def _by_channel(values: Sequence[float], images: Tensor) -> Tensor:
    """A constant (3, 1, 1) beside the images, filled in there: a copy would make a GPU wait, and cannot be captured in
    a graph of its kernels.
    """
    return torch.cat([images.new_full((1, 1, 1), value, dtype=torch.float32) for value in values])


def normalised(images: Tensor) -> Tensor:
    """uint8 faces (B, 3, H, W) as float32 with ImageNet's mean and standard deviation per channel (II.C)."""
    mean, std = (_by_channel(values, images) for values in (_IMAGENET_MEAN, _IMAGENET_STD))
    return images.to(torch.float32).div_(255).sub_(mean).div_(std)
