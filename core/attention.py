"""What may stand between the convolutions and a head: self-attention over positions, or channels weighed by content.

Shapes: B faces, C channels, H x W = P positions, N heads of the attention, K and D the sizes of a query and a value.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchvision.ops import SqueezeExcitation

from core.config import ModelConfig
from core.names import AttentionKind, Task
from core.vgg import CHANNELS

REDUCTION = 16  # of channels inside squeeze-and-excitation and CBAM, as in both papers
SPATIAL_KERNEL = 7  # of CBAM, likewise


@dataclass(frozen=True)
class Attention:
    """How one head of the attention model attends."""

    kind: AttentionKind = AttentionKind.SELF
    d_k: int = 512
    """Size of queries and keys, all heads together; each has its share, rounded down."""
    d_v: int = 512
    """Of values, likewise."""
    heads: int = 1

    def channels(self) -> int:
        """Numbers that come out for each position."""
        return self.heads * _share(self.d_v, self.heads) if self.kind is AttentionKind.SELF else CHANNELS

    def module(self) -> nn.Module:
        """The layer."""
        if self.kind is AttentionKind.SELF:
            return SelfAttention(CHANNELS, self.d_k, self.d_v, self.heads)
        if self.kind is AttentionKind.SE:
            return SqueezeExcitation(CHANNELS, CHANNELS // REDUCTION)  # type: ignore[no-any-return]  # untyped there
        return Cbam(CHANNELS)


def attention_of(model: ModelConfig) -> dict[Task, Attention]:
    """What a config says of each task's attention: landmarks may have a ``d_k`` of their own."""
    sizes = {Task.GENDER: model.d_k, Task.LANDMARKS: model.d_k_landmarks or model.d_k}
    return {
        task: Attention(model.attention, d_k, model.d_v or d_k, model.attention_heads) for task, d_k in sizes.items()
    }


def _share(size: int, heads: int) -> int:
    return max(1, size // heads)


class SelfAttention(nn.Module):
    """Scaled dot-product self-attention over the positions of a feature map, without a mask (equation 18).

    ``softmax(Q K^T / sqrt(K)) V``, for each head on its own; what the heads say stands side by side, as nothing in the
    paper would mix it again but the complete head that follows.
    """

    def __init__(self, channels: int, d_k: int, d_v: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(channels, heads * _share(d_k, heads))
        self.key = nn.Linear(channels, heads * _share(d_k, heads))
        self.value = nn.Linear(channels, heads * _share(d_v, heads))

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, P, N * D)."""
        x_bpc = features.flatten(2).transpose(1, 2)
        q_bnpk, k_bnpk, v_bnpd = (self._by_head(layer(x_bpc)) for layer in (self.query, self.key, self.value))
        # It divides by the square root of the last size, which is a head's share of d_k.
        y_bnpd = nn.functional.scaled_dot_product_attention(q_bnpk, k_bnpk, v_bnpd)
        return y_bnpd.transpose(1, 2).flatten(2)

    def _by_head(self, x_bpn: Tensor) -> Tensor:
        return x_bpn.view(*x_bpn.shape[:2], self.heads, -1).transpose(1, 2)


class Cbam(nn.Module):
    """Convolutional block attention (Woo et al., 2018): channels are weighed first, then positions.

    Channels by a shared network over their mean and their maximum; positions by a convolution over the mean and the
    maximum of all channels there.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = nn.Sequential(
            nn.Linear(channels, channels // REDUCTION), nn.ReLU(), nn.Linear(channels // REDUCTION, channels)
        )
        self.positions = nn.Conv2d(2, 1, SPATIAL_KERNEL, padding=SPATIAL_KERNEL // 2)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        pooled = (features.mean(dim=(2, 3)), features.amax(dim=(2, 3)))
        mean, most = map(self.channels, pooled)
        x = features * (mean + most).sigmoid()[:, :, None, None]
        seen = torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)
        y: Tensor = x * self.positions(seen).sigmoid()
        return y
