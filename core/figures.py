"""The figures of the final test (the paper's figure 11), from plain arrays. N faces."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from core.curves import ced_points, roc_points
from core.looks import LEGEND, NORMAL, PAGE, SMALL, dress, look_of, new_figure
from core.metrics import FAILURE_PCT, Floats, Integers, auc
from core.names import GENDERS


def roc_figure(margins: Mapping[str, Sequence[Floats]], gender_N: Integers) -> Figure:
    """ROC curves of several models; ``margins[model]`` holds an array (N,) for each training seed.

    Every seed has its own curve: margins of different networks are not on one scale, so pooling them would be wrong.
    The legend says the mean area over seeds. ``gender_N`` must hold women and men.
    """
    figure = new_figure(3.6, 3.6)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=0.8)
    axes.text(0.53, 0.5, "chance", color="0.4", fontsize=SMALL, rotation=45, rotation_mode="anchor", va="top")
    for model, runs in margins.items():
        look = look_of(model)
        label = f"{look.label}: {np.mean([auc(margin_N, gender_N) for margin_N in runs]):.3f}"
        style = {"color": look.colour, "linestyle": look.line, "linewidth": 1.6 if len(runs) == 1 else 1.0}
        for i, margin_N in enumerate(runs):
            axes.plot(*roc_points(margin_N, gender_N), label=label if i == 0 else None, **style)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    dress(axes, "false positive rate (women taken for men)", "true positive rate (men recognised)")
    several = any(len(runs) > 1 for runs in margins.values())
    axes.legend(title="mean area over seeds" if several else "area under the curve", loc="lower right", **LEGEND)
    return figure


def ced_figure(nme_pct: Mapping[str, Sequence[Floats]]) -> Figure:
    """Operating curves as the paper's figure 11 has them of landmarks, here of faces: the share of those whose NME is
    within a threshold, to 100 % and, enlarged, to 20 %.

    ``nme_pct[model]`` holds an array (N,) for each training seed; the curve is the mean over seeds, which is the
    curve of all their faces together. The legend says the normalised areas to 100 % and to 10 %, the thin upright
    line is where a face counts as failed.
    """
    figure = new_figure(PAGE, 3.7)
    for axes, limit in zip(figure.subplots(1, 2), (100, 20), strict=True):
        for model, runs in nme_pct.items():
            look, pooled = look_of(model), np.concatenate(runs)
            areas = [1 - np.minimum(pooled, end).mean() / end for end in (100, 10)]
            label = f"{look.label}: {areas[0]:.3f} to 100 %, {areas[1]:.3f} to 10 %"
            threshold, share = ced_points(pooled, limit)
            axes.step(threshold, 100 * share, where="post", color=look.colour, linestyle=look.line, label=label)
        axes.axvline(FAILURE_PCT, color="0.6", linewidth=0.8, zorder=0)
        axes.set(xlim=(0, limit), ylim=(0, 102), xticks=np.linspace(0, limit, 5))
        dress(axes, "threshold (% of inter-ocular distance)", "faces with NME within threshold (%)")
    axes.text(FAILURE_PCT + 0.2, 2, "failed →", color="0.4", fontsize=SMALL)
    keys = figure.axes[0].get_legend_handles_labels()
    figure.legend(*keys, title="area under the curve", loc="outside lower center", ncols=2, **LEGEND)
    return figure


def confusion_figure(counts: Mapping[str, Integers]) -> Figure:
    """A confusion matrix a model: ``counts[model]`` (2, 2), row = true gender, column = predicted, woman first.

    Cells show faces and, shaded, their percentage of the row. Counts may be sums over training seeds.
    """
    figure = new_figure(min(2.4 * len(counts), PAGE), 2.6)
    for axes, (model, matrix) in zip(figure.subplots(1, len(counts), squeeze=False)[0], counts.items(), strict=True):
        look = look_of(model)
        share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
        shades = LinearSegmentedColormap.from_list(model, ["white", look.colour])
        axes.imshow(share, cmap=shades, vmin=0, vmax=1.6)  # 1.6: black type stays legible on the darkest cell
        for (row, column), faces in np.ndenumerate(matrix):
            text = f"{faces}\n{100 * share[row, column]:.0f} %"
            axes.text(column, row, text, ha="center", va="center", fontsize=NORMAL)
        axes.set(xticks=[0, 1], xticklabels=GENDERS, yticks=[0, 1])
        axes.set_yticklabels(GENDERS, rotation=90, va="center")
        dress(axes, "predicted gender", "true gender", look.label)
        axes.tick_params(length=0)
        axes.grid(visible=False)
        axes.spines[:].set_visible(True)
    return figure
