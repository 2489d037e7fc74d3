"""Which of several models is the best, and how sure that is: trainings and validation faces as they might have been."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from core.bootstrap import drawing_faces, seed_weights
from core.metrics import FaceErrors, Floats, Integers, cross_entropy, relative_error, summary
from core.names import RELATIVE_ERROR
from core.objective import Objective
from core.pareto import front_rank

RESAMPLES = 1000
SURE = 0.95

Cost = Callable[[FaceErrors], Callable[[Integers], float]]
"""From the errors of one training to what is minimised, for any choice of its faces."""
Report = Callable[[int, int], None]
"""Hears how many of how many resamples are done."""


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


def chances_over_seeds(
    models: Sequence[Sequence[FaceErrors]],
    cost: Cost,
    seed: int,
    resamples: int = RESAMPLES,
    report: Report | None = None,
) -> list[float]:
    """For each model the share of resamples in which its mean cost over seeds is the lowest; they add up to 1.

    A resample draws as many women and as many men as there are, each with all of their faces, the same for all models;
    and what another choice of seeds might have given (:func:`might_be`). With one seed a chance is about faces alone.

    Args:
        models: of each model the errors of every training, all on the same faces.
    """
    random = np.random.default_rng(seed)
    drawing = drawing_faces(models[0][0].gender, models[0][0].person)
    costs_of = [[cost(errors) for errors in runs] for runs in models]

    means = []
    for done in range(resamples):
        faces = drawing(random)
        means.append(might_be([np.array([cost_of(faces) for cost_of in runs]) for runs in costs_of], random))
        if report is not None:
            report(done + 1, resamples)
    return _shares(np.array(means))


def front_chances_over_seeds(
    models: Sequence[Sequence[FaceErrors]],
    costs: Sequence[Cost],
    seed: int,
    resamples: int = RESAMPLES,
    report: Report | None = None,
) -> list[float]:
    """For each model the share of resamples in which no other is at least as good in both goals and better in one.

    Resamples are those of :func:`chances_over_seeds`: one choice of faces and of seeds for both goals, so that what is
    lucky in both stays so. These chances do not add up to 1: all of them may be 1.

    Args:
        costs: of the two goals.
    """
    random = np.random.default_rng(seed)
    drawing = drawing_faces(models[0][0].gender, models[0][0].person)
    costs_of = [[[cost(errors) for errors in runs] for runs in models] for cost in costs]
    on_front = np.zeros(len(models))
    for done in range(resamples):
        faces = drawing(random)
        drawn = [np.array([cost_of(faces) for cost_of in runs]) for goal in costs_of for runs in goal]
        points = np.reshape(might_be(drawn, random), (2, len(models))).T
        on_front += front_rank(points) == 1
        if report is not None:
            report(done + 1, resamples)
    return [float(share) for share in on_front / resamples]


def chances_over_folds(
    models: Sequence[Sequence[FaceErrors]], costs: Sequence[Cost], seed: int, resamples: int = RESAMPLES
) -> list[float]:
    """The same of cross-validated models: what other folds might have given.

    A fold's mean over rounds is one observation, in which the luck of its faces and that of its trainings are one, so
    faces are not drawn as well. Folds share faces to train on, so they are a little more alike than is assumed.

    Args:
        models: of each model the errors of every fold in the first round, then in the second, and so on; all models
            have as many rounds.
        costs: of each fold.
    """
    by_fold = []
    for runs in models:
        found = [costs[t % len(costs)](errors)(np.arange(len(errors.gender))) for t, errors in enumerate(runs)]
        by_fold.append(np.reshape(found, (-1, len(costs))).mean(axis=0))
    return chances_of(by_fold, seed, resamples)


def chances_of(costs: Sequence[Floats], seed: int, resamples: int = RESAMPLES) -> list[float]:
    """The same of models of which independent costs are known, (n,) of each, as many of all."""
    random = np.random.default_rng(seed)
    costs_MN = np.stack(costs)
    weights_RN = np.stack([seed_weights(costs_MN.shape[1], random) for _ in range(resamples)])
    means_M1 = costs_MN.mean(axis=1, keepdims=True)
    return _shares((means_M1 + (costs_MN - means_M1) @ weights_RN.T).T)


def in_the_race(chances: Sequence[float]) -> list[bool]:
    """Of each model whether it stays: those with the least chances drop out while these add up to less than 5 %."""
    stays, total = [True] * len(chances), 0.0
    for index in sorted(range(len(chances)), key=lambda index: chances[index]):
        total += chances[index]
        stays[index] = total > 1 - SURE
    return stays


def might_be(costs: Sequence[Floats], random: np.random.Generator) -> list[float]:
    """Of each model a mean cost that other trainings might have given, from those that it had (n,).

    Drawn from the t distribution that a mean of n normal values has around theirs; multivariate, from one draw for all
    models that have as many, so that what is hard for all of them (a fold, say) does not look like a difference. With
    one training it is what it was.
    """
    draws = {n: seed_weights(n, random) for n in sorted({len(values) for values in costs})}
    return [float(values.mean() + (values - values.mean()) @ draws[len(values)]) for values in costs]


def _shares(means_RM: Floats) -> list[float]:
    """In what share of resamples each model is the best; models that tie share the resample."""
    best_RM = means_RM == means_RM.min(axis=1, keepdims=True)
    return [float(share) for share in (best_RM / best_RM.sum(axis=1, keepdims=True)).mean(axis=0)]
