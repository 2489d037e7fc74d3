"""The curves of the paper's figure 11, its second one of faces, as exact points rather than on a grid. N faces."""

import numpy as np
from sklearn.metrics import roc_curve

from core.metrics import Floats, Integers
from core.names import MAN


def roc_points(margin_N: Floats, gender_N: Integers) -> tuple[Floats, Floats]:
    """False and true positive rates (equations 7, 8) of every threshold, from (0, 0) to (1, 1)."""
    false_rate, true_rate, _ = roc_curve(gender_N, margin_N, pos_label=MAN)
    return false_rate, true_rate


def ced_points(nme_N: Floats, limit_pct: float) -> tuple[Floats, Floats]:
    """The cumulative error distribution: thresholds from 0 to ``limit_pct``, and the share of faces with no more NME.

    The exact step function (constant to the right of each threshold), so its area over the limit is ``ced_auc``.
    """
    within = np.sort(nme_N[nme_N < limit_pct])
    share = np.append(np.arange(within.size + 1) / nme_N.size, (nme_N <= limit_pct).mean())
    return np.concatenate([[0.0], within, [limit_pct]]), share


def operating_area99(distance_pct_NL: Floats) -> float:
    """The area under the paper's operating curve, in [0, 0.99], as its table VI must have been computed.

    The curve is the share of landmarks (N, 5) within a threshold, integrated from 0 to 99 % and divided by 100.
    Without errors above 99 % that is 0.99 - NME / 100.
    """
    return float((99 - np.minimum(distance_pct_NL, 99)).mean() / 100)
