"""The paper's four models (II.D-G): VGG-16 features, complete heads, and one layer of attention per head.

Shapes: B faces, C = 512 channels, L = 5 landmarks, X = (x, y).
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from core.attention import Attention, attention_of
from core.config import ModelConfig
from core.heatmap import HeatmapHead
from core.names import LANDMARKS, SELF_ATTENTION, TASKS, Architecture, LandmarkStart, Task
from core.vgg import BLOCK_ENDS, CHANNELS, POSITIONS, block_output_shape, normalised, vgg16_features
from core.weights import Weights

IMAGENET_WIDTH = 4096  # of the hidden layers of ImageNet's own head
OUTPUTS: dict[Task, int] = {Task.GENDER: 2, Task.LANDMARKS: 2 * len(LANDMARKS)}


class CompleteHead(nn.Sequential):
    """VGG-16's three fully connected layers with ``width`` hidden units; layers 0 and 3 are its hidden ones."""

    def __init__(self, inputs: int, width: int, outputs: int, dropout: float) -> None:
        super().__init__(
            nn.Linear(inputs, width),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(width, width),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(width, outputs),
        )

    def forward(self, features: Tensor) -> Tensor:
        """All that is known of each face, in any shape, -> (B, outputs), in float32 under autocast too.

        A bfloat16 landmark near the middle of the crop is only good to 0.9 px.
        """
        x = features.flatten(1)
        *hidden, last = self
        for layer in hidden:
            x = layer(x)
        with torch.autocast(x.device.type, enabled=False):
            y: Tensor = last(x.float())
        return y

    @torch.no_grad()
    def start_at(self, mean_face: Tensor) -> None:
        """Make it predict ``mean_face`` (L, X) whatever its input, so that training starts at the baseline."""
        last = self[-1]
        assert isinstance(last, nn.Linear)
        last.weight.zero_()
        last.bias.copy_(mean_face.flatten())

    @torch.no_grad()
    def start_from(self, pretrained: Mapping[str, Tensor]) -> None:
        """Start the hidden layers as ImageNet's own head, where that is given and has their shapes."""
        hidden = {f"classifier.{i}.{kind}": getattr(self[i], kind) for i in (0, 3) for kind in ("weight", "bias")}
        if all(name in pretrained and pretrained[name].shape == target.shape for name, target in hidden.items()):
            for name, target in hidden.items():
                target.copy_(pretrained[name])


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
        """``attention`` is each task's, for the attention model; ``heatmap_block`` is None for plain regression."""
        super().__init__()
        self.split = BLOCK_ENDS[frozen_blocks]
        self.heatmap_block = heatmap_block
        self.features = vgg16_features(device="cpu")
        self.features[: self.split].requires_grad_(False)
        if architecture is Architecture.LANDMARKS and heatmap_block:
            self.features[BLOCK_ENDS[heatmap_block] :].requires_grad_(False)  # nothing looks at them
        attends = architecture is Architecture.ATTENTION
        tasks = TASKS[architecture]
        self.attention = nn.ModuleDict({task: attention[task].module() for task in tasks if attends})
        channels = {task: attention[task].channels() if attends else CHANNELS for task in tasks}
        self.heads = nn.ModuleDict(
            {
                task: HeatmapHead(channels[task], block_output_shape(heatmap_block)[1], dropout)
                if task is Task.LANDMARKS and heatmap_block
                else CompleteHead(POSITIONS * channels[task], head_width, OUTPUTS[task], dropout)
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
        x_landmarks = self.features[self.split : between](frozen_features)
        x_gender = self.features[between:](x_landmarks) if Task.GENDER in self.heads else x_landmarks
        outputs = {}
        for name, head in self.heads.items():
            x = x_landmarks if name == Task.LANDMARKS else x_gender
            y = head(self.attention[name](x) if name in self.attention else x)
            outputs[Task(name)] = y.view(-1, len(LANDMARKS), 2) if name == Task.LANDMARKS else y
        return outputs

    def learned_tensors(self) -> dict[str, Tensor]:
        """The tensors that training changes, by name."""
        return {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}

    def learned_for(self, task: Task) -> dict[str, Tensor]:
        """Those of a task's own attention and head, which no other task sees."""
        own = (f"attention.{task}.", f"heads.{task}.")
        return {name: tensor for name, tensor in self.learned_tensors().items() if name.startswith(own)}


def unlearned(settings: ModelConfig) -> FaceModel:
    """The model that a config describes, its convolutions uninitialised."""
    return FaceModel(
        settings.architecture,
        settings.frozen_blocks,
        settings.head_width,
        settings.dropout,
        attention_of(settings),
        settings.heatmaps(),
    )


def build_model(settings: ModelConfig, pretrained: Weights, mean_face: Tensor) -> FaceModel:
    """A model ready to train.

    Args:
        pretrained: where the convolutions start. ImageNet's own hidden layers start complete heads where they are given
            and fit (width 4096, no self-attention); else heads start as torch does.
        mean_face: the training set's mean landmarks, (L, X), fractions of the crop.
    """
    model = unlearned(settings)
    model.features.load_state_dict(pretrained.features)
    model.features.to(memory_format=torch.channels_last)
    # After self-attention heads read positions x d_v, in another order than ImageNet's.
    if settings.architecture is not Architecture.ATTENTION or settings.attention not in SELF_ATTENTION:
        for head in model.heads.values():
            if isinstance(head, CompleteHead):
                head.start_from(pretrained.tensors)
    if settings.landmark_start is LandmarkStart.MEAN_FACE and Task.LANDMARKS in model.heads:
        head = model.heads[Task.LANDMARKS]
        assert isinstance(head, CompleteHead | HeatmapHead)
        head.start_at(mean_face)
    return model


def parameter_count(model: nn.Module) -> int:
    """Number of scalars in the model."""
    return sum(parameter.numel() for parameter in model.parameters())
