import math

import numpy as np
import pytest

from benchmarks.choosers import RandomChooser
from benchmarks.recorded import Recorded
from benchmarks.replay import KINDS, Epoch
from benchmarks.warm_start import BUDGET, COLD, COLUMNS, LAST, STARTS, Start, compared, halves, row, search, shown
from tune.head_start import LEADER, OF_PRIOR, HeadStart
from tune.study import Sampler

SETTINGS = {"optimizer": "adam", "landmark_loss": "l1", "lambda1": 1.0, "lambda2": 1.0, "d_k": 64}


def pool(rates=12, noise=0.0):
    """Every kind at several rates, with two seeds; 1e-4 is the best rate of each, and two seeds differ by noise."""
    found = []
    for kind in KINDS:
        for lr in np.logspace(-4.99, -3.01, rates):
            error = 0.3 + 0.2 * abs(math.log10(lr) + 4)
            curves = [np.linspace(error + 0.3, error, 10) + shift for shift in (0.0, noise)]
            found.append(Recorded({"architecture": kind, "lr": float(lr), **SETTINGS}, kind, 1.0, curves))
    return found


def test_the_new_search_sees_no_curve_of_the_earlier_one():
    configurations = pool(noise=0.1)
    configurations[0] = Recorded({"architecture": "gender", "lr": 1e-4, **SETTINGS}, "gender", 1.0, [np.full(10, 0.2)])
    before, after = halves(configurations, 0)
    assert len(before) == len(configurations) // 2
    assert len(after) == len(configurations)
    assert all(len(one.curves) == 1 for one in before + after)
    seen = {tuple(one.curves[0]) for one in before}
    assert not seen & {tuple(one.curves[0]) for one in after}


def test_the_new_search_comes_no_sooner_to_what_the_earlier_one_has_not_met():
    configurations, met = pool(), []
    for seed in range(40):
        before, after = halves(configurations, seed)
        known = {str(one.parameters) for one in before}
        chooser = RandomChooser(after, np.random.default_rng(seed))
        met += [str(chooser.ask().parameters) in known for _ in range(len(configurations) // 2)]
    assert 0.4 < np.mean(met) < 0.6


@pytest.fixture(scope="module")
def earlier():
    return search(pool(), Start("earlier"), HeadStart(), 120, 7)[1]


def test_a_warm_start_begins_with_the_best_of_each_kind(earlier):
    known = Start("warm", warm=True).head_start(earlier)
    spent, chooser = search(pool(), Start("warm", warm=True), known, 60, 0)
    best = {
        r.architecture: min(min(seen) for one, seen in earlier.told if one.architecture == r.architecture)
        for r, _ in earlier.told
    }
    first = [(recorded.architecture, min(recorded.curves[0])) for recorded, _ in chooser.told[: len(best)]]
    assert dict(first) == pytest.approx(best)
    assert [seen.origin for seen in chooser.judge.heard][: len(best) + 1] == [LEADER] * len(best) + [None]
    assert len(spent) == 60


@pytest.mark.parametrize("sampler", [Sampler.RANDOM, Sampler.TPE])
def test_trials_around_good_values_are_near_them_and_bad_ones_are_forgotten(earlier, sampler):
    found = {}
    for prior in ("winners", "losers"):
        start = Start(prior, sampler, prior=prior)
        _, chooser = search(pool(), start, start.head_start(earlier), 300, 1)
        found[prior] = chooser
    own = [
        [
            recorded.parameters["lr"]
            for (recorded, _), seen in zip(found[prior].told, found[prior].judge.heard, strict=True)
            if seen.origin == OF_PRIOR
        ]
        for prior in ("winners", "losers")
    ]
    assert np.median(np.abs(np.log10(own[0]) + 4)) < np.median(np.abs(np.log10(own[1]) + 4))
    forgotten = found["losers"].judge.forgotten
    assert forgotten is not None
    assert all(seen.origin is None for seen in found["losers"].judge.heard[forgotten + 1 :])


def falling(epochs, floor):
    return [Epoch(i + 1.0, KINDS[i % 4], max(floor, 1 - (i // 4 + 1) / 100)) for i in range(epochs)]


def test_a_row_counts_epochs_to_the_cold_result_and_says_when_it_is_not_reached(earlier):
    quick, never = (row(Start("x"), [(falling(LAST, floor), earlier)] * 3, 0.8) for floor in (0.2, 0.9))
    assert quick["epochs_to_cold"] == 80  # all four have fallen by 0.2
    assert never["epochs_to_cold"] == LAST
    assert shown(quick)["epochs_to_cold"] == "80 (80 to 80)"
    assert "forgotten_pct" not in quick


def test_every_start_is_compared_with_a_cold_search(monkeypatch):
    monkeypatch.setattr("benchmarks.warm_start.STARTS", tuple(one for one in STARTS if one.sampler is Sampler.RANDOM))
    rows = compared(pool(), 2)
    assert [one["start"] for one in rows] == [one.name for one in STARTS if one.sampler is Sampler.RANDOM]
    assert rows[0]["start"] == COLD[Sampler.RANDOM]
    assert rows[0]["epochs_to_cold"] <= BUDGET
    warm = next(one for one in rows if one["start"] == "warm")
    assert warm["epochs_to_cold"] <= rows[0]["epochs_to_cold"]
    assert set(COLUMNS) >= set(rows[0]) - {name for name in rows[0] if "_q" in name or "340" in name}
