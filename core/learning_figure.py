"""Learning curves of several models or choices side by side (the paper's figures 8 and 9)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from core.looks import LEGEND, PAGE, SMALL, dress, look_of, new_figure
from core.names import RELATIVE_ERROR

LABELS = {
    "loss": "loss",
    RELATIVE_ERROR: "relative error",
    "gender_ce": "cross-entropy (nats)",
    "gender_accuracy": "accuracy",
    "gender_auc": "area under ROC curve",
    "landmark_l1": "L1 (fraction of crop)",
    "nme_pct": "NME (% of eye distance)",
}
TRAINING: dict[str, Any] = {"color": "0.35", "linestyle": (0, (3, 1.2))}
CROWDED = 300  # a loss that spans more than this has its powers of ten marked alone
HIGHEST = 1.5  # relative errors above are cut off: "worse than knowing nothing" is all they say


def learning_figure(
    curves: Mapping[str, Sequence[pd.DataFrame]],
    metrics: Sequence[str] = ("loss", RELATIVE_ERROR),
    same_loss: bool = False,
    colour: str | None = None,
) -> Figure:
    """A column of panels for each model or choice, a row for each metric.

    ``curves[model]`` holds a table for each training seed, with ``epoch`` and the columns ``train_<metric>`` and
    ``val_<metric>`` (``relative_error`` without prefix) as far as they exist. Seeds are thin lines; their mean, as far
    as all of them go, is a thick one. Losses have a logarithmic axis, shared by the models only if ``same_loss``: where
    landmark losses or lambdas differ, so does the unit. ``colour`` is that of all curves, where they are of one model.
    """
    rows, columns = len(metrics), len(curves)
    figure = new_figure(min(max(3.9, 2.4 * columns), PAGE), 2.2 * rows + 0.5)
    grid = figure.subplots(rows, columns, sharex=True, squeeze=False)
    for row, metric in enumerate(metrics):
        for column, (model, runs) in enumerate(curves.items()):
            axes = grid[row, column]
            _plot_seeds(axes, runs, f"train_{metric}", TRAINING)
            validation = metric if metric == RELATIVE_ERROR else f"val_{metric}"
            _plot_seeds(axes, runs, validation, {"color": colour or look_of(model).colour})
            _scale(axes, metric)
            x_label, title = "epoch" if row == rows - 1 else "", look_of(model).label if row == 0 else ""
            dress(axes, x_label, LABELS.get(metric, metric) if column == 0 else "", title)
        if metric != "loss" or same_loss:
            _share_y(grid[row])
    several = any(len(runs) > 1 for runs in curves.values())
    keys = [Line2D([], [], label="training", **TRAINING), Line2D([], [], color="black", label="validation")]
    seeds = [Line2D([], [], color="black", linewidth=0.7, alpha=0.5, label="single seeds")] if several else []
    figure.legend(handles=keys + seeds, loc="outside lower center", ncols=3, **LEGEND)
    return figure


def _plot_seeds(axes: Axes, runs: Sequence[pd.DataFrame], column: str, style: dict[str, Any]) -> None:
    known = [run for run in runs if column in run and run[column].notna().any()]
    if not known:
        return
    if len(known) > 1:
        for run in known:
            axes.plot(run["epoch"], run[column], linewidth=0.7, alpha=0.5, **style)
    # A seed that diverged ends early: after it the mean of the others would be another line.
    common = min(int(run["epoch"].max()) for run in known)
    mean = pd.concat([run[run["epoch"] <= common] for run in known]).groupby("epoch")[column].mean()
    axes.plot(mean.index, mean, linewidth=1.6, **style)


def _scale(axes: Axes, metric: str) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10], integer=True))
    if metric == "loss":
        axes.set_yscale("log")
        low, high = axes.get_ylim()
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < CROWDED * low else (1,)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    if metric == RELATIVE_ERROR:
        axes.set_ylim(0, min(max(axes.get_ylim()[1], 1.1), HIGHEST))
        axes.axhline(1, color="0.6", linewidth=0.8, zorder=0)
        right_end = axes.get_yaxis_transform()  # x in shares of the axes, y in data
        axes.text(
            0.98, 1.01, "knowing nothing", color="0.4", fontsize=SMALL, ha="right", va="bottom", transform=right_end
        )


def _share_y(panels: Sequence[Axes]) -> None:
    limits = np.array([axes.get_ylim() for axes in panels])
    for i, axes in enumerate(panels):
        axes.set_ylim(limits[:, 0].min(), limits[:, 1].max())
        axes.tick_params(labelleft=i == 0)
