"""Which of several models is the best, and how sure that is: seeds and validation faces drawn anew."""

from collections.abc import Callable, Sequence

import numpy as np

from core.bootstrap import resampled_faces, widened
from core.metrics import FaceErrors, relative_error, summary
from core.names import RELATIVE_ERROR
from core.retraining import Objective

RESAMPLES = 1000

Cost = Callable[[FaceErrors], float]
"""From the errors of some faces to what is minimised."""


def cost_by(objective: Objective, mean_face_nme_pct: float) -> Cost | None:
    """The objective of a model from its errors; None for ``val_loss``, whose unit is another for every model.

    Args:
        mean_face_nme_pct: of the training mean face on the same faces, which relative error is measured against.
    """
    if objective.name == "val_loss":
        return None

    def cost(errors: FaceErrors) -> float:
        scores = summary(errors)
        found = {f"val_{name}": value for name, value in scores.items()}
        return objective.cost({**found, RELATIVE_ERROR: relative_error(scores, mean_face_nme_pct)})

    return cost


def chances_of_best(
    models: Sequence[Sequence[FaceErrors]],
    cost: Cost,
    seed: int,
    resamples: int = RESAMPLES,
    report: Callable[[int, int], None] | None = None,
) -> list[float]:
    """For each model the share of resamples in which its mean cost over seeds is the lowest; they add up to 1.

    A resample draws as many women and as many men as there are, the same ones for all models, and of each model as
    many seeds as it has, their deviations widened as :func:`core.bootstrap.twofold_difference` does. Models that tie
    share the resample. With one seed a chance is about the faces alone.

    Args:
        models: of each model the errors of every seed on the same faces.
        report: hears how many of how many resamples are done.
    """
    random = np.random.default_rng(seed)
    gender = models[0][0].gender
    won = np.zeros(len(models))
    for done in range(resamples):
        faces = resampled_faces(gender, random)
        means = np.empty(len(models))
        for index, runs in enumerate(models):
            costs = widened(np.array([cost(run.draw(faces)) for run in runs]))
            means[index] = costs[random.integers(len(costs), size=len(costs))].mean()
        best = means == means.min()
        won += best / best.sum()
        if report is not None:
            report(done + 1, resamples)
    return [float(share) for share in won / resamples]
