"""A landmark head that looks where each landmark is: a map of probabilities for each, and the mean place under it.

Integral regression (Sun et al., 2018): a softmax over all positions of a map makes it a distribution, and the landmark
is its expectation, a coordinate between positions that gradients reach. It cannot lie beyond the centres of the
outermost positions: 3 % of the crop from its edges with 14 positions a side, 1.6 % with 28. Shapes: B faces, C channels
and H x W positions of the maps, L = 5 landmarks, X = (x, y) as fractions of the crop.
"""

import math

import torch
from torch import Tensor, nn

from core.attention import unit_rms
from core.names import CROP, LANDMARKS

CHANNELS = 128  # inside the head; with 512 of VGG-16's in front, a fifteenth of a complete head of width 512
START_SPREAD = 20 / CROP  # of the crop: how wide the maps are that start at the mean face
GAIN = 3.0
"""Of the maps' logits, so that places move at rates that suit a complete head beside. On real faces (5 frozen blocks,
30 epochs, one seed) the NME at rates of 3e-5 and 3e-4 was 6.19 and 5.33 % with 1, 5.98 and 5.20 % with 3, 5.92 and
5.25 % with 10, which saturates at 1e-3.
"""


def places(positions: int, device: torch.device | None = None) -> Tensor:
    """Where the centres of so many positions are along a side of the crop, as fractions of it.

    Pixel x has its centre at x, so a position that covers pixels a to b has its at (a + b) / 2.
    """
    return ((torch.arange(positions, dtype=torch.float64, device=device) + 0.5) / positions - 0.5 / CROP).float()


def expectation(maps_blhw: Tensor) -> Tensor:
    """Mean place (B, L, X) under the softmax of each map, in float32."""
    share_blhw = maps_blhw.float().flatten(2).softmax(dim=2).view(maps_blhw.shape)
    y, x = (places(size, maps_blhw.device) for size in maps_blhw.shape[2:])
    return torch.stack([(share_blhw.sum(dim=2) * x).sum(dim=2), (share_blhw.sum(dim=3) * y).sum(dim=2)], dim=2)


class HeatmapHead(nn.Module):
    """From a feature map to landmarks: a convolution, one that doubles the side, and a map for each landmark.

    It sees features of a root mean square of 1 (:mod:`core.attention` says why). To the maps comes one that is learned
    for itself, the same for all faces: where the landmark most often is.

    Args:
        channels: of the feature map.
        side: of the feature map; the maps have twice as many positions a side.
        dropout: probability of dropping a channel of the first layer while training; nearer to the softmax it would be
            noise in the places themselves.
    """

    def __init__(self, channels: int, side: int, dropout: float) -> None:
        super().__init__()
        self.side = side
        self.layers = nn.Sequential(
            nn.Conv2d(channels, CHANNELS, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Dropout2d(dropout),
            nn.ConvTranspose2d(CHANNELS, CHANNELS, 4, stride=2, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(CHANNELS, len(LANDMARKS), 1),
        )
        first, doubling = self.layers[0], self.layers[3]
        assert isinstance(first, nn.Conv2d)
        assert isinstance(doubling, nn.ConvTranspose2d)
        nn.init.kaiming_normal_(first.weight, nonlinearity="relu")
        # Of its 4 x 4 taps 2 x 2 reach any one position.
        nn.init.normal_(doubling.weight, std=math.sqrt(2 / (4 * CHANNELS)))
        self.usual = nn.Parameter(torch.zeros(len(LANDMARKS), 2 * side, 2 * side))

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W), or (B, P, C) as self-attention gives it, -> landmarks (B, L, X)."""
        if features.ndim == 3:
            features = features.transpose(1, 2).reshape(features.shape[0], features.shape[2], self.side, self.side)
        # Under autocast too: what a bfloat16 map holds is good to a hundredth of its logits, its sum is not.
        maps: Tensor = GAIN * self.layers(unit_rms(features)).float() + self.usual.float()
        return expectation(maps)

    @torch.no_grad()
    def start_at(self, mean_face: Tensor) -> None:
        """Make it predict ``mean_face`` (L, X) whatever its input, so that training starts at the baseline."""
        last = self.layers[-1]
        assert isinstance(last, nn.Conv2d)
        assert last.bias is not None
        last.weight.zero_()
        last.bias.zero_()
        for usual, (x, y) in zip(self.usual, mean_face.tolist(), strict=True):
            usual.copy_(_bump(usual.shape[0], y)[:, None] + _bump(usual.shape[1], x)[None, :])


def _bump(positions: int, mean: float) -> Tensor:
    """Logits of a bell along one side whose expectation is ``mean``, which cut at the ends is not where its top is."""
    where = places(positions).double()
    low, high = -1.0, 2.0  # places of the top; the expectation rises with it
    for _ in range(60):
        top = (low + high) / 2
        logits = -0.5 * ((where - top) / START_SPREAD) ** 2
        if float((logits.softmax(dim=0) * where).sum()) < mean:
            low = top
        else:
            high = top
    return logits.float()
