import argparse
from pathlib import Path

import numpy as np
import pytest

from benchmarks.additions import measured, rows_of, wanted
from benchmarks.additions_lab import RATE_SEED, Lab, Result
from benchmarks.additions_list import ADDITIONS, ATTENDING, BASE
from core.config import config_from_flat
from core.errors import UserError


def given(**options):
    plain = {
        "only": None,
        "blocks": 5,
        "folds": 2,
        "seeds": 2,
        "epochs": 2,
        "rates": [1e-3, 1e-4],
        "threads": 2,
        "rate_folds": 1,
    }
    return argparse.Namespace(**{**plain, "data": "drawn", "faces": 40, "weights": "random", **options})


@pytest.mark.parametrize("name", ADDITIONS)
def test_every_addition_is_its_base_with_something_else(name):
    against, settings = ADDITIONS[name]
    config = config_from_flat(settings)
    assert (config == config_from_flat(ADDITIONS[against][1])) == (name == BASE)
    assert ADDITIONS[against][1]["landmark_start"] == "mean_face"


def test_what_something_is_compared_with_is_trained_too_and_last():
    assert wanted(given(only=["CBAM"])) == ["CBAM", ATTENDING, BASE]


def test_what_needs_block_4_is_left_out_where_it_is_frozen_away_and_asked_for_is_an_error():
    assert "heatmap of block 4" not in wanted(given(blocks=5))
    assert "heatmap of block 4" in wanted(given(blocks=4))
    with pytest.raises(UserError, match="heatmap_block 4 needs frozen_blocks"):
        wanted(given(blocks=5, only=["heatmap of block 4"]))


def result(error, face_error=None):
    metrics = dict.fromkeys(("val_nme_pct", "val_fr10_pct", "val_gender_auc", "val_gender_accuracy"), 1.0)
    best = {**metrics, "relative_error": error, "seconds_per_epoch": 2.0}
    return Result(best, np.full(30, face_error or error))


def test_the_gain_is_in_percent_of_what_an_addition_is_compared_with():
    results = {BASE: [result(0.4), result(0.6)], "cosine": [result(0.35), result(0.55)]}
    base, cosine = rows_of({BASE: 1e-4, "cosine": 1e-3}, results)
    assert (base["addition"], base["lr"], base["relative_error"]) == (BASE, 1e-4, 0.5)
    assert (base["relative_error_min"], base["relative_error_max"]) == (0.4, 0.6)
    assert (cosine["lr"], cosine["against"], cosine["seeds"]) == (1e-3, BASE, 2)
    assert [cosine[f"gain_pct{end}"] for end in ("", "_min", "_max")] == pytest.approx([10.0] * 3)
    assert "gain_pct" not in base


def test_the_rate_is_the_best_of_first_folds_with_a_seed_that_no_comparison_uses():
    asked = []

    class Known(Lab):
        def __init__(self):
            self.given = given()

        def result(self, training):
            asked.append(training)
            return result({1e-3: 0.7, 3e-4: 0.5, 1e-4: 0.6}[training.lr])

    assert Known().best_rate("dwa", [1e-3, 3e-4, 1e-4]) == 3e-4
    assert {(training.seed, training.folds) for training in asked} == {(RATE_SEED, 1)}
    assert RATE_SEED >= 100
    assert Known().best_rate("dwa", [1e-2]) == 1e-2


@pytest.mark.slow
def test_what_was_trained_once_is_not_trained_again(tmp_path, monkeypatch):
    options = given(only=["mirrored"], seeds=1, rates=[1e-3, 1e-4], work=tmp_path / "work")
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))
    first = measured(options)
    assert [row["addition"] for row in first] == ["mirrored", BASE]
    assert all(row["relative_error"] > 0 for row in first)
    monkeypatch.setattr("benchmarks.additions_lab.FoldedSession", None)
    assert measured(options) == first
    assert all(row["seeds"] == 1 for row in first)
    assert len(list(Path(tmp_path / "work").iterdir())) == 2 * 2 + 2
