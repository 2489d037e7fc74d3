"""Winners that cannot be had."""

from types import SimpleNamespace

import pytest
from safetensors.torch import load_file

from core.errors import UserError
from core.names import Precision
from core.run_folder import RunFolder
from search_spaces.catalogue import SPACES
from tune.ledger import Ledger, Status
from tune.machine import Workers
from tune.plan import Plan
from tune.profile import Profile
from tune.retrain import retrain


def retrained(folder, weights, reasons=("",), curve=(), **settings):
    """What comes of retraining the winners of a search whose trials failed for these reasons, or have this curve."""
    plan = Plan(SPACES["gender"].to_json(), Profile.FAST, retrain_seeds=2, **settings)
    ledger = Ledger(folder / "trials.csv", folder / "curves.csv", plan.aim())
    for number, reason in enumerate(reasons):
        entry = ledger.add(number, {"optimizer": "adam", "lr": 1e-4})
        entry.reason, entry.curve = reason, list(curve)
        entry.status = Status.FAILED if reason else Status.FINISHED if curve else Status.PENDING
    materials = SimpleNamespace(
        inputs={},
        weights=weights,
        precision=Precision.FP32,
        workers=Workers(1, 1, 0.0),
        trial_timeout=None,
        depot=None,
        cache_everywhere=None,
    )
    said = []
    return retrain(plan, RunFolder(folder), materials, ledger, said.append)


def test_a_search_without_a_result_is_one_line_with_the_last_reason_and_leaves_nothing(weights, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    nothing = r"run: no trial has a result, so there is nothing to retrain"
    way_on = r"; python scripts/search\.py --resume run .* with more --trials"
    with pytest.raises(UserError, match=nothing + r" \(the last one: DivergedError: not finite\)" + way_on + "$"):
        retrained(run, weights, ["out of memory", "DivergedError: not finite"])
    with pytest.raises(UserError, match=nothing + way_on + " and a larger --time-budget$"):
        retrained(run, weights, time_budget=1.0)  # ended before its first epoch
    assert list(run.iterdir()) == []


def test_where_no_retraining_succeeds_there_is_no_winner_and_no_ranking_of_before(weights, tmp_path, monkeypatch):
    asked = {}
    monkeypatch.setattr(
        "tune.retrain.train_jobs", lambda _work, jobs, *_: asked.update({job["replicate"]: job["seed"] for job in jobs})
    )
    (tmp_path / "winners.csv").write_text("an older ranking")
    with pytest.raises(UserError, match="no retraining succeeded, so there is no winner"):
        retrained(tmp_path, weights, curve=[{"epoch": 1, "relative_error": 0.5, "seconds_per_epoch": 1.0}])
    assert list(asked) == [0, 1]
    assert asked[0] != asked[1]
    assert not (tmp_path / "winners.csv").exists()
    kept = load_file(tmp_path / "winners" / "backbone.safetensors")  # what the next try starts from
    assert kept.keys() == weights.without_head().tensors.keys()
