"""The parts beyond the paper that are measured, each as its settings and what it is compared with."""

from collections.abc import Mapping
from typing import Any, NamedTuple

BASE, MIRRORED, SEEING, ATTENDING = "base", "mirrored", "heatmap of block 4", "self-attention"


class Addition(NamedTuple):
    """What is measured."""

    against: str
    """The addition that it is compared with."""
    settings: Mapping[str, Any]
    epochs: int | None = None
    """How long it is trained; None: for as long as it gets better."""


PLAIN = {
    "architecture": "multitask",
    "landmark_start": "mean_face",
    "optimizer": "adam",
    "landmark_loss": "l1",
    "lambda2": 20.0,
}
FLIP = {**PLAIN, "flip": True}
ATTENTION = {**PLAIN, "architecture": "attention", "d_k": 256}
COSINE = {**PLAIN, "lr_schedule": "cosine"}
HEATMAP = {**PLAIN, "landmark_head": "heatmap"}
ADDITIONS: dict[str, Addition] = {
    BASE: Addition(BASE, PLAIN),
    MIRRORED: Addition(BASE, FLIP),
    "augmentation 0.25": Addition(MIRRORED, {**FLIP, "augmentation": 0.25}),
    "augmentation 0.5": Addition(MIRRORED, {**FLIP, "augmentation": 0.5}),
    "augmentation 1": Addition(MIRRORED, {**FLIP, "augmentation": 1.0}),
    "uncertainty": Addition(BASE, {**PLAIN, "loss_weighting": "uncertainty"}),
    "dwa": Addition(BASE, {**PLAIN, "loss_weighting": "dwa"}),
    "cosine over 10": Addition(BASE, COSINE, 10),
    "cosine over 20": Addition(BASE, COSINE, 20),
    "weight decay 0.001": Addition(BASE, {**PLAIN, "weight_decay": 0.001}),
    "weight decay 0.01": Addition(BASE, {**PLAIN, "weight_decay": 0.01}),
    "dropout 0.2": Addition(BASE, {**PLAIN, "dropout": 0.2}),
    "batches of 60": Addition(BASE, {**PLAIN, "batch_size": 60}),
    "heatmap": Addition(BASE, HEATMAP),
    SEEING: Addition(BASE, {**HEATMAP, "heatmap_block": 4}),
    "heatmap of block 4, landmarks at 3e-4": Addition(SEEING, {**HEATMAP, "heatmap_block": 4, "lr_landmarks": 3e-4}),
    ATTENDING: Addition(BASE, ATTENTION),
    "self-attention, unit RMS": Addition(ATTENDING, {**ATTENTION, "attention": "self_rms"}),
    "own d_k": Addition(ATTENDING, {**ATTENTION, "d_k_landmarks": 64}),
    "values of 64": Addition(ATTENDING, {**ATTENTION, "d_v": 64}),
    "8 heads": Addition(ATTENDING, {**ATTENTION, "attention_heads": 8}),
    "squeeze-and-excitation": Addition(BASE, {**ATTENTION, "attention": "se"}),
    "CBAM": Addition(BASE, {**ATTENTION, "attention": "cbam"}),
}


NEEDING_ROOM = ("uncertainty", "dwa", SEEING, "heatmap of block 4, landmarks at 3e-4")
"""What has no effect, or cannot be, where all five blocks are frozen: there is no block 4 to train on, and the tasks
share nothing by whose weights they could be weighed."""


def settings_of(name: str, blocks: int, width: int) -> dict[str, Any]:
    """What is set in an addition's trainings with so many frozen blocks and heads so wide, its learning rate apart."""
    return {**ADDITIONS[name].settings, "frozen_blocks": blocks, "head_width": width}


def with_rivals(names: list[str]) -> list[str]:
    """These, and then all that they are compared with, and those in turn."""
    found = dict.fromkeys(names)
    for name in names:
        while name != BASE:
            name = ADDITIONS[name].against
            found.pop(name, None)
            found[name] = None  # behind what is compared with it
    return list(found)
