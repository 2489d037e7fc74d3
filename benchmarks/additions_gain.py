"""How much lower errors are with something than without, seen with a few seeds on folds."""

import math

import numpy as np

from core.bootstrap import INTERVAL, Estimate
from core.metrics import Floats, Integers

RESAMPLES = 2000


def gain_over_folds(theirs_KN: Floats, ours_KN: Floats, fold_N: Integers, seed: int) -> Estimate:
    """Mean of theirs - ours over K training seeds and N faces, with a 95 % interval over both.

    Row k of both is the same seed, but each fold of the faces has a training of its own, whose chance is taken to be
    independent of the other folds' (one epoch is chosen for all of a seed's, so that it is not quite; the interval is
    then too narrow): so F folds tell of a training's chance with F (K - 1) degrees of freedom, where
    :func:`core.bootstrap.twofold_difference`, for which the K rows are all there is, has K - 1. Faces are drawn anew,
    with replacement, and on them the mean that other seeds might have given. With one seed it is about the faces alone.
    """
    assert theirs_KN.shape == ours_KN.shape == (len(ours_KN), len(fold_N)), (theirs_KN.shape, ours_KN.shape, fold_N)
    difference_KN, rng = theirs_KN - ours_KN, np.random.default_rng(seed)
    seeds, faces = difference_KN.shape
    folds = [np.flatnonzero(fold_N == fold) for fold in np.unique(fold_N)]
    shares = np.array([len(fold) / faces for fold in folds])
    freedom = len(folds) * (seeds - 1)
    drawn = np.empty(RESAMPLES)
    for i in range(RESAMPLES):
        means_FK = np.stack([difference_KN[:, rng.choice(fold, len(fold))].mean(axis=1) for fold in folds])
        apart = ((means_FK - means_FK.mean(axis=1, keepdims=True)) ** 2).sum()
        other = math.sqrt(apart * (shares**2).sum() / (seeds * rng.chisquare(freedom))) if freedom else 0.0
        drawn[i] = shares @ means_FK.mean(axis=1) + other * rng.normal()
    low, high = np.percentile(drawn, INTERVAL).tolist()
    return float(difference_KN.mean()), low, high
