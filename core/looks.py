"""What all figures share: each model's colour and line style, type sizes, and how a figure is made and saved.

A model looks the same in every figure. Colours are Okabe and Ito's (2008), which colour-blind readers tell apart; line
styles are for print in grey. Nothing here touches matplotlib's global state.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from core.atomic import new_file
from core.names import MEAN_FACE, Architecture

SMALL, NORMAL = 8.5, 9.5  # points: ticks and legends; all other text
PAGE = 7.2  # inches: the width of a printed page, so that type keeps its size there
DOTS_PER_INCH = 150
LEGEND: dict[str, Any] = {"fontsize": SMALL, "title_fontsize": SMALL, "frameon": False, "handlelength": 2.8}


@dataclass(frozen=True)
class Look:
    """How a model appears: its label, colour, and line style and marker as matplotlib writes them."""

    label: str
    colour: str
    line: Any = "solid"
    marker: str = "o"


LOOKS: dict[str, Look] = {
    Architecture.GENDER: Look("single-task gender", "#0072B2", marker="D"),
    Architecture.LANDMARKS: Look("single-task landmarks", "#D55E00", (0, (6, 1.5)), "^"),
    Architecture.MULTITASK: Look("multi-task", "#009E73", (0, (6, 1.5, 1, 1.5))),
    Architecture.ATTENTION: Look("attention", "#CC79A7", (0, (2, 1)), "s"),
    MEAN_FACE: Look("mean face", "#777777", (0, (1, 1.5))),
}


def look_of(model: str) -> Look:
    """The look of an architecture or of the baseline; anything else (an optimiser, say) is black under its name."""
    return LOOKS.get(model, Look(model, "black"))


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches, whose parts will make room for each other."""
    return Figure((width, height), layout=ConstrainedLayoutEngine(h_pad=0.06, w_pad=0.06))


def dress(axes: Axes, x_label: str, y_label: str, title: str = "") -> None:
    """Give axes their labels and the style of all our plots."""
    axes.set_xlabel(x_label, fontsize=NORMAL)
    axes.set_ylabel(y_label, fontsize=NORMAL)
    axes.set_title(title, fontsize=NORMAL)
    axes.tick_params(labelsize=SMALL)
    axes.grid(color="0.92", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a PNG whole or not at all: under a temporary name first, then renamed."""
    with new_file(path) as partial:
        figure.savefig(partial, format="png", dpi=DOTS_PER_INCH)


def save_figures(folder: Path, figures: Mapping[str, tuple[Figure, str]]) -> dict[Path, str]:
    """Write figures with captions as PNG files named by their keys; path and caption in the same order."""
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for name, (figure, caption) in figures.items():
        written[folder / f"{name}.png"] = caption
        save_figure(figure, folder / f"{name}.png")
    return written
