"""A search for two goals as a figure: gender against landmarks, trials, fronts, winners and the paper's models."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from core.front import PLAIN, Front
from core.looks import LEGEND, PAGE, SMALL, dress, look_of, new_figure
from core.metrics import Floats
from core.names import MEAN_FACE
from core.published import published_goals

CAPTION = (
    "Two goals on validation faces, left and below is better: every trial at its best epoch, the front of each kind of "
    "model with both tasks, the retrained winners (mean and standard deviation over seeds), and the paper's models "
    "on its own 45 faces."
)
FOLDED = (
    " Trials are means over {} folds of the train and validation faces; winners, and what knowing nothing scores, are "
    "of the validation faces alone: a trial and a winner are of different faces, and stand side by side only roughly."
)
X_LABEL, Y_LABEL = "gender cross-entropy (nats)", "NME (% of eye distance)"
FARTHEST = 1.6  # times what knowing nothing scores: what lies beyond is counted, not drawn
PAPER: dict[str, dict[str, Any]] = {
    "pair": {"marker": "P", "markersize": 8.5},
    "50": {"marker": "*", "markersize": 11},
    "10": {"marker": "*", "markersize": 6},
}
TRIAL: dict[str, Any] = {"markersize": 3.5, "alpha": 0.45, "markeredgewidth": 0}
FRONT: dict[str, Any] = {"markersize": 4.5, "markeredgewidth": 0}
WINNER: dict[str, Any] = {"markersize": 10, "markeredgecolor": "black", "markeredgewidth": 0.8}


def caption(front: Front) -> str:
    """What the figure shows."""
    return CAPTION + (FOLDED.format(front.folds) if front.folds > 1 else "")


def front_figure(front: Front) -> Figure:
    """One panel with logarithmic axes; points that are far worse than knowing nothing are counted in a note."""
    figure = new_figure(PAGE, 5.4)
    axes = figure.subplots()
    axes.set_xscale("log")
    axes.set_yscale("log")
    shown = _limits(axes, front)
    for kind, trials in front.trials.groupby("architecture", sort=True):
        look = look_of(str(kind))
        mark: dict[str, Any] = {"color": look.colour, "marker": look.marker, "linestyle": "none"}
        axes.plot(*_xy(trials), **mark, **TRIAL)
        members = trials[trials["front_rank"] == 1].sort_values(list(PLAIN))
        axes.plot(*_xy(members), **mark, **FRONT)
        _stairs(axes, members, str(kind), shown)
    _plot_paper(axes)
    _plot_winners(axes, front.winners)
    axes.axvline(front.nothing[0], color="0.55", linewidth=0.9, linestyle=look_of(MEAN_FACE).line, zorder=0)
    axes.axhline(front.nothing[1], color="0.55", linewidth=0.9, linestyle=look_of(MEAN_FACE).line, zorder=0)
    dress(axes, X_LABEL, Y_LABEL)
    _note(axes, front, shown)
    figure.legend(handles=_keys(front), loc="outside lower center", ncols=3, **LEGEND)
    return figure


def _xy(table: pd.DataFrame) -> tuple[Floats, Floats]:
    return table[PLAIN[0]].to_numpy(), table[PLAIN[1]].to_numpy()


def _limits(axes: Axes, front: Front) -> Floats:
    """Set the axes' limits around what is no farther than ``FARTHEST``; they are returned, a row a goal."""
    points = np.concatenate(
        [table[list(PLAIN)].to_numpy(float) for table in (front.trials, front.winners, published_goals())]
    )
    most = FARTHEST * np.array(front.nothing)
    inside = points[((points > 0) & (points <= most)).all(axis=1)]
    low = inside.min(axis=0) if len(inside) else most / 10
    high = np.maximum(inside.max(axis=0) if len(inside) else most, front.nothing)
    room = (high / low) ** 0.06
    limits = np.stack([low / room, high * room], axis=1)
    axes.set_xlim(*limits[0])
    axes.set_ylim(*limits[1])
    for axis, (start, end) in ((axes.xaxis, limits[0]), (axes.yaxis, limits[1])):
        axis.set_major_locator(LogLocator(subs=_steps(float(start), float(end))))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
    return limits


def _steps(start: float, end: float) -> tuple[float, ...]:
    """Where ticks stand within a decade, so that an axis has two of them at least if it can."""
    if end >= 100 * start:
        return (1,)
    fine = (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9)
    coarse = (1, 2, 5)
    shown = [s * 10.0**d for d in range(-6, 6) for s in coarse if start <= s * 10.0**d <= end]
    return coarse if len(shown) > 1 else fine


def _stairs(axes: Axes, members: pd.DataFrame, kind: str, limits: Floats) -> None:
    """The border of what a front dominates, from the top of the axes to their right."""
    x, y = _xy(members)
    if len(x):
        x, y = np.concatenate([[x[0]], x, [limits[0, 1]]]), np.concatenate([[limits[1, 1]], y, [y[-1]]])
        axes.plot(x, y, drawstyle="steps-post", color=look_of(kind).colour, linewidth=1.4, linestyle=look_of(kind).line)


def _plot_paper(axes: Axes) -> None:
    for row in published_goals().to_dict("records"):
        axes.plot(row[PLAIN[0]], row[PLAIN[1]], linestyle="none", **_paper_style(row))


def _paper_style(row: Mapping[Any, Any]) -> dict[str, Any]:
    colour = look_of(row["architecture"]).colour if row["architecture"] else "black"
    style = PAPER["pair" if not row["architecture"] else str(row["epochs"])]
    return {**style, "color": colour, "markerfacecolor": "white", "markeredgewidth": 1.2, "zorder": 3}


def _plot_winners(axes: Axes, winners: pd.DataFrame) -> None:
    """Each with its number among those of its kind, which ends its label from the second on."""
    for row in winners.to_dict("records"):
        look, spread = look_of(row["architecture"]), [row[f"{name}_sd"] for name in PLAIN]
        x, y = (row[name] for name in PLAIN)
        bars = [None if np.isnan(sd) else sd for sd in spread]
        style: dict[str, Any] = {"color": look.colour, "marker": look.marker, "elinewidth": 1.2, "capsize": 2}
        axes.errorbar(x, y, xerr=bars[0], yerr=bars[1], zorder=4, **style, **WINNER)
        number = row["model"].partition("-")[2] or "1"
        style = {"fontsize": SMALL - 1.5, "color": "white", "fontweight": "bold"}
        axes.text(x, y, number, ha="center", va="center_baseline", clip_on=True, zorder=5, **style)


def _note(axes: Axes, front: Front, limits: Floats) -> None:
    """What knowing nothing scores, and how many points are beyond the axes."""
    style: dict[str, Any] = {"fontsize": SMALL, "color": "0.4"}
    right, top = axes.get_yaxis_transform(), axes.get_xaxis_transform()
    axes.text(0.005, front.nothing[1], "mean face", va="bottom", transform=right, **style)
    axes.text(front.nothing[0], 0.005, "prior", ha="right", va="bottom", rotation=90, transform=top, **style)

    def beyond(table: pd.DataFrame) -> int:
        return int((table[list(PLAIN)].to_numpy() > limits[:, 1]).any(axis=1).sum())

    counts = [
        (beyond(front.trials), "trials"),
        (beyond(front.winners), "winners"),
        (beyond(published_goals()), "models of the paper"),
    ]
    if any(count for count, _ in counts):
        text = ", ".join(f"{name} ({count})" for count, name in counts if count)
        axes.set_title(f"off the axes: {text}", fontsize=SMALL, color="0.4", loc="right")


def _keys(front: Front) -> list[Line2D]:
    keys, searched = [], set(front.trials["architecture"])
    for kind in sorted({*searched, *published_goals()["architecture"]} - {""}):
        look = look_of(str(kind))
        if kind in searched:
            style = {"color": look.colour, "marker": look.marker, **FRONT}
            keys.append(Line2D([], [], linestyle=look.line, label=f"front: {look.label}", **style))
        else:
            keys.append(Line2D([], [], color=look.colour, linestyle="none", marker=look.marker, label=look.label))
    grey: dict[str, Any] = {"color": "0.3", "linestyle": "none"}
    keys += [
        Line2D([], [], label="a trial", marker="o", **grey, **TRIAL),
        Line2D([], [], label="retrained winner, with its number", marker="o", **grey, **WINNER),
    ]
    open_mark: dict[str, Any] = {**grey, "markerfacecolor": "white", "markeredgewidth": 1.2}
    keys += [
        Line2D([], [], label=f"paper: {text}", **open_mark, **PAPER[style])
        for style, text in (("pair", "two single-task models"), ("50", "50 epochs"), ("10", "10 epochs"))
    ]
    return keys
