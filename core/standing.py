"""Which of several models is the best, and how sure that is: trainings and validation faces drawn anew."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from core.bootstrap import resampled_faces, widened
from core.metrics import FaceErrors, Floats, Integers, cross_entropy, relative_error, summary
from core.names import RELATIVE_ERROR
from core.retraining import Objective

RESAMPLES = 1000

Cost = Callable[[FaceErrors], Callable[[Integers], float]]
"""From the errors of one training to what is minimised, for any choice of its faces."""


def cost_by(objective: Objective, mean_face_nme_pct: float) -> Cost | None:
    """The objective as a number to minimise; None for ``val_loss``, whose unit is another for every model.

    Args:
        mean_face_nme_pct: of the training mean face on the same faces, which relative error is measured against.
    """
    if objective.name == "val_loss":
        return None

    def cost(errors: FaceErrors) -> Callable[[Integers], float]:
        by_face = _cost_by_face(objective, errors, mean_face_nme_pct)
        if by_face is not None:
            return lambda faces: float(by_face[faces].mean())
        return lambda faces: whole_cost(objective, errors.draw(faces), mean_face_nme_pct)

    return cost


def whole_cost(objective: Objective, errors: FaceErrors, mean_face_nme_pct: float) -> float:
    """The objective of some faces, whatever it is."""
    scores = summary(errors)
    found = {f"val_{name}": value for name, value in scores.items()}
    return objective.cost({**found, RELATIVE_ERROR: relative_error(scores, mean_face_nme_pct)})


def _cost_by_face(objective: Objective, errors: FaceErrors, mean_face_nme_pct: float) -> Floats | None:
    """Of each face (N,), for objectives that are means over faces: many times quicker to draw from."""
    ce = None if errors.margin is None else cross_entropy(errors.margin, errors.gender)
    nme = None if errors.distance_pct is None else errors.distance_pct.mean(axis=1)
    if objective.name == RELATIVE_ERROR:
        parts = [ce / math.log(2)] if ce is not None else []
        parts += [nme / mean_face_nme_pct] if nme is not None else []
        mean: Floats = np.mean(parts, axis=0)
        return mean
    return {"val_gender_ce": ce, "val_nme_pct": nme, "val_landmark_l1": errors.l1}.get(objective.name)


def chances_of_best(
    models: Sequence[Sequence[FaceErrors]],
    cost: Cost,
    seed: int,
    resamples: int = RESAMPLES,
    folds: int = 1,
    report: Callable[[int, int], None] | None = None,
) -> list[float]:
    """For each model the share of resamples in which its mean cost over trainings is the lowest; they add up to 1.

    A resample draws as many women and as many men as there are, the same ones for all models; and as many trainings
    as there are, the same ones for all models that have as many, so that what is hard for all of them (a fold, say)
    does not look like a difference. Deviations between trainings are widened as
    :func:`core.bootstrap.twofold_difference` does. Models that tie share the resample. With one training a chance is
    about the faces alone.

    Args:
        models: of each model the errors of every training, which all are of the same faces; or, with several
            ``folds``, training t is of the faces of fold t modulo ``folds``.
        report: hears how many of how many resamples are done.
    """
    random = np.random.default_rng(seed)
    genders = [models[0][fold].gender for fold in range(folds)]
    costs_of = [[cost(errors) for errors in runs] for runs in models]
    won = np.zeros(len(models))
    for done in range(resamples):
        faces = [resampled_faces(gender, random) for gender in genders]
        drawn = {count: random.integers(count, size=count) for count in sorted({len(runs) for runs in models})}
        means = np.empty(len(models))
        for index, runs in enumerate(costs_of):
            costs = widened(np.array([cost_of(faces[t % folds]) for t, cost_of in enumerate(runs)]))
            means[index] = costs[drawn[len(runs)]].mean()
        best = means == means.min()
        won += best / best.sum()
        if report is not None:
            report(done + 1, resamples)
    return [float(share) for share in won / resamples]
