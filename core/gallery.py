"""The figures of a final test, as files with captions."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from core.face_figure import face_figure
from core.figures import ced_figure, confusion_figure, roc_figure
from core.final_test import Tested, TestResult
from core.learning_figure import learning_figure
from core.looks import look_of, save_figures
from core.metrics import Predictions, Truth, confusion, gender_margin, nme_per_face_pct

SHOWN_FACES = 8


def write_figures(folder: Path, result: TestResult) -> dict[Path, str]:
    """Draw and save every figure that the winners' tasks allow; path and caption in the order of the report."""
    figures = _gender_figures(result) | _landmark_figures(result)
    for tested in result.tested:
        figures[f"predictions_{tested.winner.architecture}"] = (_faces(tested, result), _caption(tested))
    curves = {str(t.winner.architecture): list(t.winner.curves) for t in result.tested}
    caption = "Learning curves of the tested winners, a line a seed (the paper's figure 9, of those with 50 epochs)."
    figures["learning_curves"] = (learning_figure(curves), caption)
    return save_figures(folder, figures)


def _gender_figures(result: TestResult) -> dict[str, tuple[Figure, str]]:
    # By architecture, which has one winner: its label may bear a rank (multitask-2), and a look belongs to a kind.
    margins = {
        str(t.winner.architecture): [gender_margin(r.gender_logits) for r in t.runs if r.gender_logits is not None]
        for t in result.tested
        if t.runs[0].gender_logits is not None
    }
    if not margins:
        return {}
    gender = result.truth.gender
    counts = {kind: np.sum([confusion(run, gender) for run in runs], axis=0) for kind, runs in margins.items()}
    return {
        "roc": (roc_figure(margins, gender), "ROC curves, one for each training seed (the paper's figure 11)."),
        "confusion": (confusion_figure(counts), "Confusion matrices, faces summed over training seeds (figure 11)."),
    }


def _landmark_figures(result: TestResult) -> dict[str, tuple[Figure, str]]:
    true = result.truth.landmarks
    errors = {
        str(t.winner.architecture): [nme_per_face_pct(r.landmarks, true) for r in t.runs if r.landmarks is not None]
        for t in result.tested
        if t.runs[0].landmarks is not None
    }
    caption = "Operating curves: share of faces within a threshold of NME. The paper's figure 11 counts landmarks."
    return {"operating_curve": (ced_figure(errors), caption)} if errors else {}


def _caption(tested: Tested) -> str:
    """What the drawn faces show, by the model's tasks."""
    winner, first = tested.winner, tested.runs[0]
    kind = look_of(winner.architecture).label
    parts = [f"Predictions of the {kind} model ({winner.label}, its first seed; the paper's figure 12)"]
    if first.landmarks is not None:
        parts += ["circles: true landmarks, crosses: predicted", "faces from best to worst NME, evenly picked"]
    else:
        parts += ["test faces, evenly picked"]
    if first.gender_logits is not None:
        parts += ["bold: a wrong gender"]
    return "; ".join(parts) + "."


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
    images = np.asarray(result.images[result.rows[chosen]])
    return face_figure(images, truth, predictions, str(tested.winner.architecture))
