"""Two goals at once: which points no other beats in both, how crowded they stand, and how much they cover.

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


def crowding_distance(front_N2: Sequence[Point] | Floats) -> Floats:
    """How much room each point of one front has (N,): the width and height of the box between its two neighbours, as
    shares of the front's own (Deb et al., 2002). Infinite at the front's two ends; points that are the same share it.
    """
    points = _as_points(front_N2)
    distinct, place = np.unique(points, axis=0, return_inverse=True)
    room = np.full(len(distinct), np.inf)
    if len(distinct) > 2:
        width = np.abs(distinct[-1] - distinct[0])
        room[1:-1] = (np.abs(distinct[2:] - distinct[:-2]) / np.where(width > 0, width, 1)).sum(axis=1)
    return np.asarray(room[place.reshape(-1)], dtype=np.float64)


def better_count(points_N2: Sequence[Point] | Floats) -> Integers:
    """How many others stand before each point (N,): on an earlier front, or on its own with more room around them.

    The crowded comparison of NSGA-II (Deb et al., 2002). Points that stand equal do not stand before each other.
    """
    points = _as_points(points_N2)
    ranks = front_rank(points)
    room = np.zeros(len(points))
    for rank in np.unique(ranks):
        room[ranks == rank] = crowding_distance(points[ranks == rank])
    keys = list(zip(ranks.tolist(), (-room).tolist(), strict=True))
    ordered = sorted(keys)
    first: dict[tuple[int, float], int] = {}
    for position, key in enumerate(ordered):
        first.setdefault(key, position)
    return np.array([first[key] for key in keys], dtype=np.int64)


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


def spread_out(points_N2: Sequence[Point] | Floats, count: int, reference: Point) -> list[int]:
    """Up to ``count`` points: the first one, then always the one that adds most hypervolume to those chosen.

    Of several that add as much, or nothing, the earlier one. (Greedy choice is within 1 - 1/e of the best, since the
    hypervolume is submodular: Nemhauser et al., 1978.)
    """
    points = _as_points(points_N2)
    chosen: list[int] = []
    while len(chosen) < min(count, len(points)):
        left = [index for index in range(len(points)) if index not in chosen]
        chosen.append(max(left, key=lambda one: hypervolume(points[[*chosen, one]], reference)) if chosen else left[0])
    return chosen


def dominated_by(point: Point, others_N2: Sequence[Point] | Floats) -> NDArray[np.bool_]:
    """Which of the others dominate a point (N,)."""
    others, own = _as_points(others_N2), np.asarray(point, dtype=np.float64)
    return np.asarray((others <= own).all(axis=1) & (others < own).any(axis=1))


def _as_points(points_N2: Sequence[Point] | Floats) -> Floats:
    return np.asarray(points_N2, dtype=np.float64).reshape(-1, 2)
