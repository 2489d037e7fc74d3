"""The figures of a final test, as files with captions."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from core.face_figure import face_figure
from core.figures import ced_figure, confusion_figure, roc_figure
from core.final_test import Tested, TestResult
from core.learning_figure import learning_figure
from core.looks import save_figure
from core.metrics import Predictions, Truth, confusion, gender_margin, nme_per_face_pct

SHOWN_FACES = 8


def write_figures(folder: Path, result: TestResult) -> dict[Path, str]:
    """Draw and save every figure that the winners' tasks allow; path and caption in the order of the report."""
    folder.mkdir(parents=True, exist_ok=True)
    margins = {
        t.winner.label: [gender_margin(run.gender_logits) for run in t.runs if run.gender_logits is not None]
        for t in result.tested
        if t.runs[0].gender_logits is not None
    }
    errors = {
        t.winner.label: [
            nme_per_face_pct(run.landmarks, result.truth.landmarks) for run in t.runs if run.landmarks is not None
        ]
        for t in result.tested
        if t.runs[0].landmarks is not None
    }
    figures: dict[str, tuple[Figure, str]] = {}
    if margins:
        figures["roc"] = (roc_figure(margins, result.truth.gender), "ROC curves, one for each training seed.")
        counts = {
            m: np.sum([confusion(run, result.truth.gender) for run in runs], axis=0) for m, runs in margins.items()
        }
        figures["confusion"] = (confusion_figure(counts), "Confusion matrices, faces summed over training seeds.")
    if errors:
        figures["operating_curve"] = (ced_figure(errors), "Operating curves: share of faces within a threshold of NME.")
    for tested in result.tested:
        caption = (
            "circles: true landmarks, crosses: predicted; faces from best to worst NME, evenly picked; first seed."
        )
        label = tested.winner.label
        figures[f"predictions_{label}"] = (_faces(tested, result), f"Predictions of the {label} model; {caption}")
    curves = {t.winner.label: list(t.winner.curves) for t in result.tested}
    figures["learning_curves"] = (learning_figure(curves), "Learning curves of the retrained winners, a line a seed.")
    written = {}
    for name, (figure, caption) in figures.items():
        path = folder / f"{name}.png"
        save_figure(figure, path)
        written[path] = caption
    return written


def _faces(tested: Tested, result: TestResult) -> Figure:
    """Eight test faces: evenly from the best to the worst NME, or as they come without landmarks."""
    first = tested.runs[0]
    if first.landmarks is not None:
        order = np.argsort(nme_per_face_pct(first.landmarks, result.truth.landmarks))
    else:
        order = np.arange(len(result.truth.gender))
    chosen = order[np.linspace(0, len(order) - 1, min(SHOWN_FACES, len(order))).round().astype(int)]
    truth = Truth(result.truth.gender[chosen], result.truth.landmarks[chosen])
    predictions = Predictions(
        None if first.gender_logits is None else first.gender_logits[chosen],
        None if first.landmarks is None else first.landmarks[chosen],
    )
    return face_figure(result.images[chosen], truth, predictions, str(tested.winner.architecture))
