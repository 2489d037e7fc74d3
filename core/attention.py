"""What may stand between the convolutions and a head: self-attention over positions, or channels weighed by content.

VGG-16 has no normalisation, so its features are far from unit scale: on real faces their root mean square is 6 after
block 5 and 120 after block 4. Layers that start as torch's do begin saturated there: each query sees one or two of 49
positions, and CBAM's gates are open or shut. The paper's self-attention is left as it is. Of the other kinds, what
decides the weights sees features brought to a root mean square of 1, and gates begin nearly open, so that training
starts from the model without them.

Shapes: B faces, C channels, H x W = P positions, N heads of the attention, K and D the sizes of a query and a value.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.config import ModelConfig
from core.names import SELF_ATTENTION, AttentionKind, Task
from core.vgg import CHANNELS

REDUCTION = 16  # of channels inside squeeze-and-excitation and CBAM, as in both papers
SPATIAL_KERNEL = 7  # of CBAM, likewise
OPEN = 2.0  # logit of a gate at the start, which lets 88 % through


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
        return self.heads * _share(self.d_v, self.heads) if self.kind in SELF_ATTENTION else CHANNELS

    def module(self) -> nn.Module:
        """The layer."""
        if self.kind in SELF_ATTENTION:
            rms = self.kind is AttentionKind.SELF_RMS
            return SelfAttention(CHANNELS, self.d_k, self.d_v, self.heads, rms)
        if self.kind is AttentionKind.SE:
            return SqueezeAndExcitation(CHANNELS)
        return Cbam(CHANNELS)


def attention_of(model: ModelConfig) -> dict[Task, Attention]:
    """What a config says of each task's attention: landmarks may have a ``d_k`` of their own."""
    sizes = {Task.GENDER: model.d_k, Task.LANDMARKS: model.d_k_landmarks or model.d_k}
    return {
        task: Attention(model.attention, d_k, model.d_v or model.d_k, model.attention_heads)
        for task, d_k in sizes.items()
    }


def unit_rms(x: Tensor) -> Tensor:
    """Each face's numbers (B, ...), divided by their root mean square."""
    y: Tensor = nn.functional.rms_norm(x, x.shape[1:], eps=1e-6)
    return y


@torch.no_grad()
def _open(last: nn.Linear | nn.Conv2d, logit: float = OPEN) -> None:
    """Let a gate's last layer say the same of everything at first."""
    assert last.bias is not None
    last.weight.zero_()
    last.bias.fill_(logit)


def _gate(channels: int, logit: float) -> nn.Sequential:
    """The network that says how open each channel's gate is; at first all as far as ``logit``."""
    inner, last = nn.Linear(channels, channels // REDUCTION), nn.Linear(channels // REDUCTION, channels)
    _open(last, logit)
    return nn.Sequential(inner, nn.ReLU(), last)


def _share(size: int, heads: int) -> int:
    return max(1, size // heads)


class SelfAttention(nn.Module):
    """Scaled dot-product self-attention over the positions of a feature map, without a mask (equation 18).

    ``softmax(Q K^T / sqrt(K)) V``, for each head on its own; what the heads say stands side by side, as nothing in the
    paper would mix it again but the complete head that follows.

    Args:
        rms: whether queries and keys, which decide the weights, see features of a root mean square of 1.
    """

    def __init__(self, channels: int, d_k: int, d_v: int, heads: int, rms: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.rms = rms
        self.query = nn.Linear(channels, heads * _share(d_k, heads))
        self.key = nn.Linear(channels, heads * _share(d_k, heads))
        self.value = nn.Linear(channels, heads * _share(d_v, heads))

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, P, N * D)."""
        x_bpc = features.flatten(2).transpose(1, 2)
        seen_bpc = unit_rms(x_bpc) if self.rms else x_bpc
        q_bnpk, k_bnpk = self._by_head(self.query(seen_bpc)), self._by_head(self.key(seen_bpc))
        v_bnpd = self._by_head(self.value(x_bpc))
        # It divides by the square root of the last size, which is a head's share of d_k.
        y_bnpd = nn.functional.scaled_dot_product_attention(q_bnpk, k_bnpk, v_bnpd)
        return y_bnpd.transpose(1, 2).flatten(2)

    def _by_head(self, x_bpn: Tensor) -> Tensor:
        return x_bpn.view(*x_bpn.shape[:2], self.heads, -1).transpose(1, 2)


class SqueezeAndExcitation(nn.Module):
    """Squeeze-and-excitation (Hu et al., 2018): channels are weighed by a network over their means, which sees them at
    a root mean square of 1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = _gate(channels, OPEN)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        y: Tensor = features * self.channels(unit_rms(features.mean(dim=(2, 3)))).sigmoid()[:, :, None, None]
        return y


class Cbam(nn.Module):
    """Convolutional block attention (Woo et al., 2018): channels are weighed first, then positions.

    Channels by a shared network over their mean and their maximum; positions by a convolution over the mean and the
    maximum of all channels there; of each the network sees what has a root mean square of 1.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = _gate(channels, OPEN / 2)  # it is added twice
        self.positions = nn.Conv2d(2, 1, SPATIAL_KERNEL, padding=SPATIAL_KERNEL // 2)
        _open(self.positions)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        mean, most = (self.channels(unit_rms(p)) for p in (features.mean(dim=(2, 3)), features.amax(dim=(2, 3))))
        x = features * (mean + most).sigmoid()[:, :, None, None]
        seen = torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)
        y: Tensor = x * self.positions(unit_rms(seen)).sigmoid()
        return y
