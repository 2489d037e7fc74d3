import json
import math
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from core.config import config_from_flat
from core.errors import UserError
from core.examples import Examples
from core.kept_predictions import read_predictions
from core.metrics import score
from core.objective import Objective
from core.retraining import Retraining, clear_leftovers, clear_other, finished_record, late_divergence
from core.run_folder import RunFolder
from core.session import DivergedError, Session
from core.vgg import block_output_shape
from tune.retrain import cut_short

RECORD = {"model": "multitask", "epochs": 4}


def retraining(weights, activations, folder, record=RECORD, epochs=4):
    settings = {"frozen_blocks": 5, "head_width": 8, "precision": "fp32", "lr": 1e-3}
    session = Session(config_from_flat(settings), *activations, weights, 1, torch.device("cpu"))
    return Retraining(session, Objective("relative_error"), epochs, folder, record)


def plain(curve):
    return [{k: v for k, v in row.items() if k != "seconds_per_epoch"} for row in curve]


def test_it_keeps_the_weights_of_its_best_epoch(weights, activations, tmp_path):
    run = retraining(weights, activations, tmp_path)
    snapshots = []
    while not run.done:
        run.run_epoch()
        snapshots.append({name: t.detach().clone() for name, t in run.session.learned_tensors().items()})
    best = min(range(4), key=lambda i: run.curve[i]["relative_error"])
    kept = load_file(tmp_path / "weights.safetensors")
    assert all(torch.equal(kept[name], snapshots[best][name]) for name in kept)
    assert pd.read_csv(tmp_path / "curve.csv")["relative_error"].min() == pytest.approx(
        json.loads((tmp_path / "config.json").read_text())["best"]["relative_error"]
    )
    assert not (tmp_path / "checkpoint.pt").exists()


def test_it_keeps_what_its_best_epoch_says_of_the_validation_faces(weights, activations, tmp_path):
    run = retraining(weights, activations, tmp_path)
    while not run.done:
        run.run_epoch()
    assert run.best_row()["epoch"] < 4  # else the last epoch's predictions would do
    scores = score(read_predictions(tmp_path, 20), run.session.truth)
    assert {f"val_{k}": v for k, v in scores.items()} == {
        k: v for k, v in run.best_row().items() if k.removeprefix("val_") in scores
    }


@pytest.mark.parametrize("frozen_blocks", [0, 4])
def test_convolutions_that_learned_are_kept_and_make_the_same_model_again(weights, tmp_path, frozen_blocks):
    random = np.random.default_rng(0)
    face = np.array([[80, 100], [144, 100], [112, 140], [88, 170], [136, 170]], dtype=np.float32)
    shape = (6, *block_output_shape(frozen_blocks))
    inputs = random.integers(0, 256, shape).astype(np.uint8) if frozen_blocks == 0 else random.random(shape, np.float32)
    landmarks = face + random.normal(0, 5, (6, 1, 2)).astype(np.float32)
    part = Examples(inputs, np.arange(6), landmarks, np.arange(6) % 2)
    settings = {"frozen_blocks": frozen_blocks, "head_width": 8, "precision": "fp32", "lr": 1e-4}
    session = Session(config_from_flat(settings), part, part, weights, 1, torch.device("cpu"))
    run = Retraining(session, Objective("relative_error"), 1, tmp_path, RECORD)
    run.run_epoch()
    kept = load_file(tmp_path / "weights.safetensors")
    learned = session.learned_tensors()
    assert any(name.startswith("features.") for name in kept)
    assert set(kept) == set(learned)
    assert all(torch.equal(kept[name], learned[name].detach()) for name in kept)


def test_a_killed_retraining_goes_on_along_the_same_curve(weights, activations, tmp_path, monkeypatch):
    undisturbed = retraining(weights, activations, tmp_path / "a")
    while not undisturbed.done:
        undisturbed.run_epoch()
    monkeypatch.setattr("core.retraining.CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr("core.retraining.CHECKPOINT_SHARE", math.inf)
    killed = retraining(weights, activations, tmp_path / "b")
    killed.run_epoch()
    killed.run_epoch()
    resumed = retraining(weights, activations, tmp_path / "b")
    assert resumed.session.epoch == 2
    while not resumed.done:
        resumed.run_epoch()
    assert plain(resumed.curve) == plain(undisturbed.curve)
    ours, theirs = (load_file(tmp_path / side / "weights.safetensors") for side in "ab")
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_checkpoint_for_which_there_is_no_room_takes_none(weights, activations, tmp_path, monkeypatch):
    run = retraining(weights, activations, tmp_path)
    run.run_epoch()
    monkeypatch.setattr("core.retraining.shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    monkeypatch.setattr("core.retraining.torch.save", None)
    run.checkpoint()
    assert not (tmp_path / "checkpoint.pt").exists()
    assert re.fullmatch(r"its checkpoint of \d+\.\d GB could not be written: the disk has no room for it", run.unsaved)
    monkeypatch.undo()
    run.checkpoint()
    assert run.unsaved == ""


def test_a_checkpoint_of_another_winner_is_not_used(weights, activations, tmp_path, monkeypatch):
    monkeypatch.setattr("core.retraining.CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr("core.retraining.CHECKPOINT_SHARE", math.inf)
    retraining(weights, activations, tmp_path).run_epoch()
    other = retraining(weights, activations, tmp_path, record={**RECORD, "model": "gender"})
    assert other.session.epoch == 0


def test_only_a_finished_run_of_the_same_record_counts_as_finished(weights, activations, tmp_path):
    run = retraining(weights, activations, tmp_path, epochs=1)
    assert finished_record(tmp_path, RECORD) is None
    run.run_epoch()
    assert finished_record(tmp_path, RECORD)["epoch"] == 1
    clear_other(tmp_path, RECORD)
    assert tmp_path.exists()
    clear_other(tmp_path, {**RECORD, "epochs": 9})
    assert not tmp_path.exists()


def test_an_objective_knows_its_direction():
    assert Objective("val_gender_auc").cost({"val_gender_auc": 0.9}) == -0.9
    assert Objective("val_nme_pct").cost({"val_nme_pct": 7.0}) == 7.0
    assert Objective("val_nme_pct").cost({}) == math.inf
    assert Objective("val_nme_pct").cost({"val_nme_pct": math.nan}) == math.inf


def test_a_retraining_that_diverges_late_keeps_its_best_epoch(weights, activations, tmp_path):
    run = retraining(weights, activations, tmp_path)
    healthy, calls = run.session.run_epoch, []

    def diverging():
        calls.append(1)
        if len(calls) > 2:
            raise DivergedError("loss or score not finite in epoch 3")
        return healthy()

    run.session.run_epoch = diverging
    while not run.done:
        run.run_epoch()
    assert [row["epoch"] for row in run.curve] == [1, 2]
    assert (tmp_path / "weights.safetensors").is_file()
    assert json.loads((tmp_path / "config.json").read_text())["diverged"] == "loss or score not finite in epoch 3"
    folder = RunFolder(tmp_path / "run")
    shutil.copytree(tmp_path, folder.winner("gender", 1), ignore=shutil.ignore_patterns("run"))
    assert cut_short(folder, ["gender", "landmarks"], 2) == [("gender/seed-1", "loss or score not finite in epoch 3")]
    assert late_divergence(tmp_path) == "loss or score not finite in epoch 3"
    assert finished_record(tmp_path, RECORD) == min(run.curve, key=lambda row: row["relative_error"])


def test_a_retraining_that_diverges_at_once_has_nothing_to_keep(weights, activations, tmp_path):
    run = retraining(weights, activations, tmp_path)

    def diverging():
        raise DivergedError("loss or score not finite in epoch 1")

    run.session.run_epoch = diverging
    with pytest.raises(DivergedError):
        run.run_epoch()
    assert finished_record(tmp_path, RECORD) is None


@pytest.mark.parametrize("keep", [0, 100, 0.5, -1])
def test_a_damaged_checkpoint_is_one_line_that_says_what_helps(weights, activations, tmp_path, keep):
    killed = retraining(weights, activations, tmp_path)
    killed.run_epoch()
    killed.checkpoint()
    path = tmp_path / "checkpoint.pt"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
    with pytest.raises(UserError, match=r"checkpoint\.pt: not the checkpoint of this retraining .*starts over"):
        retraining(weights, activations, tmp_path)
    path.unlink()
    assert retraining(weights, activations, tmp_path).session.epoch == 0


def test_a_checkpoint_of_a_version_that_learned_other_tensors_too_starts_over(weights, activations, tmp_path):
    killed = retraining(weights, activations, tmp_path)
    killed.run_epoch()
    killed.checkpoint()
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    state["session"]["model"]["features.24.weight"] = torch.zeros(3)
    torch.save(state, tmp_path / "checkpoint.pt")
    assert retraining(weights, activations, tmp_path).session.epoch == 0
    assert not (tmp_path / "checkpoint.pt").exists()


@pytest.mark.parametrize("change", ["curve", "best", "model", "epoch"])
def test_a_checkpoint_whose_parts_do_not_fit_is_refused(weights, activations, tmp_path, change):
    killed = retraining(weights, activations, tmp_path)
    killed.run_epoch()
    killed.checkpoint()
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    name = next(iter(state["best"]))
    if change == "curve":
        state["curve"] = []
    elif change == "epoch":
        state["session"]["epoch"] = 2
    else:
        tensors = state["best"] if change == "best" else state["session"]["model"]
        tensors[name] = tensors[name][:1]
    torch.save(state, tmp_path / "checkpoint.pt")
    with pytest.raises(UserError, match="not the checkpoint of this retraining"):
        retraining(weights, activations, tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"best": 3}', '{"best": {"epoch": "1"}}', "[" * 9999])
def test_a_damaged_record_is_one_line_that_names_it(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(UserError, match=r"config\.json: not "):
        finished_record(tmp_path, RECORD)


@pytest.mark.parametrize("change", [{}, {"lr": 0.5}])
def test_a_record_of_an_older_version_lacks_settings_that_had_their_defaults_then(tmp_path, change):
    config = config_from_flat({"lr": 0.25}).flat()
    older = {key: value for key, value in config.items() if key not in ("weight_decay", "lr_schedule", "attention")}
    record = {"model": "multitask", "epochs": 4, "config": config}
    (tmp_path / "config.json").write_text(json.dumps({**record, "config": {**older, **change}, "best": {"epoch": 2}}))
    assert (finished_record(tmp_path, record) == {"epoch": 2}) is (not change)
    clear_other(tmp_path, record)
    assert (tmp_path / "config.json").exists() is (not change)


def test_a_record_with_settings_that_no_version_had_is_another_winners(tmp_path):
    record = {"model": "multitask", "config": config_from_flat({}).flat()}
    (tmp_path / "config.json").write_text(json.dumps({**record, "config": {"colour": "red"}, "best": {"epoch": 2}}))
    assert finished_record(tmp_path, record) is None


def test_predictions_of_what_ended_are_kept_and_those_of_what_was_cut_off_are_not(weights, activations, tmp_path):
    for name in ("ended", "cut off"):
        run = retraining(weights, activations, tmp_path / name)
        while not run.done:
            run.run_epoch()
    (tmp_path / "cut off/config.json").unlink()
    for name in ("ended", "cut off"):
        clear_leftovers(tmp_path / name)
    assert (tmp_path / "ended/predictions.npz").is_file()
    assert not (tmp_path / "cut off/predictions.npz").exists()
