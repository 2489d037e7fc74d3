import numpy as np
import pytest
from scipy import stats

from tune.head_start import LEADER, OF_PRIOR
from tune.judge import LEAST, Judge, Seen, better


def seen(number, costs, origin=None, kind="gender"):
    return Seen(number, kind, costs, origin)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([0.3], [0.5], 1),
        ([0.5], [0.3], 0),
        ([0.5], [0.5], 0.5),
        ([0.6, 0.5], [0.7, 0.2, 0.1], 0),
        ([0.6, 0.5], [0.7, 0.55, 0.1], 1),  # what came after as many epochs is another matter
        ([], [9.0], 0),
        ([9.0], [], 1),
        ([], [], 0.5),
    ],
)
def test_trials_are_compared_after_as_many_epochs_and_failures_are_worst(one, other, expected):
    assert better(seen(0, one), seen(1, other)) == expected


def test_wins_are_the_mann_whitney_statistic_summed_over_kinds():
    random, judge, costs = np.random.default_rng(0), Judge(), {}
    for number in range(60):
        kind, origin = str(random.integers(3)), OF_PRIOR if random.random() < 0.4 else None
        cost = round(float(random.random()), 1)  # with ties
        costs.setdefault((kind, origin), []).append(cost)
        judge.hear(seen(number, [cost], origin, kind))
    sides = [(costs[kind, OF_PRIOR], costs[kind, None]) for kind in "012"]
    assert judge.wins == sum(stats.mannwhitneyu(others, own).statistic for own, others in sides)
    assert judge.pairs == sum(len(own) * len(others) for own, others in sides)


def fed(prior_cost, other_cost, count=20):
    judge = Judge()
    for number in range(count):
        own = number % 2 == 0
        judge.hear(seen(number, [prior_cost if own else other_cost], OF_PRIOR if own else None))
    return judge


def test_a_prior_no_better_than_the_rest_is_forgotten_as_soon_as_there_is_enough_to_tell():
    assert fed(0.5, 0.5).forgotten == 2 * LEAST - 1
    assert fed(0.6, 0.5).forgotten == 2 * LEAST - 1
    assert fed(0.4, 0.5).forgotten is None


def test_what_is_forgotten_stays_so_though_its_trials_turn_out_well():
    judge = fed(0.6, 0.5)
    for number in range(20, 60):
        judge.hear(seen(number, [0.1], OF_PRIOR))
    assert judge.wins > judge.pairs / 2
    assert judge.forgotten == 2 * LEAST - 1


def test_an_easier_kind_of_model_and_earlier_leaders_prove_nothing():
    judge = Judge()
    for number in range(20):
        own = number % 2 == 0
        judge.hear(seen(number, [0.1 if own else 0.9], OF_PRIOR if own else None, "gender" if own else "attention"))
        judge.hear(seen(number, [0.0], LEADER))
    assert (judge.pairs, judge.forgotten) == (0, None)
    assert judge.told() == "the prior could not be judged: 10 trials were drawn around it and 10 were not"


def test_few_comparisons_within_a_kind_forget_nothing():
    judge = Judge()
    for number, kind in enumerate("abcd"):
        judge.hear(seen(number, [0.9], OF_PRIOR, kind))
    for number, kind in enumerate("awxy", 4):
        judge.hear(seen(number, [0.1], None, kind))
    assert (judge.wins, judge.pairs, judge.forgotten) == (0, 1, None)


def test_the_sentence_tells_the_comparisons_by_which_it_was_judged():
    judge = Judge()
    for number, cost in enumerate((0.2, 0.4, 0.6)):
        judge.hear(seen(number, [cost]))
    for number, cost in enumerate((0.1, 0.3, 0.5, 0.7), 3):
        judge.hear(seen(number, [cost], OF_PRIOR))
    assert judge.told() == "the prior could not be judged: 4 trials were drawn around it and 3 were not"
    judge.hear(seen(7, [0.8]))
    assert judge.told() == "the prior held: its trials won 10 of 16 comparisons with others of their kind"
    for number in (8, 9):
        judge.hear(seen(number, [0.05]))
    assert judge.forgotten == 8
    assert judge.told().endswith(
        "forgotten after trial 8: its trials won 10 of 20 comparisons with others of their kind"
    )
