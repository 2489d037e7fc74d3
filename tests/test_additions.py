import argparse
from pathlib import Path

import numpy as np
import pytest

from benchmarks.additions import ADDITIONS, ATTENDING, BASE, Result, Training, measured, rows_of, wanted
from core.config import config_from_flat
from core.errors import UserError


def given(**options):
    plain = {"only": None, "blocks": 5, "folds": 2, "seeds": 2, "epochs": 2, "rates": [1e-3, 1e-4], "threads": 2}
    return argparse.Namespace(**{**plain, "data": "drawn", "faces": 40, "weights": "random", **options})


@pytest.mark.parametrize("name", ADDITIONS)
def test_every_addition_is_its_base_with_something_else(name):
    against, settings = ADDITIONS[name]
    config = config_from_flat(settings)
    assert (config == config_from_flat(ADDITIONS[against][1])) == (name == BASE)
    assert ADDITIONS[against][1]["landmark_start"] == "mean_face"


def test_what_something_is_compared_with_is_trained_too():
    names = {training.name for training in wanted(given(only=["CBAM"]))}
    assert names == {"CBAM", ATTENDING, BASE}
    assert len(wanted(given(only=["CBAM"]))) == 3 * 2 * 2


def test_what_needs_block_4_is_left_out_where_it_is_frozen_away_and_asked_for_is_an_error():
    assert "heatmap of block 4" not in {training.name for training in wanted(given(blocks=5))}
    [training, *_] = wanted(given(blocks=4, only=["heatmap of block 4"]))
    assert training.record("fp32", "")["config"]["heatmap_block"] == 4
    [training, *_] = wanted(given(blocks=5, only=["heatmap of block 4"]))
    with pytest.raises(UserError, match="heatmap_block 4 needs frozen_blocks"):
        training.record("fp32", "")


def test_each_is_compared_at_its_own_best_rate_and_the_gain_is_in_percent_of_the_base():
    trainings, results = [], {}
    errors = {(BASE, 1e-3): 0.8, (BASE, 1e-4): 0.5, ("cosine", 1e-3): 0.45, ("cosine", 1e-4): 0.7}
    for (name, rate), error in errors.items():
        for seed in (0, 1):
            training = Training(name, rate, seed, {}, 2)
            trainings.append(training)
            metrics = dict.fromkeys(("val_nme_pct", "val_fr10_pct", "val_gender_auc", "val_gender_accuracy"), 1.0)
            best = {**metrics, "relative_error": error, "seconds_per_epoch": 2.0}
            results[training.key] = Result(best, np.full(30, error))
    base, cosine = rows_of(trainings, results)
    assert (base["addition"], base["lr"], base["relative_error"]) == (BASE, 1e-4, 0.5)
    assert (cosine["lr"], cosine["against"], cosine["seeds"]) == (1e-3, BASE, 2)
    assert [cosine[f"gain_pct{end}"] for end in ("", "_min", "_max")] == pytest.approx([10.0] * 3)
    assert "gain_pct" not in base


@pytest.mark.slow
def test_what_was_trained_once_is_not_trained_again(tmp_path, monkeypatch):
    options = given(only=["uncertainty"], seeds=1, rates=[1e-3], work=tmp_path / "work")
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))
    first = measured(options)
    assert [row["addition"] for row in first] == ["uncertainty", BASE]
    assert all(row["relative_error"] > 0 for row in first)
    monkeypatch.setattr("benchmarks.additions.FoldedSession", None)
    assert measured(options) == first
    assert len(list(Path(tmp_path / "work").iterdir())) == 2
