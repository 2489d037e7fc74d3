"""How far scores would move with other test faces: 95 % percentile intervals from resampled faces (Efron, 1979).

Faces of one person are alike: a model that errs on one errs on the others. So it is persons that are drawn, each with
all of their faces (the cluster bootstrap; Davison and Hinkley, 1997, section 3.8); twenty pictures of somebody are not
taken for twenty people, which would make intervals too narrow.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from core.metrics import FaceErrors, Floats, Integers, Predictions, Truth, auc, face_errors, relative_error, summary
from core.names import MAN, RELATIVE_ERROR, WOMAN

FEW_PEOPLE = 30
"""With fewer, percentiles of resamples are clearly too narrow: of 6 people, intervals of 95 % hold in some 81 %."""
INTERVAL = (2.5, 97.5)  # percentiles of the resamples

Estimate = tuple[float, float, float]
"""A value and the two ends of its 95 % interval."""

Drawing = Callable[[np.random.Generator], Integers]
"""Indices of faces as another sample of people might have brought them, repeats among them."""


def bootstrap_scores(
    runs: Sequence[Predictions],
    truth: Truth,
    *,
    resamples: int = 2000,
    seed: int,
    mean_face_nme_pct: float | None = None,
) -> dict[str, Estimate]:
    """Every score of a model as mean over ``runs`` (one per training seed) with its interval over faces.

    A resample draws as many women and as many men as there are, with replacement, so that AUC is always defined
    (:func:`drawing_faces`); all runs are scored on the same resample and averaged. The interval is thus about the
    choice of faces, for the mean of these runs; the spread over runs is reported apart. With ``mean_face_nme_pct`` (the
    training mean face on ``truth``) ``relative_error`` is among the scores, its denominator held fixed.
    """
    rng = np.random.default_rng(seed)
    errors = [face_errors(run, truth) for run in runs]
    point = _mean_scores(errors, mean_face_nme_pct)
    drawing = drawing_faces(truth.gender, truth.person)
    drawn = np.empty((resamples, len(point)))
    for row in drawn:
        faces = drawing(rng)
        row[:] = list(_mean_scores([run.draw(faces) for run in errors], mean_face_nme_pct).values())
    low, high = np.percentile(drawn, INTERVAL, axis=0).tolist()
    return {metric: (value, low[i], high[i]) for i, (metric, value) in enumerate(point.items())}


def paired_difference(
    a_N: Floats, b_N: Floats, *, resamples: int = 2000, seed: int, person_N: Integers | None = None
) -> Estimate:
    """Mean of a - b over faces with its interval, both measured on the same faces (say, two models' NME per face).

    An interval above 0 says that a is larger on faces like these, beyond the luck of which faces were drawn.
    """
    assert a_N.shape == b_N.shape, (a_N.shape, b_N.shape)
    rng = np.random.default_rng(seed)
    difference_N = a_N - b_N
    drawing = drawing_faces(np.zeros(difference_N.size, np.int64), person_N)
    means = [difference_N[drawing(rng)].mean() for _ in range(resamples)]
    low, high = np.percentile(means, INTERVAL).tolist()
    return float(difference_N.mean()), low, high


def twofold_difference(
    a_KN: Floats,
    b_KN: Floats,
    *,
    resamples: int = 2000,
    seed: int,
    level: float = 0.95,
    person_N: Integers | None = None,
) -> Estimate:
    """Mean of a - b over K training seeds and N faces, with an interval that covers the choice of both.

    Row k of both is the same seed. Faces are drawn anew, with replacement, and on them the mean over seeds as other
    seeds might have given it (:func:`as_other_seeds`): to draw among few seeds anew gives an interval that is too
    narrow, with three of them one that misses the truth in 1 case of 6. With one seed it is about the faces alone.
    """
    assert a_KN.shape == b_KN.shape, (a_KN.shape, b_KN.shape)
    rng = np.random.default_rng(seed)
    difference_KN = a_KN - b_KN
    drawing = drawing_faces(np.zeros(difference_KN.shape[1], np.int64), person_N)
    drawn = np.empty(resamples)
    for i in range(resamples):
        drawn[i] = as_other_seeds(difference_KN[:, drawing(rng)].mean(axis=1), rng)
    low, high = np.percentile(drawn, _ends(level)).tolist()
    return float(difference_KN.mean()), low, high


def twofold_auc_difference(
    a_KN: Floats,
    b_KN: Floats,
    gender_N: Integers,
    *,
    resamples: int = 2000,
    seed: int,
    person_N: Integers | None = None,
) -> Estimate:
    """As :func:`twofold_difference`, of the areas under the ROC curves of margins; as many women and men are drawn."""
    rng = np.random.default_rng(seed)

    def gains(faces: Integers) -> Floats:
        pairs = zip(a_KN[:, faces], b_KN[:, faces], strict=True)
        return np.array([auc(a, gender_N[faces]) - auc(b, gender_N[faces]) for a, b in pairs])

    drawing = drawing_faces(gender_N, person_N)
    drawn = np.empty(resamples)
    for i in range(resamples):
        drawn[i] = as_other_seeds(gains(drawing(rng)), rng)
    low, high = np.percentile(drawn, _ends(0.95)).tolist()
    return float(gains(np.arange(len(gender_N))).mean()), low, high


def as_other_seeds(values_K: Floats, rng: np.random.Generator) -> float:
    """The mean over K seeds that others might have given: Student's t with K - 1 degrees of freedom around theirs."""
    mean = float(values_K.mean())
    return mean + float((values_K - mean) @ seed_weights(len(values_K), rng))


def seed_weights(count: int, rng: np.random.Generator) -> Floats:
    """Weights (K,) of the deviations of K normal values from their mean, whose sum is an error that the mean may have.

    That sum has the t distribution with K - 1 degrees of freedom, times the mean's standard error. One value tells of
    no error: 0.
    """
    scale = 0.0 if count == 1 else 1 / math.sqrt(count * rng.chisquare(count - 1))
    weights: Floats = rng.normal(size=count) * scale
    return weights


def _ends(level: float) -> tuple[float, float]:
    return 50 * (1 - level), 50 * (1 + level)


def drawing_faces(group_N: Integers, person_N: Integers | None = None) -> Drawing:
    """How faces are drawn: of each group as many persons as it has, with replacement, each with all of their faces.

    Args:
        group_N: of whom as many are drawn as there are, women and men, so that AUC is always defined.
        person_N: whose face each is; None: each is another person's.
    """
    groups = [_faces_by_person(np.flatnonzero(group_N == group), person_N) for group in np.unique(group_N)]

    def drawing(rng: np.random.Generator) -> Integers:
        drawn = [(faces, starts, rng.integers(len(starts) - 1, size=len(starts) - 1)) for faces, starts in groups]
        return np.concatenate([_all_of(faces, starts, persons) for faces, starts, persons in drawn])

    return drawing


def _faces_by_person(faces: Integers, person_N: Integers | None) -> tuple[Integers, Integers]:
    """Faces, those of a person in a row; and where each person's begin, with the end of the last."""
    if person_N is None:
        return faces, np.arange(faces.size + 1)
    _, first, who = np.unique(person_N[faces], return_index=True, return_inverse=True)
    who = np.argsort(np.argsort(first))[who]  # persons in the order of their first faces: one face each stays as it is
    return faces[np.argsort(who, kind="stable")], np.concatenate([[0], np.cumsum(np.bincount(who))])


def _all_of(faces: Integers, starts: Integers, persons: Integers) -> Integers:
    """All faces of these persons, one person after another."""
    counts = starts[persons + 1] - starts[persons]
    before = np.cumsum(counts) - counts  # faces of the persons before
    found: Integers = faces[np.arange(counts.sum()) + np.repeat(starts[persons] - before, counts)]
    return found


def _mean_scores(runs: Sequence[FaceErrors], mean_face_nme_pct: float | None) -> dict[str, float]:
    scores = [summary(run) for run in runs]
    if mean_face_nme_pct is not None:
        scores = [one | {RELATIVE_ERROR: relative_error(one, mean_face_nme_pct)} for one in scores]
    return {metric: sum(one[metric] for one in scores) / len(scores) for metric in scores[0]}


def too_few(truth: Truth, with_gender: bool) -> str:
    """Of how few people faces are, and from how many on intervals can be believed; empty if there are enough.

    Args:
        with_gender: there are scores of gender. Women and men are drawn apart, so that there must be enough of either.
    """
    least_of_each = FEW_PEOPLE // 2
    short = [f"{truth.people} people"] if truth.people < FEW_PEOPLE else []
    if with_gender:
        person = np.arange(len(truth.gender)) if truth.person is None else truth.person
        each = {
            word: len(np.unique(person[truth.gender == gender])) for word, gender in (("women", WOMAN), ("men", MAN))
        }
        short += [f"{count} {word}" for word, count in each.items() if count < least_of_each]
    rule = f"intervals from fewer than {FEW_PEOPLE} people, or {least_of_each} of a gender, are too narrow"
    return f"only {', '.join(short)} among the test faces; {rule}" if short else ""
