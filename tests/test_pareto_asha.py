import math
from types import SimpleNamespace

import numpy as np
import pytest

from core.objective import Objective
from tune.asha import ResumableAsha
from tune.pareto_asha import FrontRungs, ParetoAsha

AIM = Objective("relative_error")
NOTHING = (math.log(2), 40.0)


def epoch(number, ce=None, nme=None):
    """Shares of what knowing nothing scores."""
    known = {"val_gender_ce": ce and ce * NOTHING[0], "val_nme_pct": nme and nme * NOTHING[1]}
    shares = [share for share in (ce, nme) if share is not None]
    return {"epoch": number, "relative_error": sum(shares) / len(shares), **{k: v for k, v in known.items() if v}}


def feed(asha, name, points, kind=""):
    config = {"parameters": {"architecture": kind} if kind else {}}
    trial = SimpleNamespace(trial_id=name, config=config, status="RUNNING")
    asha.on_trial_add(None, trial)
    return [asha.on_trial_result(None, trial, epoch(i, *point)) for i, point in enumerate(points, 1)]


def test_a_trial_that_is_best_in_one_goal_goes_on_and_a_dominated_one_is_stopped():
    seen = [(0.5, 0.5), (0.6, 0.5), (0.5, 0.7), (0.6, 0.7), (0.55, 0.65)]
    both, one = ParetoAsha(AIM, NOTHING, 9, 1, 3), ResumableAsha(AIM, 9, 1, 3)
    for index, point in enumerate(seen):
        feed(both, str(index), [point])
        feed(one, str(index), [point])
    assert feed(one, "end", [(0.95, 0.2)]) == ["STOP"]  # by relative error it is the third of six
    assert feed(both, "end", [(0.95, 0.2)]) == ["CONTINUE"]
    assert feed(both, "behind", [(0.58, 0.55)]) == ["STOP"]


def test_of_a_front_with_too_many_trials_the_compromise_comes_first_and_a_useless_end_last():
    ends = [(0.1, 1.2), (1.2, 0.1), (0.15, 1.1)]  # each worse than knowing nothing in a goal
    asha = ParetoAsha(AIM, NOTHING, 9, 1, 3)
    for index, point in enumerate(ends):
        feed(asha, str(index), [point])
    assert feed(asha, "compromise", [(0.5, 0.5)]) == ["CONTINUE"]
    assert feed(asha, "another end", [(1.1, 0.15)]) == ["STOP"]
    assert feed(asha, "an end that is of use", [(0.2, 0.9)]) == ["CONTINUE"]


@pytest.mark.parametrize("reduction", [2, 3])
def test_where_no_goal_is_given_up_for_the_other_one_in_so_many_goes_on(reduction):
    random, seen = np.random.default_rng(0), []
    asha = ParetoAsha(AIM, NOTHING, 9, 1, reduction)
    for index in range(60):
        value = float(random.random())
        seen.append(value)
        place = sorted(seen).index(value)
        expected = "CONTINUE" if place < math.ceil(len(seen) / reduction) else "STOP"
        assert feed(asha, str(index), [(value, value)]) == [expected]


def test_a_model_with_one_task_is_judged_by_its_one_goal_among_its_kind():
    asha = ParetoAsha(AIM, NOTHING, 9, 1, 3)
    feed(asha, "m", [(0.1, 0.1)], "multitask")
    assert feed(asha, "a", [(0.5, None)], "gender") == ["CONTINUE"]
    assert feed(asha, "b", [(0.6, None)], "gender") == ["STOP"]
    assert feed(asha, "c", [(0.4, None)], "gender") == ["CONTINUE"]
    assert feed(asha, "d", [(None, 0.7)], "landmarks") == ["CONTINUE"]
    assert feed(asha, "e", [(None, 0.8)], "landmarks") == ["STOP"]


def test_a_trial_stands_with_both_goals_of_its_epoch_with_the_least_relative_error():
    asha = ParetoAsha(AIM, NOTHING, 9, 2, 3)
    feed(asha, "a", [(0.5, 0.5), (0.9, 0.9)])
    [(_, point)] = asha.of_kind[""].seen[2].values()
    assert point == pytest.approx((0.5 * NOTHING[0], 0.5 * NOTHING[1]))
    # With the best of each goal it would be (0.3, 0.3), a model that it never was.
    assert feed(asha, "b", [(0.3, 0.8), (0.8, 0.3)])[-1] == "STOP"


def test_rungs_replayed_from_curves_decide_as_the_original_ones():
    random = np.random.default_rng(1)
    curves = [(kind, random.random((4, 2)) * 1.2) for kind in ("multitask", "attention") * 6]
    original = ParetoAsha(AIM, NOTHING, 8, 1, 2)
    for index, (kind, points) in enumerate(curves):
        feed(original, str(index), points, kind)
    past = [({"architecture": k}, [epoch(i, *p) for i, p in enumerate(points, 1)]) for k, points in curves]
    resumed = ParetoAsha(AIM, NOTHING, 8, 1, 2, past)
    assert resumed.rungs() == original.rungs()
    assert original.rungs()["attention"] == [(4, 6), (2, 6), (1, 6)]
    decisions = []
    for index in range(20):
        points = random.random((4, 2))
        decisions.append(feed(original, f"new{index}", points, "attention"))
        assert feed(resumed, f"new{index}", points, "attention") == decisions[-1]
    assert {decision for row in decisions for decision in row} == {"STOP", "CONTINUE"}


def test_a_failure_and_the_last_epoch_end_a_trial():
    asha = ParetoAsha(AIM, NOTHING, 3, 1, 3)
    trial = SimpleNamespace(trial_id="a", config={"parameters": {}}, status="RUNNING")
    asha.on_trial_add(None, trial)
    assert feed(asha, "b", [(0.1, 0.1)] * 3)[-1] == "STOP"
    assert asha.on_trial_result(None, trial, {"failure": "why", "done": True}) == "STOP"
    assert asha.rungs() == {"": [(1, 1)]}


@pytest.mark.parametrize(
    ("epochs", "grace", "reduction", "milestones"),
    [
        (10, 2, 3, [2, 6]),
        (50, 2, 3, [2, 6, 18]),
        (2, 2, 3, []),
        (8, 1, 2.5, [1, 3, 7]),
        (6, 2, 1 + 1e-12, [2, 3, 4, 5]),
    ],
)
def test_rungs_lie_reduction_times_as_far_each_and_an_epoch_apart_at_least(epochs, grace, reduction, milestones):
    assert list(FrontRungs(NOTHING, epochs, grace, reduction).seen) == milestones
