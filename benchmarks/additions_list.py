"""The parts beyond the paper that are measured, each as its settings and what they are compared with."""

from typing import Any

BASE, ATTENDING = "base", "base, attention"
MULTITASK = {
    "architecture": "multitask",
    "head_width": 512,
    "landmark_start": "mean_face",
    "optimizer": "adam",
    "landmark_loss": "l1",
    "lambda2": 20.0,
}
SELF = {**MULTITASK, "architecture": "attention", "d_k": 256}
ADDITIONS: dict[str, tuple[str, dict[str, Any]]] = {
    BASE: (BASE, MULTITASK),
    "mirrored": (BASE, {**MULTITASK, "flip": True}),
    "augmentation 0.5": (BASE, {**MULTITASK, "flip": True, "augmentation": 0.5}),
    "augmentation 1": (BASE, {**MULTITASK, "flip": True, "augmentation": 1.0}),
    "uncertainty": (BASE, {**MULTITASK, "loss_weighting": "uncertainty"}),
    "dwa": (BASE, {**MULTITASK, "loss_weighting": "dwa"}),
    "cosine": (BASE, {**MULTITASK, "lr_schedule": "cosine"}),
    "weight decay 0.001": (BASE, {**MULTITASK, "weight_decay": 0.001}),
    "weight decay 0.01": (BASE, {**MULTITASK, "weight_decay": 0.01}),
    "dropout 0.2": (BASE, {**MULTITASK, "dropout": 0.2}),
    "batches of 50": (BASE, {**MULTITASK, "batch_size": 50}),
    "heatmap": (BASE, {**MULTITASK, "landmark_head": "heatmap"}),
    "heatmap of block 4": (BASE, {**MULTITASK, "landmark_head": "heatmap", "heatmap_block": 4}),
    ATTENDING: (BASE, SELF),
    "own d_k": (ATTENDING, {**SELF, "d_k_landmarks": 64}),
    "values of 64": (ATTENDING, {**SELF, "d_v": 64}),
    "8 heads": (ATTENDING, {**SELF, "attention_heads": 8}),
    "squeeze-and-excitation": (ATTENDING, {**SELF, "attention": "se"}),
    "CBAM": (ATTENDING, {**SELF, "attention": "cbam"}),
}
"""By name: what it is compared with, and its settings."""


def settings_of(name: str, blocks: int) -> dict[str, Any]:
    """What is set in an addition's trainings, its learning rate apart."""
    return {**ADDITIONS[name][1], "frozen_blocks": blocks}
