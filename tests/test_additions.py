import argparse
from pathlib import Path

import numpy as np
import pytest

from benchmarks.additions import GAINS, RATES, given_rates, measured, rows_of, wanted
from benchmarks.additions_gain import gain_over_folds
from benchmarks.additions_lab import RATE_SEED, Lab, Result
from benchmarks.additions_list import ADDITIONS, ATTENDING, BASE, MIRRORED
from core.bootstrap import twofold_difference
from core.config import config_from_flat
from core.errors import UserError


def given(**options):
    plain = {
        "only": None,
        "blocks": 5,
        "head_width": 16,
        "folds": 2,
        "seeds": 2,
        "epochs": 2,
        "patience": 5,
        "rates": [1e-4, 1e-3],
        "threads": 2,
        "rate_folds": 1,
        "at": {},
    }
    return argparse.Namespace(**{**plain, "data": "drawn", "faces": 40, "weights": "random", **options})


@pytest.mark.parametrize("name", ADDITIONS)
def test_every_addition_is_its_base_with_something_else(name):
    against, settings, _ = ADDITIONS[name]
    config = config_from_flat(settings)
    assert (config == config_from_flat(ADDITIONS[against].settings)) == (name == BASE)
    assert settings["landmark_start"] == "mean_face"


def test_what_something_is_compared_with_is_trained_too_and_last():
    assert wanted(given(only=["8 heads", "dwa"])) == ["8 heads", "dwa", ATTENDING, BASE]
    assert wanted(given(only=["augmentation 1", MIRRORED])) == ["augmentation 1", MIRRORED, BASE]


def test_what_needs_block_4_is_left_out_where_it_is_frozen_away_and_asked_for_is_an_error():
    assert "heatmap of block 4" not in wanted(given(blocks=5))
    assert "heatmap of block 4" in wanted(given(blocks=4))
    assert not {"dwa", "uncertainty"} & set(wanted(given(blocks=5)))
    with pytest.raises(UserError, match="heatmap_block 4 needs frozen_blocks"):
        wanted(given(blocks=5, only=["heatmap of block 4"]))


def result(error, epoch=3):
    metrics = dict.fromkeys(("val_nme_pct", "val_fr10_pct", "val_gender_auc", "val_gender_accuracy"), 1.0)
    best = {**metrics, "relative_error": error, "seconds_per_epoch": 2.0, "epoch": epoch}
    return Result(
        best, {name: np.full(30, scale * error) for name, scale in zip(GAINS.values(), (1, 10, 2), strict=True)}
    )


def test_the_gain_is_in_percent_of_what_an_addition_is_compared_with():
    results = {BASE: [result(0.4, 2), result(0.6, 5)], "dwa": [result(0.35), result(0.55)]}
    base, other = rows_of({BASE: 1e-4, "dwa": 1e-3}, results, np.repeat([0, 1], 15))
    assert (base["addition"], base["lr"], base["relative_error"]) == (BASE, 1e-4, 0.5)
    assert (base["relative_error_min"], base["relative_error_max"], base["epoch"]) == (0.4, 0.6, 3.5)
    assert (other["lr"], other["against"], other["seeds"]) == (1e-3, BASE, 2)
    for column in GAINS:
        assert [other[f"{column}{end}"] for end in ("", "_min", "_max")] == pytest.approx([10.0] * 3)
        assert column not in base


def simulated(number, seeds=3, gain=0.1):
    """Errors with and without something, of 90 faces in 5 folds: each fold's trainings have a chance of their own."""
    random, fold_N = np.random.default_rng(number), np.repeat(np.arange(5), 18)
    noise = [random.normal(0, 0.1, (seeds, 5))[:, fold_N] + random.normal(0, 0.2, (seeds, 90)) for _ in range(2)]
    face_N = random.normal(0.6, 0.3, 90)
    return face_N + noise[0], face_N - gain + noise[1], fold_N


def test_the_interval_of_a_gain_covers_it_as_often_as_it_says_and_is_narrower_than_one_that_knows_of_no_folds():
    covered, widths = 0, []
    for number in range(100):
        theirs, ours, fold_N = simulated(number)
        mean, low, high = gain_over_folds(theirs, ours, fold_N, 0)
        assert mean == pytest.approx((theirs - ours).mean())
        covered += low <= 0.1 <= high
        _, other_low, other_high = twofold_difference(theirs, ours, resamples=200, seed=0)
        widths.append((high - low) / (other_high - other_low))
    assert 88 <= covered <= 99
    assert np.median(widths) < 0.8


def test_of_one_seed_the_interval_of_a_gain_is_about_the_faces():
    theirs, ours, fold_N = simulated(0, seeds=1)
    _, low, high = gain_over_folds(theirs, ours, fold_N, 0)
    error = 1.96 * (theirs - ours)[0].std(ddof=1) / np.sqrt(90)
    assert high - low == pytest.approx(2 * error, rel=0.15)


class Known(Lab):
    """A lab in which a training's error is known."""

    def __init__(self, errors):
        self.given, self.errors, self.asked = given(), errors, []

    def record(self, training):
        self.asked.append(training)
        error = self.errors[RATES.index(training.lr)]
        return {} if error is None else {"relative_error": error}


@pytest.mark.parametrize(
    ("errors", "best", "tried"),
    [
        ([9, 9, 0.7, 0.6, 0.5, 0.6, 9, 9], 1e-4, 4),
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, None], 1e-6, 5),
        ([9, 9, 9, 9, 0.5, 0.4, 0.3, None], 1e-3, 6),
        ([9, 9, 0.5, 0.4, 0.5, 0.1, None, None], 3e-5, 3),
    ],
)
def test_the_rate_is_found_by_going_where_it_gets_better_with_a_seed_that_no_comparison_uses(errors, best, tried):
    lab = Known(errors)
    assert lab.best_rate("dwa", RATES) == best
    assert {(training.seed, training.folds) for training in lab.asked} == {(RATE_SEED, 1)}
    assert len({training.lr for training in lab.asked}) == tried
    assert RATE_SEED >= 100
    assert Known([]).best_rate("dwa", [1e-2]) == 1e-2


def test_a_rate_that_is_given_is_of_an_addition_and_a_learning_rate():
    assert given_rates(["heatmap of block 4=1e-4", "base=3e-5"]) == {"heatmap of block 4": 1e-4, BASE: 3e-5}
    with pytest.raises(UserError, match="--at bose=3e-5: must be NAME=RATE with one of base, mirrored, "):
        given_rates(["bose=3e-5"])
    for word in ("base", "base=quick", "base=-1"):
        with pytest.raises(UserError):
            given_rates([word])


def test_a_schedule_has_its_own_number_of_epochs_and_others_as_many_as_help():
    lab = Known([])
    lab.given.epochs = 40
    plain, cosine = (lab.training(name, 1e-4, 0, 2) for name in ("dwa", "cosine over 20"))
    assert (plain.epochs, plain.patience) == (40, 5)
    assert (cosine.epochs, cosine.patience) == (20, 20)


@pytest.mark.slow
def test_what_was_trained_once_is_not_trained_again(tmp_path, monkeypatch):
    options = given(only=["mirrored"], seeds=1, work=tmp_path / "work")
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))
    first = measured(options)
    assert [row["addition"] for row in first] == ["mirrored", BASE]
    assert all(row["relative_error"] > 0 for row in first)
    monkeypatch.setattr("benchmarks.additions_lab.FoldedSession", None)
    assert measured(options) == first
    assert all(row["seeds"] == 1 for row in first)
    assert len(list(Path(tmp_path / "work").glob("*/predictions.npz"))) == 2 * 2 + 2
