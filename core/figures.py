"""The figures of the final test (the paper's figures 8, 9 and 11), each function from plain arrays to a Figure.

A model keeps its colour and line style in every figure: colours from Okabe and Ito (2008), which colour-blind readers
tell apart, and line styles for print in grey. Nothing touches matplotlib's global state. Shapes: N faces.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from core.curves import ced_points, roc_points
from core.metrics import FAILURE_PCT, Floats, Integers, auc
from core.names import MEAN_FACE, Architecture

SMALL, NORMAL = 8.5, 9.5  # points; ticks and legends, and all other text
DOTS_PER_INCH = 150
USELESS_PLUS = 1.5  # relative errors above this are cut off: they say no more than "worse than knowing nothing"


@dataclass(frozen=True)
class Look:
    """How a model appears: its label, colour and line style."""

    label: str
    colour: str
    line: Any = "solid"


LOOKS: dict[str, Look] = {
    Architecture.GENDER: Look("single-task gender", "#0072B2"),
    Architecture.LANDMARKS: Look("single-task landmarks", "#D55E00", (0, (6, 1.5))),
    Architecture.MULTITASK: Look("multi-task", "#009E73", (0, (6, 1.5, 1, 1.5))),
    Architecture.ATTENTION: Look("self-attention", "#CC79A7", (0, (2, 1))),
    MEAN_FACE: Look("mean face", "#777777", (0, (1, 1.5))),
}

AXIS_LABELS = {
    "loss": "loss",
    "gender_ce": "cross-entropy (nats)",
    "gender_accuracy": "accuracy",
    "gender_auc": "area under ROC curve",
    "landmark_l1": "L1 (fraction of crop)",
    "nme_pct": "NME (% of eye distance)",
    "relative_error": "relative error",
}


def look_of(model: str) -> Look:
    """The look of an architecture or of the baseline; anything else (an optimiser, say) is black under its name."""
    return LOOKS.get(model, Look(model, "black"))


def roc_figure(margins: Mapping[str, Sequence[Floats]], gender_N: Integers) -> Figure:
    """ROC curves of several models; ``margins[model]`` holds an array (N,) for each training seed.

    Every seed has its own curve: margins of different networks are not on one scale and must not be pooled. The
    legend says the mean area.
    """
    figure = Figure((3.6, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=0.8)
    axes.text(0.53, 0.5, "chance", color="0.4", fontsize=SMALL, rotation=45, rotation_mode="anchor", va="top")
    for model, runs in margins.items():
        look = look_of(model)
        area = np.mean([auc(margin_N, gender_N) for margin_N in runs])
        for label, margin_N in zip([f"{look.label}: {area:.3f}", *["_"] * (len(runs) - 1)], runs, strict=True):
            width = 1.6 if len(runs) == 1 else 1.0
            axes.plot(*roc_points(margin_N, gender_N), color=look.colour, linestyle=look.line, lw=width, label=label)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    _dress(axes, "false positive rate (women taken for men)", "true positive rate (men recognised)")
    axes.legend(title="area under curve", loc="lower right", **_LEGEND)
    return figure


def ced_figure(nme_pct: Mapping[str, Sequence[Floats]]) -> Figure:
    """The paper's operating curve: share of faces whose NME is within a threshold, to 100 % and, enlarged, to 20 %.

    ``nme_pct[model]`` holds an array (N,) for each training seed; the curve is the mean over seeds, which is the
    curve of all their faces together. The legends say the normalised areas to 100 % and to 10 %.
    """
    figure = Figure((7.2, 3.3), layout="constrained")
    for axes, limit, area_to in zip(figure.subplots(1, 2), (100, 20), (100, 10), strict=True):
        for model, runs in nme_pct.items():
            look, pooled = look_of(model), np.concatenate(runs)
            area = 1 - np.minimum(pooled, area_to).mean() / area_to
            threshold, share = ced_points(pooled, limit)
            style = {"color": look.colour, "linestyle": look.line, "label": f"{look.label}: {area:.3f}"}
            axes.step(threshold, 100 * share, where="post", linewidth=1.4, **style)
        axes.set(xlim=(0, limit), ylim=(0, 102))
        _dress(axes, "threshold (% of inter-ocular distance)", "faces with NME within threshold (%)")
        axes.legend(title=f"area to {area_to} %", loc="lower right", **_LEGEND)
    axes.axvline(FAILURE_PCT, color="0.6", linewidth=0.8, zorder=0)
    return figure


def confusion_figure(counts: Mapping[str, Integers]) -> Figure:
    """A confusion matrix a model: ``counts[model]`` (2, 2), row = true gender, column = predicted, woman first.

    Cells show faces and, shaded, their percentage of the row. Counts may be sums over training seeds.
    """
    figure = Figure((2.3 * len(counts) + 0.3, 2.5), layout="constrained")
    for axes, (model, matrix) in zip(figure.subplots(1, len(counts), squeeze=False)[0], counts.items(), strict=True):
        look = look_of(model)
        share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
        axes.imshow(share, cmap=LinearSegmentedColormap.from_list(model, ["white", look.colour]), vmin=0, vmax=1)
        for (row, column), faces in np.ndenumerate(matrix):
            text = f"{faces}\n{100 * share[row, column]:.0f} %"
            axes.text(column, row, text, ha="center", va="center", fontsize=NORMAL + 1)
        axes.set(xticks=[0, 1], xticklabels=["woman", "man"], yticks=[0, 1])
        axes.set_yticklabels(["woman", "man"], rotation=90, va="center")
        _dress(axes, "predicted gender", "true gender", look.label)
        axes.tick_params(length=0)
        axes.grid(visible=False)
    return figure


def learning_figure(
    curves: Mapping[str, Sequence[pd.DataFrame]],
    metrics: Sequence[str] = ("loss", "relative_error"),
    same_loss: bool = False,
) -> Figure:
    """Learning curves: a column of panels for each model or choice, a row for each metric.

    ``curves[model]`` holds a table for each training seed with ``epoch`` and ``train_<metric>`` or ``val_<metric>``
    (either may be missing). Seeds are thin lines, their mean a thick one. Losses have a logarithmic axis, shared
    only if ``same_loss``: with other losses or lambdas their unit differs.
    """
    rows, columns = len(metrics), len(curves)
    figure = Figure((max(3.4, min(2.4 * columns, 9.6)), 2.3 * rows + 0.3), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, squeeze=False)
    for metric, panels in zip(metrics, grid, strict=True):
        for axes, (model, runs) in zip(panels, curves.items(), strict=True):
            _plot_seeds(axes, runs, f"train_{metric}", "training", {"color": "0.35", "linestyle": (0, (3, 1.2))})
            _plot_seeds(axes, runs, f"val_{metric}", "validation", {"color": look_of(model).colour})
            _scale(axes, metric)
            first_row, first_column = axes in grid[0], axes is panels[0]
            y_label = AXIS_LABELS.get(metric, metric) if first_column else ""
            _dress(axes, "epoch" if axes in grid[-1] else "", y_label, look_of(model).label if first_row else "")
        if metric != "loss" or same_loss:
            _share_y(panels)
    grid[0][-1].legend(**_LEGEND)
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write a PNG whole or not at all: under a temporary name first, then renamed."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        figure.savefig(partial, format="png", dpi=DOTS_PER_INCH)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


_LEGEND: dict[str, Any] = {"fontsize": SMALL, "title_fontsize": SMALL, "frameon": False, "handlelength": 2.8}


def _dress(axes: Axes, x_label: str, y_label: str, title: str = "") -> None:
    axes.set_xlabel(x_label, fontsize=NORMAL)
    axes.set_ylabel(y_label, fontsize=NORMAL)
    axes.set_title(title, fontsize=NORMAL)
    axes.tick_params(labelsize=SMALL)
    axes.grid(color="0.92", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _plot_seeds(axes: Axes, runs: Sequence[pd.DataFrame], column: str, label: str, style: dict[str, Any]) -> None:
    runs = [run for run in runs if column in run and run[column].notna().any()]
    if not runs:
        return
    if len(runs) > 1:
        for run in runs:
            axes.plot(run["epoch"], run[column], linewidth=0.7, alpha=0.45, **style)
    mean = pd.concat(runs).groupby("epoch")[column].mean()
    axes.plot(mean.index, mean, linewidth=1.6, label=label if len(runs) == 1 else f"{label}, mean", **style)


def _scale(axes: Axes, metric: str) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if metric == "loss":
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    if metric == "relative_error":
        axes.axhline(1, color="0.6", linewidth=0.8, zorder=0)  # knowing nothing
        axes.set_ylim(0, min(axes.get_ylim()[1], USELESS_PLUS))


def _share_y(panels: Sequence[Axes]) -> None:
    limits = np.array([axes.get_ylim() for axes in panels])
    for axes in panels:
        axes.set_ylim(limits[:, 0].min(), limits[:, 1].max())
