"""Figures of a replication that a final test does not have: curves per optimiser, and our seeds beside the paper."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from core.claims import TABLE_CLAIMS, cell_label
from core.learning_figure import learning_figure
from core.looks import LEGEND, NORMAL, PAGE, SMALL, dress, look_of, new_figure, save_figures
from core.names import MEAN_FACE, Architecture
from core.published import published_table
from core.replication import CHOICES, seeds_of

PANELS: dict[int, tuple[str, str, str]] = {
    1: (Architecture.GENDER, "gender_ce", "validation cross-entropy (nats)"),
    2: (Architecture.LANDMARKS, "nme_pct", "validation NME (% of eye distance)"),
    3: (Architecture.MULTITASK, "nme_pct", "validation NME (% of eye distance)"),
    4: (Architecture.ATTENTION, "nme_pct", "validation NME (% of eye distance)"),
}
"""Of each table the model, the metric that is drawn, and its axis label."""

TITLES = {1: "I: optimiser", 2: "II: landmark loss", 3: "III: lambda1, lambda2", 4: "IV: d_k"}


def write_paper_figures(
    folder: Path,
    runs: Mapping[int, pd.DataFrame],
    baseline: Mapping[str, float],
    optimizer_curves: Mapping[str, list[pd.DataFrame]],
) -> dict[Path, str]:
    """Draw and save both; path and caption in the order of the report."""
    eight = learning_figure(
        optimizer_curves, ("loss", "gender_auc"), same_loss=True, colour=look_of(Architecture.GENDER).colour
    )
    figures = {
        "tables_1_to_4": (
            replication_figure(runs, baseline),
            "Tables I to IV at a glance: our seeds, their mean, and the paper's single run; bold: what the paper chose "
            "(d_k by its loss, which is not drawn: its unit depends on the choices before).",
        ),
        "figure_8_optimizers": (eight, "The paper's figure 8: learning curves of the gender model by optimiser."),
    }
    return save_figures(folder, figures)


def replication_figure(runs: Mapping[int, pd.DataFrame], baseline: Mapping[str, float]) -> Figure:
    """A panel for each of tables I to IV: a row for each choice, a dot for each seed, a star for the paper's run."""
    figure = new_figure(PAGE, 5.6)
    for axes, (number, (model, metric, label)) in zip(figure.subplots(2, 2).flat, PANELS.items(), strict=True):
        _panel(axes, number, metric, runs[number], look_of(model).colour)
        axes.axvline(baseline[metric], color="0.55", linewidth=0.9, linestyle=look_of(MEAN_FACE).line, zorder=0)
        dress(axes, label, "", TITLES[number])
    keys = [
        Line2D([], [], marker="o", linestyle="none", markersize=4, alpha=0.6, color="black", label="one of our seeds"),
        Line2D([], [], marker="|", linestyle="none", markersize=13, markeredgewidth=2, color="black", label="our mean"),
        Line2D([], [], **_STAR, label="the paper's run"),
        Line2D([], [], color="0.55", linewidth=0.9, linestyle=look_of(MEAN_FACE).line, label="knowing nothing"),
    ]
    figure.legend(handles=keys, loc="outside lower center", ncols=4, **LEGEND)
    return figure


_STAR: dict[str, Any] = {"marker": "*", "linestyle": "none", "markersize": 10, "color": "black", "markerfacecolor": "w"}


def _panel(axes: Axes, number: int, metric: str, runs: pd.DataFrame, colour: str) -> None:
    keys = list(CHOICES[number])
    published = published_table(number)
    paper_metric = "loss" if number == 1 else metric  # table I's loss is the cross-entropy
    labels = []
    for row, paper in enumerate(published.to_dict("records")):
        labels.append(cell_label([paper[key] for key in keys]))
        ours = seeds_of(number, paper, runs)
        values = ours[metric].dropna() if metric in ours else pd.Series(dtype=float)
        axes.plot(values, [row] * len(values), "o", markersize=4, alpha=0.6, color=colour, markeredgewidth=0)
        if len(values):
            axes.plot(values.mean(), row, "|", markersize=13, markeredgewidth=2, color=colour)
        else:
            axes.text(0.5, row, "not trained", transform=axes.get_yaxis_transform(), fontsize=SMALL, color="0.4")
        axes.plot(paper[paper_metric], row, **_STAR)
    axes.set_yticks(range(len(labels)), labels, fontsize=NORMAL)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    claimed = labels.index(TABLE_CLAIMS[number][0])
    axes.get_yticklabels()[claimed].set_fontweight("bold")
    if metric == "nme_pct":
        axes.set_xscale("log")
        axes.set_xticks([5, 10, 20, 50, 100], ["5", "10", "20", "50", "100"])
        axes.minorticks_off()
