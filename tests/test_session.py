import copy
import math

import numpy as np
import pytest
import torch

from core.config import config_from_flat
from core.examples import Examples
from core.metrics import score
from core.names import LandmarkLoss, Optimizer, Precision
from core.optimizers import OPTIMIZERS
from core.prediction import predict
from core.session import DivergedError, Session

SETTINGS = {"frozen_blocks": 5, "head_width": 16, "precision": "fp32", "landmark_start": "mean_face", "lr": 3e-3}


def session(weights, activations, seed=1, **settings):
    config = config_from_flat({**SETTINGS, **settings})
    return Session(config, *activations, weights, seed, torch.device("cpu"))


def curve(run, epochs):
    return [{k: v for k, v in run.run_epoch().items() if k != "seconds_per_epoch"} for _ in range(epochs)]


def test_the_same_seed_gives_the_same_curve_and_another_seed_another(weights, activations):
    first = curve(session(weights, activations), 3)
    assert curve(session(weights, activations), 3) == first
    assert curve(session(weights, activations, seed=2), 3) != first


def restored(weights, activations, optimizer, change=lambda _: None):
    """A session gone on with after two epochs from what another one left, changed on the way; and how an undisturbed
    one goes on."""
    undisturbed, stopped, fresh = (session(weights, activations, optimizer=optimizer, lr=1e-3) for _ in range(3))
    expected = curve(undisturbed, 4)[2:]
    curve(stopped, 2)
    state = copy.deepcopy(stopped.state_dict())
    change(state)
    fresh.load_state_dict(state)
    return fresh, expected


@pytest.mark.parametrize("optimizer", Optimizer)
def test_a_restored_session_goes_on_as_one_never_stopped(weights, activations, optimizer):
    fresh, expected = restored(weights, activations, optimizer)
    assert curve(fresh, 2) == expected


@pytest.mark.parametrize("optimizer", ["adam", "adagrad"])
def test_a_state_from_another_device_is_gone_on_with_in_the_form_of_this_one(weights, activations, optimizer):
    def from_where_torch_has_no_such_form(state):
        for group in state["optimizer"]["param_groups"]:
            group["fused"] = None

    fresh, expected = restored(weights, activations, optimizer, from_where_torch_has_no_such_form)
    assert [group["fused"] for group in fresh.optimizer.param_groups] == [True]
    assert curve(fresh, 2) == expected


def test_training_learns_both_tasks(weights, activations):
    rows = curve(session(weights, activations, lambda2=20, head_width=64, dropout=0.0, lr=1e-3), 15)
    assert rows[-1]["train_loss"] < 0.5 * rows[0]["train_loss"]
    assert rows[-1]["relative_error"] < 0.8
    assert rows[-1]["val_gender_auc"] > 0.9


WITH_ADAM = [(loss, Optimizer.ADAM) for loss in LandmarkLoss]
WITH_L2 = [(LandmarkLoss.L2, optimizer) for optimizer in Optimizer if optimizer is not Optimizer.ADAM]


@pytest.mark.parametrize(("loss", "optimizer"), [*WITH_ADAM, *WITH_L2])
def test_every_landmark_loss_and_every_optimizer_trains(weights, activations, loss, optimizer):
    settings = {"landmark_loss": loss, "optimizer": optimizer, "lr": 1e-3, "dropout": 0.0}
    rows = curve(session(weights, activations, architecture="landmarks", **settings), 4)
    assert rows[-1]["train_loss"] < 0.9 * rows[0]["train_loss"]  # without dropout it would stay if nothing were learned
    assert "val_gender_auc" not in rows[0]


def test_there_is_an_optimizer_for_every_name():
    assert set(OPTIMIZERS) == set(Optimizer)


def test_validation_loss_is_equation_17_of_its_parts(weights, activations):
    row = session(weights, activations, lambda1=3, lambda2=7).run_epoch()
    assert row["val_loss"] == pytest.approx(3 * row["val_gender_ce"] + 7 * row["val_landmark_l1"], rel=1e-5)


def test_scores_are_those_of_the_whole_validation_set(weights, activations):
    run = session(weights, activations)
    row = run.run_epoch()
    scores = score(predict(run.model, run.validation_source, Precision.FP32), run.truth)
    assert {f"val_{k}": v for k, v in scores.items()} == {
        k: v for k, v in row.items() if f"{k[4:]}" in scores and k[:4] == "val_"
    }


def test_weights_that_are_no_longer_finite_are_reported_as_divergence(weights, activations):
    run = session(weights, activations)
    poisoned = run.learned_tensors()["heads.gender.0.weight"]
    with torch.no_grad():
        poisoned.fill_(math.inf)
    with pytest.raises(DivergedError):
        run.run_epoch()


@pytest.mark.slow
def test_flipped_training_on_images_runs_and_differs_from_unflipped(weights):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (8, 3, 224, 224), dtype=np.uint8)
    landmarks = random.uniform(60, 160, (8, 5, 2)).astype(np.float32)
    part = Examples(images, np.arange(8), landmarks, np.arange(8) % 2)
    plain = session(weights, (part, part), batch_size=8)
    flipped = session(weights, (part, part), batch_size=8, flip=True)
    assert curve(plain, 1)[0]["train_loss"] != curve(flipped, 1)[0]["train_loss"]


def test_a_loss_beyond_float32_is_divergence_too_though_all_scores_are_finite(weights, activations, monkeypatch):
    run = session(weights, activations)
    monkeypatch.setattr("core.session.prediction_loss", lambda *_: math.inf)
    with pytest.raises(DivergedError):
        run.run_epoch()
