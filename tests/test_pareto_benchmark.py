import argparse
from types import SimpleNamespace

import pytest
import torch
from scipy import stats

from benchmarks.pareto import PARETO, WEIGHTED, Lab, gain, scores, search, summary
from core.names import Precision
from core.objective import Objective
from tune.study import Sampler

AIM = Objective("relative_error")


@pytest.fixture(scope="module")
def lab(activations, weights):
    material = SimpleNamespace(examples=lambda _: activations, weights=weights)
    made = Lab(argparse.Namespace(blocks=5, epochs=4), material, Precision.FP32, torch.device("cpu"))
    made.fixed |= {"head_width": 8}
    return made


@pytest.mark.slow
@pytest.mark.parametrize("sampler", [Sampler.RANDOM, Sampler.TPE])
def test_both_searches_spend_the_same_epochs_on_the_same_first_trials_none_of_them_trained_twice(lab, sampler):
    weighted, pareto = (search(lab, name, sampler, 0, 15) for name in (WEIGHTED, PARETO))
    assert sum(map(len, weighted)) == sum(map(len, pareto)) == 15
    assert weighted[0] == pareto[0]
    assert lab.trained == sum(map(len, lab.known.values()))
    assert search(lab, PARETO, sampler, 0, 15) == pareto


def test_hypervolume_is_of_each_trials_best_epoch_and_of_all_epochs_as_a_share_of_the_box():
    def row(ce, nme):
        return {"val_gender_ce": ce, "val_nme_pct": nme, "relative_error": (ce / 0.8 + nme / 40) / 2}

    curves = [[row(0.7, 39), row(0.4, 20)], [row(0.2, 40.0), row(0.6, 10)]]  # the second's best epoch: its second
    found = scores(curves, (0.8, 40.0))
    assert found["hypervolume"] == pytest.approx((0.4 * 20 + 0.2 * 10) / 32)
    assert found["hypervolume_epochs"] == found["hypervolume"]  # (0.2, 40) is no better than knowing nothing
    assert (found["trials"], found["front"]) == (2, 2)
    assert found["relative_error"] == pytest.approx(0.5)


def test_the_gain_is_paired_by_seed_with_students_interval():
    known = {"sampler": "random", "trials": 5, "front": 2, "hypervolume_epochs": 0.5, "relative_error": 0.5}
    shares = {WEIGHTED: [0.2, 0.5, 0.8], PARETO: [0.3, 0.5, 1.0]}
    rows = [
        {**known, "search": name, "seed": seed, "hypervolume": value}
        for name, values in shares.items()
        for seed, value in enumerate(values)
    ]
    weighted, pareto = summary(rows[::-1])
    assert "gain" not in weighted
    low, high = stats.ttest_rel(shares[PARETO], shares[WEIGHTED]).confidence_interval()
    assert (pareto["gain"], pareto["gain_min"], pareto["gain_max"]) == pytest.approx((0.1, low, high))
    assert gain([0.25]) == {"gain": 0.25}
