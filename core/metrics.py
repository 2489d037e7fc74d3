"""Scores of whole predictions: one pass over all faces of a split, never a mean of batch means.

Landmarks are crop pixels. NME and failure rates are percent of the inter-ocular distance of the true face; the areas
``ced_auc*``, accuracy, precision, recall, F1 and AUC lie in [0, 1]; cross-entropy is in nats. The positive class is
man. Shapes: N faces, L=5 landmarks, X (x, y), C classes (woman, man).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.names import CROP, GENDER_METRICS, LANDMARK_METRICS, LEFT_EYE, MAN, RELATIVE_ERROR, RIGHT_EYE, WOMAN

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]

FAILURE_PCT = 10.0  # a landmark or a face fails beyond this error (equation 16, threshold 0.1)


@dataclass(frozen=True, eq=False)
class Truth:
    """What is known of N faces: gender (N,) as 0 woman or 1 man, landmarks (N, 5, 2) in crop pixels, and of whom each
    is, ``person`` (N,), any numbers; None if each is of another person.

    Raises:
        ValueError: no faces, or a face whose eyes coincide, so that no error can be put in proportion to it.
    """

    gender: Integers
    landmarks: Floats
    person: Integers | None = None

    def __post_init__(self) -> None:
        assert self.person is None or self.person.shape == self.gender.shape, self.person
        assert self.landmarks.shape == (len(self.gender), 5, 2), self.landmarks.shape
        if not len(self.gender):
            raise ValueError("the truth must have at least one face, got 0")
        blind = np.flatnonzero(inter_ocular_px(self.landmarks) == 0)
        if blind.size:
            raise ValueError(f"the two eyes of a face must be apart, face {blind[0]} has both at the same pixel")

    @property
    def people(self) -> int:
        """Whose faces these are: as many people as faces where it is not known."""
        return len(self.gender) if self.person is None else len(np.unique(self.person))


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model says of N faces: gender logits (N, 2) and landmarks (N, 5, 2) in pixels; None for no such task."""

    gender_logits: Floats | None = None
    landmarks: Floats | None = None


@dataclass(frozen=True, eq=False)
class FaceErrors:
    """What every score is made of, face by face, so that a bootstrap can draw faces without starting over.

    ``margin`` (N,) is the logit of man minus that of woman, ``l1`` (N,) the mean absolute error as a fraction of the
    crop's side, ``distance_pct`` (N, 5) how far each landmark is off in percent of the inter-ocular distance, and
    ``person`` that of :class:`Truth`.
    """

    gender: Integers
    margin: Floats | None
    l1: Floats | None
    distance_pct: Floats | None
    person: Integers | None = None

    def draw(self, faces: Integers) -> "FaceErrors":
        """The errors of the faces with these indices, repeats allowed."""
        parts = (self.margin, self.l1, self.distance_pct)
        margin, l1, distances = (None if part is None else part[faces] for part in parts)
        person = None if self.person is None else self.person[faces]
        return FaceErrors(self.gender[faces], margin, l1, distances, person)


def face_errors(predictions: Predictions, truth: Truth) -> FaceErrors:
    """The errors of each face, in float64 whatever the precision of the predictions."""
    margin = l1 = distances = None
    if predictions.gender_logits is not None:
        margin = gender_margin(predictions.gender_logits)
        assert margin.shape == truth.gender.shape, margin.shape
    if predictions.landmarks is not None:
        assert predictions.landmarks.shape == truth.landmarks.shape, predictions.landmarks.shape
        l1 = np.abs(predictions.landmarks.astype(np.float64) - truth.landmarks).mean(axis=(1, 2)) / CROP
        distances = distance_pct(predictions.landmarks, truth.landmarks)
    return FaceErrors(truth.gender, margin, l1, distances, truth.person)


def score(predictions: Predictions, truth: Truth) -> dict[str, float]:
    """``GENDER_METRICS`` and ``LANDMARK_METRICS`` of what was predicted; an absent task has no keys.

    A prediction that is not finite makes every score of its task NaN, also those that would hide it (NaN > 10 is
    false, so a diverged model would have no failures).
    """
    return summary(face_errors(predictions, truth))


def summary(errors: FaceErrors) -> dict[str, float]:
    """The scores of :func:`score` from per-face errors."""
    scores: dict[str, float] = {}
    if errors.margin is not None:
        scores |= _gender_scores(errors.margin, errors.gender)
    if errors.l1 is not None and errors.distance_pct is not None:
        scores |= _landmark_scores(errors.l1, errors.distance_pct)
    return scores


def _gender_scores(margin_N: Floats, gender_N: Integers) -> dict[str, float]:
    if not np.isfinite(margin_N).all():
        return dict.fromkeys(GENDER_METRICS, math.nan)
    (tn, fp), (fn, tp) = confusion(margin_N, gender_N).tolist()
    return {
        "gender_ce": float(cross_entropy(margin_N, gender_N).mean()),
        "gender_accuracy": (tp + tn) / len(gender_N),
        "gender_precision": tp / (tp + fp) if tp else 0.0,
        "gender_recall": tp / (tp + fn) if tp else 0.0,
        "gender_f1": 2 * tp / (2 * tp + fp + fn) if tp else 0.0,
        "gender_auc": auc(margin_N, gender_N),
    }


def cross_entropy(margin_N: Floats, gender_N: Integers) -> Floats:
    """Of each face (N,), in nats, without overflow for any margin."""
    nats_N: Floats = np.logaddexp(0, np.where(gender_N == MAN, -margin_N, margin_N))
    return nats_N


def auc(margin_N: Floats, gender_N: Integers) -> float:
    """Share of (woman, man) pairs in which the man has the larger margin, ties counting half; NaN without pairs."""
    women, men = np.sort(margin_N[gender_N == WOMAN]), margin_N[gender_N == MAN]
    if not women.size or not men.size:
        return math.nan
    below = np.searchsorted(women, men, "left").sum() + np.searchsorted(women, men, "right").sum()
    return float(below / (2 * women.size * men.size))


def _landmark_scores(l1_N: Floats, distance_pct_NL: Floats) -> dict[str, float]:
    if not np.isfinite(distance_pct_NL).all():
        return dict.fromkeys(LANDMARK_METRICS, math.nan)
    nme_N = distance_pct_NL.mean(axis=1)
    return {
        "landmark_l1": float(l1_N.mean()),
        "nme_pct": float(nme_N.mean()),
        "nme_std_pct": float(nme_N.std()),  # spread over these faces (ddof=0), not a standard error
        "fr10_pct": float(100 * (distance_pct_NL > FAILURE_PCT).mean()),
        "fr10_face_pct": float(100 * (nme_N > FAILURE_PCT).mean()),
        "ced_auc100": float(1 - np.minimum(nme_N, 100).mean() / 100),
        "ced_auc10": float(1 - np.minimum(nme_N, 10).mean() / 10),
    }


def inter_ocular_px(landmarks_NLX: Floats) -> Floats:
    """Distance between the two eyes of each face (N,), the d of equation 15."""
    return _length(landmarks_NLX[:, RIGHT_EYE].astype(np.float64) - landmarks_NLX[:, LEFT_EYE])


def distance_pct(predicted_NLX: Floats, true_NLX: Floats) -> Floats:
    """How far each landmark (N, 5) is off, in percent of the true face's inter-ocular distance (equation 15)."""
    return 100 * _length(predicted_NLX.astype(np.float64) - true_NLX) / inter_ocular_px(true_NLX)[:, None]


def nme_per_face_pct(predicted_NLX: Floats, true_NLX: Floats) -> Floats:
    """Normalised mean error of each face (N,) in percent: the mean of its five distances (equation 14)."""
    nme_pct_N: Floats = distance_pct(predicted_NLX, true_NLX).mean(axis=1)
    return nme_pct_N


def _length(vectors: Floats) -> Floats:
    lengths: Floats = np.sqrt(np.square(vectors).sum(axis=-1))
    return lengths


def gender_margin(logits_NC: Floats) -> Floats:
    """Logit of man minus logit of woman (N,): what orders faces for ROC and AUC; positive means man is predicted."""
    with np.errstate(invalid="ignore"):  # two infinite logits give NaN, which the scores then report
        return logits_NC[:, MAN].astype(np.float64) - logits_NC[:, WOMAN]


def man_probability(logits_NC: Floats) -> Floats:
    """Softmax's probability of man (N,), without overflow for any margin."""
    probabilities: Floats = np.exp(-np.logaddexp(0, -gender_margin(logits_NC)))
    return probabilities


def confusion(margin_N: Floats, gender_N: Integers) -> Integers:
    """Counts of faces (2, 2): row = true gender, column = predicted, woman first. A tie is a woman, as argmax says."""
    return np.bincount(2 * gender_N + (margin_N > 0), minlength=4).reshape(2, 2)


def relative_error(scores: Mapping[str, float], mean_face_nme_pct: float) -> float:
    """Each task's error over that of knowing nothing, mean over the tasks in ``scores``: 0 is perfect, 1 useless.

    Cross-entropy over ln 2, which knowing nothing scores where women and men are as many (with 9 women in 10 faces it
    scores 0.47 of that), and NME over that of the training mean face on the same split.
    """
    parts = []
    if "gender_ce" in scores:
        parts.append(scores["gender_ce"] / math.log(2))
    if "nme_pct" in scores:
        parts.append(scores["nme_pct"] / mean_face_nme_pct)
    return sum(parts) / len(parts)


def baseline_predictions(train: Truth, faces: int) -> Predictions:
    """What knowing nothing but the training faces predicts for each face: their mean face and their share of men.

    Equally many women and men are a tie, and so predict woman. Both must be among the training faces.
    """
    men = np.mean(train.gender == MAN)
    mean_face = train.landmarks.mean(axis=0, dtype=np.float64)
    return Predictions(np.tile(np.log([1 - men, men]), (faces, 1)), np.tile(mean_face, (faces, 1, 1)))


def baseline_scores(train: Truth, truth: Truth) -> dict[str, float]:
    """All scores of :func:`baseline_predictions` on ``truth``, and its ``relative_error``, which is about 1: less where
    one gender is as much more frequent in both, more where it is only in ``train``."""
    scores = score(baseline_predictions(train, len(truth.gender)), truth)
    return scores | {RELATIVE_ERROR: relative_error(scores, scores["nme_pct"])}
