"""Which choices mattered, as intervals: a panel for each branch of the space."""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from core.importance_table import LITTLE, Verdict, can_tell
from core.looks import LEGEND, LOOKS, NORMAL, PAGE, SMALL, dress, new_figure, save_figures

ROW, HEAD, FOOT = 0.27, 0.4, 0.75  # inches: of a parameter; above those of a panel; below all
APART = 0.17  # rows: between the two intervals of a parameter
PAIRED = "0.55"  # grey: of the interval with pairs
WORDS = {Verdict.MATTERS: "matters", Verdict.LITTLE: "little", Verdict.UNTOLD: "cannot be told"}


CAPTION = (
    "What mattered: the share of the variance of ranks that goes with each choice, alone and in pairs with others, "
    "with 95 % intervals, in each branch of the space."
)


def importance_figures(table: pd.DataFrame, folder: Path) -> dict[Path, str]:
    """Write ``importance.png`` into a folder, if there is anything to draw; its path and caption."""
    return save_figures(folder, {"importance": (importance_figure(table), CAPTION)}) if can_tell(table) else {}


def importance_figure(table: pd.DataFrame) -> Figure:
    """Shares of the variance with their 95 % intervals, alone and in pairs, and what they decide.

    ``table`` as :func:`core.importance_table.read_importance` gives it, with a branch of which something can be told.
    """
    told = table[table["verdict"] != Verdict.FEW]
    branches = [(str(name), rows) for name, rows in told.groupby("branch", sort=False)]
    figure = new_figure(PAGE, ROW * len(told) + HEAD * len(branches) + FOOT)
    heights = [len(rows) for _, rows in branches]
    grid = figure.subplots(len(branches), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (name, rows) in zip(grid, branches, strict=True):
        _panel(axes, name, rows)
    grid[-1].set_xlabel("share of the variance of ranks (%)", fontsize=NORMAL)
    grid[-1].spines["bottom"].set_visible(True)
    grid[-1].tick_params(axis="x", length=3.5)
    keys = [
        Line2D([], [], color="black", marker="o", markersize=4.5, label="alone"),
        Line2D([], [], color=PAIRED, marker="D", markersize=3, linewidth=1, label="alone and in pairs with others"),
        Line2D([], [], color="0.75", linestyle=(0, (3, 2)), label=f"{100 * LITTLE:.0f} %: below lies little"),
    ]
    figure.legend(handles=keys, loc="outside lower center", ncols=3, **LEGEND)
    return figure


def _panel(axes: Axes, branch: str, rows: pd.DataFrame) -> None:
    look = LOOKS.get(branch)
    colour, label = (look.colour, look.label) if look else ("black", branch)
    for place, (_, row) in enumerate(rows.iterrows()):
        axes.plot([100 * row["total_lo"], 100 * row["total_hi"]], [place + APART] * 2, color=PAIRED, linewidth=1)
        axes.plot(100 * row["total"], place + APART, "D", color=PAIRED, markersize=3)
        axes.plot([100 * row["alone_lo"], 100 * row["alone_hi"]], [place - APART] * 2, color=colour, linewidth=1.8)
        axes.plot(100 * row["alone"], place - APART, "o", color=colour, markersize=4.5)
        matters = row["verdict"] == Verdict.MATTERS
        weight, shade = ("bold", "black") if matters else ("normal", "0.35")
        words = WORDS[Verdict(row["verdict"])]
        axes.text(102, place, words, fontsize=SMALL, va="center", weight=weight, color=shade)
    axes.axvline(100 * LITTLE, color="0.75", linestyle=(0, (3, 2)), linewidth=1, zorder=0)
    dress(axes, "", "")
    axes.set_title(f"{label}, {int(rows['trials'].iloc[0])} trials", fontsize=SMALL, loc="left")
    axes.set(xlim=(-1, 101), ylim=(len(rows) - 0.5, -0.5), yticks=range(len(rows)))
    axes.set_yticklabels([str(name) for name in rows["parameter"]])
    axes.tick_params(length=0)
    axes.spines["bottom"].set_visible(False)
    axes.grid(visible=False, axis="y")
