"""How much of what sets results apart goes with each of several inputs: alone, and in pairs with the others.

Shares of variance as in Sobol (1993) and fANOVA (Hutter, Hoos and Leyton-Brown, 2014), estimated from given data
without a model that must first fit it: shares of a forest add up to 1 also where there is nothing but noise, while
these are 0 there on average, and each comes with an interval and with the chance that noise would look like it.

Shapes: N results, D columns of one input, M columns of all others, B resamples.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from core.bootstrap import INTERVAL, Estimate
from core.metrics import Floats, Integers

RESAMPLES = 400
PERMUTATIONS = 999
CHUNK = 2**22  # numbers: what permutations and resamples take at once
PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
RIDGE = 1e-9
RANK = 1e-8  # of the largest singular value: columns below repeat others


@dataclass(frozen=True)
class Share:
    """What goes with one input. Estimates lie in [0, 1]: a share of the variance with its 95 % interval."""

    alone: Estimate
    """Of the input by itself."""
    total: Estimate
    """Of the input by itself and in pairs with each other one."""
    chance: float
    """The probability that an input without any effect would look like this."""


def numeric_columns(values_N: Floats) -> Floats:
    """A rise and a valley over a number, on the scale on which it is drawn: (N, D) of mean 0 and variance 1.

    Two columns are what few results can bear. What a number does beyond a parabola is left to chance.
    """
    centred_N = values_N - values_N.mean()
    return _orthonormal(np.column_stack([centred_N, centred_N**2]))


def choice_columns(values: Sequence[object]) -> Floats:
    """One level for each value that occurs: (N, D), one column fewer than values."""
    kinds = sorted(set(values), key=str)
    return _orthonormal(np.array([[value == kind for kind in kinds] for value in values], dtype=float))


def _orthonormal(columns_ND: Floats) -> Floats:
    left, size, _ = np.linalg.svd(columns_ND - columns_ND.mean(axis=0), full_matrices=False)
    found: Floats = left[:, size > RANK * max(size.max(initial=0), RANK)] * math.sqrt(len(columns_ND))
    return found


def shares(inputs: Mapping[str, Floats], results_N: Floats, judged: Sequence[str], seed: int) -> dict[str, Share]:
    """The share of each of ``judged`` among ``inputs``.

    *Alone* is the adjusted R² of its columns on what the others leave unexplained, over the variance of the results.
    *In pairs* adds the squared covariances of products of columns, without the terms of one result with itself, whose
    mean is 0 where there is no interplay; interplay of three and more is left to chance. The chance that it is none
    comes from permuting the input against the rest (exact if inputs are drawn independently, as in random search),
    with the better of both signs. Intervals are percentiles of resampled results, widened for few by Student's t; with
    24 results they hold a share of one half in 92 % of cases, and with 60 in 94 %.

    Args:
        inputs: columns (N, D) of each, as :func:`numeric_columns` and :func:`choice_columns` make them; N > D + 2.
        results_N: that differ.
    """
    random = np.random.default_rng(seed)
    count = len(results_N)
    weights_BN = random.multinomial(count, np.full(count, 1 / count), size=RESAMPLES).astype(float)
    residual_N = unexplained(results_N, np.hstack(list(inputs.values())))
    found = {}
    for name in judged:
        others = [columns for other, columns in inputs.items() if other != name]
        others_NM = np.hstack([*others, np.empty((count, 0))])
        left_N = unexplained(results_N, others_NM)
        chance = _chance(left_N, inputs[name], others_NM, random)
        found[name] = _share(inputs[name], others_NM, (results_N, left_N, residual_N), weights_BN, chance)
    return found


def unexplained(results_N: Floats, columns_NM: Floats) -> Floats:
    """Results minus what ridge regression on the other results predicts of each from its columns.

    The penalty is the best of some by the same leave-one-out errors (PRESS; Allen, 1974), no regression among them,
    so that columns which explain nothing take nothing away.
    """
    count = len(results_N)
    centred_N: Floats = results_N - results_N.mean()
    best_N = centred_N
    left, size, _ = np.linalg.svd(columns_NM, full_matrices=False)
    for penalty in PENALTIES:
        kept = size**2 / (size**2 + penalty * count)
        leverage_N = left**2 @ kept + 1 / count
        errors_N = (centred_N - left @ (kept * (left.T @ centred_N))) / (1 - leverage_N) * (1 - 1 / count)
        if errors_N @ errors_N < best_N @ best_N:
            best_N = errors_N
    return best_N


def _share(
    own_ND: Floats, others_NM: Floats, results: tuple[Floats, Floats, Floats], weights_BN: Floats, chance: float
) -> Share:
    """``results``: as they are, without what the others explain, and without what all explain."""
    results_N, left_N, residual_N = results
    count, columns = own_ND.shape
    once_1N = np.ones((1, count))
    # A resample has the noise of its results once more, so it is taken off twice.
    alone_B = np.append(_explained(left_N, own_ND, once_1N, 1), _explained(left_N, own_ND, weights_BN, 2))
    pairs_B = [_squares(residual_N, own_ND, others_NM, weights)[:, 1] for weights in (once_1N, weights_BN)]
    weights_BN = np.vstack([once_1N, weights_BN])
    variance_B = weights_BN @ results_N**2 / count - (weights_BN @ results_N / count) ** 2
    widening = float(stats.t.ppf(0.975, count - 1 - columns) / stats.norm.ppf(0.975))
    widening *= math.sqrt((count - 1) / (count - 1 - columns))
    variance_B = np.maximum(variance_B, np.finfo(float).tiny)  # a resample may hold one result alone
    alone = _estimate(alone_B / variance_B, widening)
    value, low, high = _estimate((alone_B + np.concatenate(pairs_B)) / variance_B, widening)
    # What an input does in pairs is no less than nothing, though the estimate of it may be.
    return Share(alone, (max(alone[0], value), low, max(alone[2], high)), chance)


def _estimate(value_and_resamples: Floats, widening: float) -> Estimate:
    value = value_and_resamples[0]
    ends = value + widening * (np.percentile(value_and_resamples[1:], INTERVAL) - value)
    low, middle, high = np.clip([min(ends[0], value), value, max(ends[1], value)], 0, 1).tolist()
    return middle, low, high


def _explained(results_N: Floats, columns_ND: Floats, weights_BN: Floats, noise: int) -> Floats:
    """The variance that weighted regression explains, less that many times what it would explain of noise: (B,)."""
    count, columns = columns_ND.shape
    with_mean = np.column_stack([np.ones(count), columns_ND])
    square = np.einsum("bn,nk,nl->bkl", weights_BN, with_mean, with_mean, optimize=True)
    # A resample may lack a choice altogether: then its column is the mean's, and the smallest ridge solves it.
    square += RIDGE * count * np.eye(columns + 1)
    product_BK = (weights_BN * results_N) @ with_mean
    fitted_B = (product_BK * np.linalg.solve(square, product_BK[:, :, None])[:, :, 0]).sum(axis=1)
    error_B = np.maximum(weights_BN @ results_N**2 - fitted_B, 0)
    explained_B: Floats = fitted_B - (weights_BN @ results_N) ** 2 / count
    explained_B -= noise * columns * error_B / (count - columns - 1)
    explained_B /= count
    return explained_B


def _squares(results_N: Floats, own_ND: Floats, others_NM: Floats, weights_BN: Floats) -> Floats:
    """Squared covariances of results with an input's columns, and with their products with the others': (B, 2).

    Sums over pairs of different results (U-statistics; Hoeffding, 1948), which are unbiased.
    """
    count = len(results_N)
    weighted_BN = weights_BN * results_N
    products = (own_ND[:, :, None] * others_NM[:, None, :]).reshape(count, -1)
    own_N, others_N = (own_ND**2).sum(axis=1), (others_NM**2).sum(axis=1)
    same = (weighted_BN**2) @ np.column_stack([own_N, own_N * others_N])
    sums = [((weighted_BN @ columns) ** 2).sum(axis=1) for columns in (own_ND, products)]
    pairs_B = weights_BN.sum(axis=1) ** 2 - (weights_BN**2).sum(axis=1)
    squares: Floats = (np.column_stack(sums) - same) / pairs_B[:, None]
    return squares


def _chance(results_N: Floats, own_ND: Floats, others_NM: Floats, random: np.random.Generator) -> float:
    """How often the input permuted shows as much, alone or in pairs: whichever of the two is rarer."""
    count = len(results_N)
    found = [_squares(results_N, own_ND, others_NM, np.ones((1, count)))]
    with_mean = results_N[:, None] * np.column_stack([np.ones(count), others_NM])
    own_N, others_N = (own_ND**2).sum(axis=1), (others_NM**2).sum(axis=1)
    same = np.column_stack([results_N**2, results_N**2 * others_N])
    for order_BN in _orders(count, own_ND.shape[1], random):
        sums = np.einsum("bnd,nm->bdm", own_ND[order_BN], with_mean, optimize=True) ** 2
        both = np.column_stack([sums[:, :, 0].sum(axis=1), sums[:, :, 1:].sum(axis=(1, 2))])
        found.append((both - own_N[order_BN] @ same) / (count * (count - 1)))
    signs = np.vstack(found)
    rarity = stats.rankdata(-signs, method="max", axis=0).min(axis=1)
    return float((rarity <= rarity[0]).mean())


def _orders(count: int, columns: int, random: np.random.Generator) -> list[Integers]:
    """Permutations, as many at a time as memory may hold: (B, N) each."""
    most = max(1, CHUNK // (count * (columns + 1)))
    sizes = [min(most, PERMUTATIONS - start) for start in range(0, PERMUTATIONS, most)]
    return [random.permuted(np.tile(np.arange(count), (size, 1)), axis=1) for size in sizes]


def holm(chances: Sequence[float]) -> list[float]:
    """Chances of which the smallest is below 5 % in 5 % of cases at most, if none is real (Holm, 1979)."""
    adjusted, worst = [1.0] * len(chances), 0.0
    for rank, index in enumerate(np.argsort(chances, kind="stable")):
        worst = max(worst, min(1.0, (len(chances) - rank) * chances[index]))
        adjusted[index] = worst
    return adjusted
