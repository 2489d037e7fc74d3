"""Predictions drawn on faces (the paper's figure 12). Shapes: N faces, C colour channels, H and W pixels."""

import math
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from core.looks import NORMAL, PAGE, SMALL, look_of, new_figure
from core.metrics import Predictions, Truth, gender_margin, nme_per_face_pct
from core.names import CROP, GENDERS

COLUMNS = 4


def face_figure(images_NCHW: NDArray[np.uint8], truth: Truth, predictions: Predictions, model: str) -> Figure:
    """A grid of faces, four in a row, with true landmarks as circles and predicted ones as crosses.

    Images are RGB (N, 3, 224, 224). Below each face stand the predicted gender with its probability, the true gender
    and the face's NME, as far as the model predicts them; a wrong gender is in bold type.
    """
    assert len(images_NCHW) == len(truth.gender), (len(images_NCHW), len(truth.gender))
    look, captions, wrong_N = look_of(model), _captions(truth, predictions), _wrong_gender(truth, predictions)
    rows, lines = math.ceil(len(images_NCHW) / COLUMNS), captions[0].count("\n") + 1
    figure = new_figure(PAGE, (PAGE / COLUMNS + 0.16 * lines) * rows + 0.5)
    figure.suptitle(look.label, fontsize=NORMAL)
    for i, image_CHW in enumerate(images_NCHW):
        axes = figure.add_subplot(rows, COLUMNS, i + 1)
        axes.imshow(image_CHW.transpose(1, 2, 0))
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
        axes.set_xlabel(captions[i], fontsize=SMALL, fontweight="bold" if wrong_N[i] else "normal")
        if predictions.landmarks is not None:
            axes.plot(*truth.landmarks[i].T, label="true landmark", **_mark("o", "white", "black"))
            axes.plot(*predictions.landmarks[i].T, label="predicted landmark", **_mark("x", look.colour, "white"))
            axes.set(xlim=(-0.5, CROP - 0.5), ylim=(CROP - 0.5, -0.5))  # also with predictions outside the image
    if predictions.landmarks is not None:
        keys = figure.axes[0].get_legend_handles_labels()
        figure.legend(*keys, loc="outside lower center", ncols=2, fontsize=SMALL, facecolor="0.85", edgecolor="none")
    return figure


def _captions(truth: Truth, predictions: Predictions) -> list[str]:
    lines_N: list[list[str]] = [[] for _ in truth.gender]
    if predictions.gender_logits is not None:
        margin_N = gender_margin(predictions.gender_logits)
        sure_pct_N = 100 / (1 + np.exp(-np.abs(margin_N)))
        for lines, man, sure_pct, true in zip(lines_N, margin_N > 0, sure_pct_N, truth.gender, strict=True):
            lines += [f"predicted {GENDERS[int(man)]}, {sure_pct:.0f} %", f"truth: {GENDERS[true]}"]
    if predictions.landmarks is not None:
        for lines, nme_pct in zip(lines_N, nme_per_face_pct(predictions.landmarks, truth.landmarks), strict=True):
            lines.append(f"NME {nme_pct:.1f} %")
    return ["\n".join(lines) for lines in lines_N]


def _wrong_gender(truth: Truth, predictions: Predictions) -> NDArray[np.bool_]:
    if predictions.gender_logits is None:
        return np.zeros(len(truth.gender), dtype=bool)
    return np.not_equal(gender_margin(predictions.gender_logits) > 0, truth.gender)


def _mark(marker: str, colour: str, halo: str) -> dict[str, Any]:
    """A hollow marker with a halo, so that it shows on skin and hair of any shade."""
    style = {"markerfacecolor": "none", "markeredgecolor": colour, "markersize": 7, "markeredgewidth": 1.4}
    return {"linestyle": "none", "marker": marker, "path_effects": [withStroke(linewidth=3, foreground=halo)], **style}
