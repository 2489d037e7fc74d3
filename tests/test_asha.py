import math
from types import SimpleNamespace

import numpy as np
import pytest
from ray.tune.schedulers import AsyncHyperBandScheduler

from core.objective import Objective
from tune.asha import ResumableAsha, SortedBracket


def fake_trial(name, kind=""):
    config = {"parameters": {"architecture": kind} if kind else {}}
    return SimpleNamespace(trial_id=name, config=config, status="RUNNING")


def feed(asha, name, values, kind=""):
    trial = fake_trial(name, kind)
    asha.on_trial_add(None, trial)
    return [asha.on_trial_result(None, trial, {"epoch": i + 1, "relative_error": v}) for i, v in enumerate(values)]


def test_rungs_replayed_from_curves_decide_as_the_original_ones():
    objective = Objective("relative_error")
    curves = {f"t{i}": [1 - 0.1 * i, 0.9 - 0.1 * i] for i in range(5)}
    original = ResumableAsha(objective, 8, 1, 2)
    for name, values in curves.items():
        feed(original, name, values)
    past = [({}, [{"epoch": i + 1, "relative_error": v} for i, v in enumerate(values)]) for values in curves.values()]
    resumed = ResumableAsha(objective, 8, 1, 2, past)
    assert resumed.rungs() == original.rungs()
    assert sum(seen for _, seen in resumed.rungs()[""]) > 0
    for values in ([0.95], [0.55], [0.3]):
        assert feed(resumed, "new", values)[-1] == feed(original, "new", values)[-1]


def test_asha_judges_by_the_best_epoch_so_far():
    asha = ResumableAsha(Objective("relative_error"), 8, 2, 2)
    feed(asha, "a", [0.5, 0.5])
    assert feed(asha, "b", [0.1, 0.9])[-1] == "CONTINUE"
    assert feed(asha, "c", [0.9, 0.9])[-1] == "STOP"


def test_asha_maximises_what_is_better_when_higher():
    asha = ResumableAsha(Objective("val_gender_auc"), 8, 1, 2)
    results = []
    for name, value in (("a", 0.9), ("b", 0.5), ("c", 0.95)):
        trial = fake_trial(name)
        asha.on_trial_add(None, trial)
        results.append(asha.on_trial_result(None, trial, {"epoch": 1, "val_gender_auc": value}))
    assert results == ["CONTINUE", "STOP", "CONTINUE"]


@pytest.mark.parametrize("reduction", [1.5, 2, 3, 4])
def test_what_a_rung_asks_for_is_numpys_percentile_to_the_last_digit_however_many_came_at_once(reduction):
    random, bracket, recorded = np.random.default_rng(0), SortedBracket(1, 9, reduction, 0), {}
    assert bracket.cutoff(recorded) is None
    for number in range(300):
        recorded[f"t{number}"] = -math.inf if number == 40 else float(np.round(random.normal(), 1 + number % 9))
        if random.random() < 0.7:
            with np.errstate(invalid="ignore"):
                expected = np.nanpercentile(list(recorded.values()), (1 - 1 / reduction) * 100)
            np.testing.assert_equal(bracket.cutoff(recorded), expected)


def test_sorted_rungs_decide_as_rays():
    random = np.random.default_rng(1)
    ours = ResumableAsha(Objective("relative_error"), 9, 1, 2)
    rays = AsyncHyperBandScheduler("epoch", "best_cost", "min", 9, 1, 2)
    stopped = 0
    for number in range(60):
        trial, curve = fake_trial(f"t{number}"), np.minimum.accumulate(random.random(8))
        ours.on_trial_add(None, trial)
        rays.on_trial_add(None, trial)
        for epoch, value in enumerate(curve, 1):
            decided = ours.on_trial_result(None, trial, {"epoch": epoch, "relative_error": value})
            assert decided == rays.on_trial_result(None, trial, {"epoch": epoch, "best_cost": value})
            stopped += decided == "STOP"
            if decided == "STOP":
                break
    assert 20 < stopped < 60


def test_a_kind_that_is_easier_does_not_push_another_out():
    asha = ResumableAsha(Objective("relative_error"), 8, 1, 2)
    for index in range(4):
        feed(asha, f"easy{index}", [0.2], "gender")
    assert feed(asha, "hard", [0.8], "attention") == ["CONTINUE"]
    assert feed(asha, "easy", [0.8], "gender") == ["STOP"]
    assert feed(asha, "harder", [0.9], "attention") == ["STOP"]


def test_rungs_of_each_kind_come_back_from_its_own_curves():
    original = ResumableAsha(Objective("relative_error"), 8, 1, 2)
    trials = [("gender", 0.2), ("attention", 0.8), ("gender", 0.3), ("attention", 0.7)]
    for index, (kind, value) in enumerate(trials):
        feed(original, str(index), [value], kind)
    past = [({"architecture": kind}, [{"epoch": 1, "relative_error": value}]) for kind, value in trials]
    assert ResumableAsha(Objective("relative_error"), 8, 1, 2, past).rungs() == original.rungs()
    assert {kind: rungs[-1] for kind, rungs in original.rungs().items()} == {"gender": (1, 2), "attention": (1, 2)}


def test_asha_judges_as_rays_own_where_there_is_one_kind():
    ours = ResumableAsha(Objective("relative_error"), 9, 1, 3)
    theirs = AsyncHyperBandScheduler("epoch", "relative_error", "min", max_t=9, grace_period=1, reduction_factor=3)
    random = np.random.default_rng(0)
    for index in range(30):
        falling = np.sort(random.random(9))[::-1]
        trial, other = fake_trial(f"a{index}"), fake_trial(f"b{index}")
        ours.on_trial_add(None, trial)
        theirs.on_trial_add(None, other)
        for epoch, value in enumerate(falling, 1):
            result = {"epoch": epoch, "relative_error": value}
            decision = ours.on_trial_result(None, trial, result)
            assert decision == theirs.on_trial_result(None, other, result)
            if decision == "STOP":
                break


@pytest.mark.parametrize(("grace", "reduction"), [(2, 1.2), (1, 1.1), (2, 3)])
def test_trials_are_judged_in_rungs_epochs_alone_also_where_these_lie_close(grace, reduction):
    rungs = {math.ceil(grace * reduction**k) for k in range(50)} & set(range(10))
    asha, trial = ResumableAsha(Objective("relative_error"), 10, grace, reduction), fake_trial("one")
    asha.on_trial_add(None, trial)
    judged, before = set(), 0
    for epoch in range(1, 10):
        asha.on_trial_result(None, trial, {"epoch": epoch, "relative_error": 0.5})
        seen = sum(count for _, count in asha.rungs()[""])
        judged |= {epoch} if seen > before else set()
        before = seen
    assert judged == rungs
