"""One trial's configuration: frozen dataclasses made from a flat mapping, checked field by field.

Every error names the key, the value and the rule. Builders unpack configs; parts of the model take plain arguments.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from core.checks import Check, checked, number, one_of, shown, switch, whole
from core.errors import UserError
from core.names import (
    TASKS,
    Architecture,
    AttentionKind,
    LandmarkHead,
    LandmarkLoss,
    LandmarkStart,
    LossWeighting,
    Optimizer,
    Precision,
    Schedule,
    Task,
)


@dataclass(frozen=True)
class DataConfig:
    """How the faces are divided and shown."""

    split_seed: int = checked(0, whole(0, 2**32 - 1))
    """Seed of the split into train, validation and test. Apart from the search seed, so that every search
    on the same faces leaves the same test faces unseen."""

    flip: bool = checked(False, switch)
    """Mirror each training face with probability 1/2 (left and right landmarks change places)."""

    augmentation: float = checked(0.0, number(0.0, 1.0))
    """How much training faces are turned, scaled, shifted, lit otherwise and covered (:mod:`core.augmentation`)."""

    views: int = checked(8, whole(1, 64))
    """How many changed versions of each training face are computed once, where blocks are frozen and the activation
    cache is on; each epoch draws one of them or the face itself. Elsewhere each epoch changes faces anew."""


@dataclass(frozen=True)
class ModelConfig:
    """What the network is."""

    architecture: Architecture = checked(Architecture.MULTITASK, one_of(Architecture))

    frozen_blocks: int = checked(0, whole(0, 5))
    """How many of VGG-16's five convolution blocks stay as pretrained."""

    head_width: int = checked(4096, whole(1, 16384))
    """Units in each of a head's two hidden layers."""

    dropout: float = checked(0.5, number(0.0, 0.95))
    """Probability of dropping a hidden unit of a head while training."""

    d_k: int = checked(512, whole(1, 4096))
    """Size of queries and keys of each task's self-attention, all its heads together (attention model only)."""

    d_k_landmarks: int = checked(0, whole(0, 4096))
    """The same of the landmarks' self-attention alone; 0 for ``d_k``."""

    d_v: int = checked(0, whole(0, 4096))
    """Size of values of each task's, all heads together; 0 for ``d_k``, also where ``d_k_landmarks`` is another."""

    attention_heads: int = checked(1, whole(1, 8))
    """Into how many heads a task's self-attention is divided, each with its share of the sizes, rounded down."""

    attention: AttentionKind = checked(AttentionKind.SELF, one_of(AttentionKind))
    """What the attention model has before each head; sizes and heads are those of self-attention."""

    landmark_start: LandmarkStart = checked(LandmarkStart.TORCH, one_of(LandmarkStart))

    landmark_head: LandmarkHead = checked(LandmarkHead.REGRESSION, one_of(LandmarkHead))
    """``head_width`` is that of complete heads; heatmaps have a width of their own."""

    heatmap_block: int = checked(5, whole(4, 5))
    """The convolution block that heatmaps are made from: 4 has 14 x 14 positions, 5 has 7 x 7."""

    def __post_init__(self) -> None:
        block = self.heatmaps()
        if block is not None and block < self.frozen_blocks:
            rule = f"heatmap_block {block} needs frozen_blocks of at most {block}, got {self.frozen_blocks}"
            raise UserError(f"{rule}: of block {block} nothing is left then")

    def heatmaps(self) -> int | None:
        """The block that heatmaps are made from; None where landmarks are plain regression, or there are none."""
        has = self.landmark_head is LandmarkHead.HEATMAP and Task.LANDMARKS in TASKS[self.architecture]
        return self.heatmap_block if has else None


@dataclass(frozen=True)
class TrainingConfig:
    """How the network learns. Landmark losses see coordinates as fractions of the crop's side."""

    optimizer: Optimizer = checked(Optimizer.ADAMAX, one_of(Optimizer))
    lr: float = checked(1e-3, number(1e-8, 10.0))

    lr_landmarks: float = checked(0.0, number(0.0, 10.0))
    """Of what is trained for landmarks alone, their attention and their head (models with two tasks); 0 for ``lr``."""

    lr_schedule: Schedule = checked(Schedule.CONSTANT, one_of(Schedule))
    """Over the epochs that a trial has if nothing stops it, or those of a retraining."""

    weight_decay: float = checked(0.0, number(0.0, 1.0))
    """L2 penalty, half of this times each weight's square: torch's ``weight_decay`` of these optimisers."""

    batch_size: int = checked(15, whole(1, 65536))
    landmark_loss: LandmarkLoss = checked(LandmarkLoss.L1, one_of(LandmarkLoss))

    smooth_l1_beta: float = checked(1.0, number(1e-6, 10.0))
    """Error (fraction of the crop) at which smooth L1 turns from quadratic to linear. 1 is the paper's."""

    huber_delta: float = checked(1.0, number(1e-6, 10.0))
    """Error (fraction of the crop) at which Huber turns from quadratic to linear. 1 is the paper's."""

    wing_w: float = checked(10 / 224, number(1e-6, 10.0))
    """Error (fraction of the crop) below which Wing is logarithmic. Feng et al. (2018): 10 pixels."""

    wing_epsilon: float = checked(2 / 224, number(1e-6, 10.0))
    """Curvature of Wing's logarithm (fraction of the crop). Feng et al. (2018): 2 pixels."""

    lambda1: float = checked(1.0, number(0.0, 1e6))
    """Weight of the gender loss in equation 17 (models with two tasks)."""

    lambda2: float = checked(1.0, number(0.0, 1e6))
    """Weight of the landmark loss in equation 17 (models with two tasks)."""

    loss_weighting: LossWeighting = checked(LossWeighting.FIXED, one_of(LossWeighting))
    """What becomes of lambda1 and lambda2 while training (models with two tasks)."""

    precision: Precision = checked(Precision.AUTO, one_of(Precision))

    activation_cache: bool = checked(True, switch)
    """Compute what leaves the frozen blocks once per machine instead of once per epoch."""


@dataclass(frozen=True)
class Config:
    """All that defines a trial, its seed and number of epochs apart."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()

    def flat(self) -> dict[str, Any]:
        """The mapping that :func:`config_from_flat` turns back into this config; enums as plain strings."""
        parts = (self.data, self.model, self.training)
        values = {f.name: getattr(part, f.name) for part in parts for f in fields(part)}
        return {key: str(value) if isinstance(value, StrEnum) else value for key, value in values.items()}


_SECTIONS: dict[str, type[Any]] = {"data": DataConfig, "model": ModelConfig, "training": TrainingConfig}
_CHECKS: dict[str, tuple[str, Check]] = {
    f.name: (section, f.metadata["check"]) for section, cls in _SECTIONS.items() for f in fields(cls)
}
KEYS = tuple(_CHECKS)


def check_value(key: str, value: Any) -> Any:
    """The value of one field as the config will hold it.

    Raises:
        UserError: no such field, or a value that breaks its rule.
    """
    if key not in _CHECKS:
        raise UserError(f"unknown setting {shown(key)}; the settings are {', '.join(KEYS)}")
    return _CHECKS[key][1](key, value)


def config_from_flat(values: Mapping[str, Any]) -> Config:
    """A config from ``{"lr": 1e-4, "frozen_blocks": 5, ...}``; what is not given keeps its default.

    Raises:
        UserError: an unknown key or a value out of range.
    """
    if not isinstance(values, Mapping):  # it may come from a file
        raise UserError(f"settings must be a mapping from names to values, got {shown(values)}")
    parts: dict[str, dict[str, Any]] = {section: {} for section in _SECTIONS}
    for key, value in values.items():
        checked_value = check_value(key, value)
        parts[_CHECKS[key][0]][key] = checked_value
    return Config(**{section: cls(**parts[section]) for section, cls in _SECTIONS.items()})


FOLLOWS = {"lr_landmarks": "lr", "d_k_landmarks": "d_k", "d_v": "d_k"}
"""Settings that are another's value where they are 0."""


def filled(settings: Mapping[str, Any]) -> dict[str, Any]:
    """``settings`` with the values that those of 0 stand for, where these are in it."""
    stands = {key: settings[other] for key, other in FOLLOWS.items() if settings.get(key) == 0 and other in settings}
    return {**settings, **stands}


SHARING = ("weight_decay", "frozen_blocks", "landmark_head", "heatmap_block")
"""The settings on which it depends whether tasks learn apart."""
_SHARING_DEFAULTS = {key: Config().flat()[key] for key in SHARING}


def learns_apart(settings: Mapping[str, Any]) -> bool:
    """Whether a model of both tasks with these settings learns each as it would alone, whatever lambda1 and lambda2
    (above 0) are.

    Where all blocks that landmarks are found from are frozen, no weight is trained for both tasks. Each trains its own,
    which all four optimisers do at the same pace whatever its loss is multiplied by; only with weight decay is the loss
    weighed against something else. A factor that changes while training does change their pace, as they remember
    earlier gradients, so that ``loss_weighting`` is not without an effect.
    """
    decay, frozen, head, block = (settings.get(key, default) for key, default in _SHARING_DEFAULTS.items())
    return bool(decay == 0.0 and frozen >= (block if head == LandmarkHead.HEATMAP else 5))
