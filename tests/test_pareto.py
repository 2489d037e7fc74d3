import math
from itertools import combinations

import numpy as np
import pytest

from core.pareto import dominated_by, front_rank, goals_of, hypervolume, spread_out


def peeled(points):
    """Fronts by their definition: take away what nothing dominates, again and again."""
    ranks, left, rank = {}, set(range(len(points))), 0
    while left:
        rank += 1
        front = {
            i for i in left
            if not any(all(points[j] <= points[i]) and any(points[j] < points[i]) for j in left)
        }  # fmt: skip
        ranks |= dict.fromkeys(front, rank)
        left -= front
    return [ranks[i] for i in range(len(points))]


@pytest.mark.parametrize("seed", range(20))
def test_fronts_are_those_that_peeling_by_definition_gives_ties_and_copies_included(seed):
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 6, size=(30, 2)).astype(float)  # many ties in one goal, and equal points
    for points in (coarse, random.random((30, 2))):
        assert front_rank(points).tolist() == peeled(points)


def test_no_points_have_no_fronts():
    assert front_rank([]).tolist() == []
    assert hypervolume([], (1, 1)) == 0
    assert spread_out([], 3, (1, 1)) == []


def test_where_one_goal_is_missing_the_front_of_a_point_is_its_rank_by_the_other():
    assert front_rank([(0.3, 0), (0.1, 0), (0.2, 0), (0.1, 0)]).tolist() == [3, 1, 2, 1]


@pytest.mark.parametrize("seed", range(5))
def test_hypervolume_is_the_share_of_random_points_that_something_dominates(seed):
    random = np.random.default_rng(seed)
    points = random.random((12, 2)) * 1.3
    probes = random.random((40_000, 2))
    covered = (points[None] <= probes[:, None]).all(axis=2).any(axis=1).mean()
    assert hypervolume(points, (1, 1)) == pytest.approx(covered, abs=0.012)  # five standard errors


@pytest.mark.parametrize("seed", range(5))
def test_hypervolume_is_what_inclusion_and_exclusion_of_the_boxes_give(seed):
    points = np.random.default_rng(seed).random((7, 2)) * [1, 30]
    reference = (0.8, 25.0)
    total = 0.0
    for size in range(1, 8):
        for group in combinations(points, size):
            sides = np.asarray(reference) - np.max(group, axis=0)
            total += (-1) ** (size + 1) * float(np.prod(np.clip(sides, 0, None)))
    assert hypervolume(points, reference) == pytest.approx(total)


def test_a_point_no_better_than_the_reference_in_one_goal_adds_nothing():
    assert hypervolume([(0.5, 0.5)], (1, 1)) == 0.25
    assert hypervolume([(0.5, 0.5), (0.0, 1.0), (2.0, 0.0)], (1, 1)) == 0.25


@pytest.mark.parametrize("seed", range(10))
def test_what_is_spread_out_adds_most_hypervolume_at_each_step(seed):
    random = np.random.default_rng(seed)
    points = random.random((40, 2)) * 1.2
    front = random.permutation(points[front_rank(points) == 1])
    chosen = spread_out(front, 5, (1, 1))
    assert chosen[0] == 0
    for size in range(1, len(chosen)):
        reached = [hypervolume(front[[*chosen[:size], i]], (1, 1)) for i in range(len(front))]
        assert hypervolume(front[chosen[: size + 1]], (1, 1)) == pytest.approx(max(reached))


def test_what_adds_nothing_is_taken_last_and_in_the_order_given():
    # the compromise; copies of it; a far end; one that is useless in a goal
    front = [(0.4, 0.4), (0.4, 0.4), (0.9, 0.1), (0.0, 1.5), (0.4, 0.4)]
    assert spread_out(front, 2, (1, 1)) == [0, 2]
    assert spread_out(front, 9, (1, 1)) == [0, 2, 1, 3, 4]
    assert spread_out([(3, 5), (2, 6), (4, 4)], 3, (1, 1)) == [0, 1, 2]


def test_domination_needs_no_worse_in_both_and_better_in_one():
    others = [(1, 1), (1, 2), (2, 1), (0, 3), (0, 0)]
    assert dominated_by((1, 1), others).tolist() == [False, False, False, False, True]
    assert dominated_by((1, 2), others).tolist() == [True, False, False, False, True]


def test_goals_are_cross_entropy_and_nme_and_a_missing_one_is_the_same_for_all():
    assert goals_of({"val_gender_ce": 0.25, "val_nme_pct": 7.5, "relative_error": 0.4}) == (0.25, 7.5)
    assert goals_of({"val_gender_ce": 0.25}) == (0.25, 0)
    assert goals_of({"val_gender_ce": None, "val_nme_pct": math.nan}) == (0, math.inf)
