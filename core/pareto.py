"""Two goals at once: which points no other beats in both, how much they cover, and which of them cover most.

Points are rows (x, y) of two costs, both to be minimised. One dominates another that it is nowhere worse than, and
somewhere better. N points.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.metrics import Floats, Integers
from core.names import GOALS

Point = tuple[float, float]


def goals_of(metrics: Mapping[str, Any]) -> Point:
    """Gender cross-entropy (nats) and NME (%) of an epoch.

    A goal that the model's task has not is 0: it is then the same in all models of its kind, and the other one decides.
    """
    values = (metrics.get(name) for name in GOALS)
    first, second = (0.0 if v is None else math.inf if math.isnan(v) else float(v) for v in values)
    return first, second


def goals_of_nothing(baseline: Mapping[str, float]) -> Point:
    """Both goals of knowing nothing; ``baseline`` as :func:`core.metrics.baseline_scores` gives it."""
    return goals_of({f"val_{name}": value for name, value in baseline.items()})


def front_rank(points_N2: Sequence[Point] | Floats) -> Integers:
    """The front of each point (N,): 1 if nothing dominates it, 2 if only points of the first front do, and so on.

    The fast non-dominated sorting of Deb et al. (2002), in N log N steps as two goals allow (Jensen, 2003): from left
    to right, a point belongs to the first front whose lowest point so far lies above it.
    """
    points = _as_points(points_N2)
    distinct, place = np.unique(points, axis=0, return_inverse=True)
    lowest: list[float] = []  # y of each front's last point; ascending
    ranks = np.zeros(len(distinct), dtype=np.int64)
    for index, y in enumerate(distinct[:, 1].tolist()):
        front = bisect_right(lowest, y)
        lowest[front : front + 1] = [y]
        ranks[index] = front + 1
    return np.asarray(ranks[place.reshape(-1)], dtype=np.int64)


def hypervolume(points_N2: Sequence[Point] | Floats, reference: Point) -> float:
    """The area that is dominated by some point and dominates ``reference`` (Zitzler and Thiele, 1998).

    With two goals it is a staircase: of each point of the front the step to the next one, times its height. Points that
    do not beat the reference in both goals add nothing.
    """
    points = _as_points(points_N2)
    points = points[(points < np.asarray(reference)).all(axis=1)]
    if not len(points):
        return 0.0
    front = np.unique(points[front_rank(points) == 1], axis=0)
    steps = np.diff(np.append(front[:, 0], reference[0]))
    return float(steps @ (reference[1] - front[:, 1]))


def spread_out(front_N2: Sequence[Point] | Floats, count: int, reference: Point) -> list[int]:
    """Up to ``count`` points of one front: the first, then always the one that adds most hypervolume to those chosen.

    Of several that add as much, or nothing, the earlier one. What a point adds is a rectangle: from it to the next
    chosen one (or the reference) on the right, and to the next one on the left above it. Greedy choice reaches at least
    1 - 1/e of what the best choice covers (Nemhauser et al., 1978; Guerreiro et al., 2016).
    """
    front = _as_points(front_N2)
    chosen: list[int] = []
    while len(chosen) < min(count, len(front)):
        stairs = np.unique(front[chosen], axis=0)  # to the right and down
        x = np.minimum(np.append(stairs[:, 0], np.inf), reference[0])
        y = np.minimum(np.append(np.inf, stairs[:, 1]), reference[1])
        right = np.searchsorted(stairs[:, 0], front[:, 0])
        gains = np.clip(x[right] - front[:, 0], 0, None) * np.clip(y[right] - front[:, 1], 0, None)
        gains[chosen] = -1.0
        chosen.append(int(gains.argmax()) if chosen else 0)
    return chosen


def dominated_by(point: Point, others_N2: Sequence[Point] | Floats) -> NDArray[np.bool_]:
    """Which of the others dominate a point (N,)."""
    others, own = _as_points(others_N2), np.asarray(point, dtype=np.float64)
    return np.asarray((others <= own).all(axis=1) & (others < own).any(axis=1))


def _as_points(points_N2: Sequence[Point] | Floats) -> Floats:
    return np.asarray(points_N2, dtype=np.float64).reshape(-1, 2)
