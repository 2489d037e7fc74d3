"""The paper's four models (II.D-G): VGG-16 features, complete heads, and one layer of attention per head.

Shapes: B faces, C = 512 channels, L = 5 landmarks, X = (x, y).
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from core.attention import Attention
from core.heatmap import HeatmapHead
from core.names import LANDMARKS, TASKS, Architecture, AttentionKind, LandmarkStart, Task
from core.vgg import BLOCK_ENDS, CHANNELS, POSITIONS, block_output_shape, normalised, vgg16_features
from core.weights import Weights

IMAGENET_WIDTH = 4096  # of the hidden layers of ImageNet's own head
OUTPUTS: dict[Task, int] = {Task.GENDER: 2, Task.LANDMARKS: 2 * len(LANDMARKS)}


def complete_head(inputs: int, width: int, outputs: int, dropout: float) -> nn.Sequential:
    """VGG-16's three fully connected layers with ``width`` hidden units; layers 0 and 3 are its hidden ones."""
    return nn.Sequential(
        nn.Linear(inputs, width),
        nn.ReLU(inplace=True),
        nn.Dropout(dropout),
        nn.Linear(width, width),
        nn.ReLU(inplace=True),
        nn.Dropout(dropout),
        nn.Linear(width, outputs),
    )


class FaceModel(nn.Module):
    """One of the four models, split at ``frozen_blocks`` into a part that stays and a part that learns."""

    def __init__(
        self,
        architecture: Architecture,
        frozen_blocks: int,
        head_width: int,
        dropout: float,
        attention: Mapping[Task, Attention],
        heatmap_block: int | None = None,
    ) -> None:
        super().__init__()
        self.split = BLOCK_ENDS[frozen_blocks]
        self.heatmap_block = heatmap_block
        self.features = vgg16_features(device="cpu")
        self.features[: self.split].requires_grad_(False)
        attends = architecture is Architecture.ATTENTION
        tasks = TASKS[architecture]
        self.attention = nn.ModuleDict({task: attention[task].module() for task in tasks if attends})
        channels = {task: attention[task].channels() if attends else CHANNELS for task in tasks}
        self.heads = nn.ModuleDict(
            {
                task: HeatmapHead(channels[task], block_output_shape(heatmap_block)[1], dropout)
                if task is Task.LANDMARKS and heatmap_block
                else complete_head(POSITIONS * channels[task], head_width, OUTPUTS[task], dropout)
                for task in tasks
            }
        )

    def frozen_features(self, images: Tensor) -> Tensor:
        """uint8 faces (B, 3, 224, 224) -> what leaves the frozen blocks; with none, the normalised faces."""
        with torch.no_grad():
            x: Tensor = self.features[: self.split](normalised(images).contiguous(memory_format=torch.channels_last))
        return x

    def forward(self, frozen_features: Tensor) -> dict[Task, Tensor]:
        """What leaves the frozen blocks -> gender logits (B, 2) and landmarks (B, L, X) as fractions of the crop."""
        between = max(self.split, BLOCK_ENDS[self.heatmap_block or 5])
        x_map = self.features[self.split : between](frozen_features)
        x_last = self.features[between:](x_map)
        outputs = {}
        for name, head in self.heads.items():
            x_bchw = x_map if isinstance(head, HeatmapHead) else x_last
            x = self.attention[name](x_bchw) if name in self.attention else x_bchw
            if isinstance(head, HeatmapHead):
                outputs[Task(name)] = head(_as_map(x, x_bchw))
                continue
            assert isinstance(head, nn.Sequential)
            y = _in_float32(head[-1], head[:-1](x.flatten(1)))
            outputs[Task(name)] = y.view(-1, len(LANDMARKS), 2) if name == Task.LANDMARKS else y
        return outputs

    def learned_tensors(self) -> dict[str, Tensor]:
        """The tensors that training changes, by name."""
        return {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}


def _as_map(x: Tensor, like: Tensor) -> Tensor:
    """What self-attention gives, (B, P, C), as a map again; a map as it is."""
    return x if x.ndim == 4 else x.transpose(1, 2).reshape(x.shape[0], x.shape[2], *like.shape[2:])


def _in_float32(layer: nn.Module, x: Tensor) -> Tensor:
    """The last layer under autocast too: a bfloat16 landmark near the middle of the crop is only good to 0.9 px."""
    with torch.autocast(x.device.type, enabled=False):
        y: Tensor = layer(x.float())
    return y


def build_model(
    architecture: Architecture,
    frozen_blocks: int,
    head_width: int,
    dropout: float,
    attention: Mapping[Task, Attention],
    landmark_start: LandmarkStart,
    pretrained: Weights,
    mean_face: Tensor,
    heatmap_block: int | None = None,
) -> FaceModel:
    """A model ready to train.

    Args:
        attention: of each task, for the attention model.
        pretrained: where the convolutions start. ImageNet's own hidden layers start the heads where they are given
            and fit (width 4096, no self-attention); else heads start as torch does.
        mean_face: the training set's mean landmarks, (L, X), fractions of the crop.
        heatmap_block: the block that heatmaps of landmarks are made from; None for plain regression.
    """
    model = FaceModel(architecture, frozen_blocks, head_width, dropout, attention, heatmap_block)
    model.features.load_state_dict(pretrained.features)
    model.features.to(memory_format=torch.channels_last)
    for name, head in model.heads.items():
        # After self-attention heads read positions x d_v, in another order than ImageNet's.
        attends = architecture is Architecture.ATTENTION and attention[Task(name)].kind is AttentionKind.SELF
        if not attends and isinstance(head, nn.Sequential):
            _start_from_imagenet(head, pretrained.tensors)
    if landmark_start is LandmarkStart.MEAN_FACE and Task.LANDMARKS in model.heads:
        head = model.heads[Task.LANDMARKS]
        if isinstance(head, HeatmapHead):
            head.start_at(mean_face)
        else:
            _start_at(head[-1], mean_face)  # type: ignore[index]  # a Sequential
    return model


@torch.no_grad()
def _start_from_imagenet(head: nn.Sequential, pretrained: Mapping[str, Tensor]) -> None:
    hidden = {f"classifier.{i}.{kind}": getattr(head[i], kind) for i in (0, 3) for kind in ("weight", "bias")}
    if all(name in pretrained and pretrained[name].shape == target.shape for name, target in hidden.items()):
        for name, target in hidden.items():
            target.copy_(pretrained[name])


@torch.no_grad()
def _start_at(layer: nn.Linear, mean_face: Tensor) -> None:
    """Make the last layer predict ``mean_face`` whatever its input, so that training starts at the baseline."""
    layer.weight.zero_()
    layer.bias.copy_(mean_face.flatten())


def parameter_count(model: nn.Module) -> int:
    """Number of scalars in the model."""
    return sum(math.prod(parameter.shape) for parameter in model.parameters())
