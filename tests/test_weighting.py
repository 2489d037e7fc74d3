import copy
import math

import numpy as np
import pytest
import torch
from test_session import curve, session
from torch.optim.lr_scheduler import CosineAnnealingLR

from core.config import config_from_flat
from core.names import LossWeighting, Optimizer, Schedule, Task
from core.optimizers import build_optimizer, rate_at
from core.session import Session
from core.weighting import TaskWeights

CPU = torch.device("cpu")
LAMBDAS = {Task.GENDER: 3.0, Task.LANDMARKS: 0.5}


def step(weights, gender, landmarks, faces=1):
    losses = {Task.GENDER: torch.tensor(gender), Task.LANDMARKS: torch.tensor(landmarks)}
    told = sum(weights.lambdas[task] * loss for task, loss in losses.items())
    loss = weights.combined(losses, told, weights.of_epoch())
    if loss.requires_grad:
        loss.backward()
    weights.after_step(losses, faces)
    return float(loss.detach())


def test_uncertainty_settles_where_each_tasks_weight_is_half_of_one_over_its_loss():
    weights = TaskWeights(LossWeighting.UNCERTAINTY, LAMBDAS, CPU)
    for _ in range(3000):
        step(weights, 2.0, 0.05)
    for task, loss in ((Task.GENDER, 2.0), (Task.LANDMARKS, 0.05)):
        weight = math.exp(-float(weights.log_variances[task].detach())) * LAMBDAS[task]
        assert weight == pytest.approx(1 / (2 * loss), rel=1e-3)


def test_uncertainty_follows_a_loss_that_falls_within_some_tens_of_steps_and_forgets_one_wild_batch():
    weights = TaskWeights(LossWeighting.UNCERTAINTY, LAMBDAS, CPU)
    for _ in range(20):
        step(weights, 0.7, 0.05)
    for loss in (0.07, 7e5, 0.07):
        for _ in range(1 if loss > 1 else 120):
            step(weights, loss, 0.05)
    weight = math.exp(-float(weights.log_variances[Task.GENDER].detach())) * LAMBDAS[Task.GENDER]
    assert weight == pytest.approx(1 / (2 * 0.07), rel=0.02)


@pytest.mark.parametrize("lambda1", [0.0, 1e-9])
def test_a_task_that_counts_for_nothing_makes_no_loss_infinite(lambda1):
    weights = TaskWeights(LossWeighting.UNCERTAINTY, {Task.GENDER: lambda1, Task.LANDMARKS: 1.0}, CPU)
    last = [step(weights, 0.7, 0.05) for _ in range(9000)][-1]
    assert math.isfinite(last)


def test_uncertainty_begins_where_the_first_losses_would_settle():
    weights = TaskWeights(LossWeighting.UNCERTAINTY, LAMBDAS, CPU)
    assert step(weights, 2.0, 0.05) == pytest.approx(1 + math.log(2 * 3 * 2) / 2 + math.log(2 * 0.5 * 0.05) / 2)


def test_dynamic_weight_average_is_the_papers_formula():
    weights = TaskWeights(LossWeighting.DWA, LAMBDAS, CPU)
    epochs = [(0.7, 0.2), (0.6, 0.05), (0.3, 0.04)]
    for number, (gender, landmarks) in enumerate(epochs):
        if number < 2:
            assert weights.of_epoch() == {Task.GENDER: 1.0, Task.LANDMARKS: 1.0}
        for faces, scale in ((15, 1.2), (5, 0.4)):  # batches whose mean over faces is the epoch's loss
            step(weights, gender * scale, landmarks * scale, faces)
        weights.after_epoch(20)
    ratios = [0.3 / 0.6, 0.04 / 0.05]
    exponents = [math.exp(ratio / 2) for ratio in ratios]
    expected = [2 * exponent / sum(exponents) for exponent in exponents]
    assert list(weights.of_epoch().values()) == pytest.approx(expected, rel=1e-6)
    assert step(weights, 0.3, 0.04) == pytest.approx(expected[0] * 3.0 * 0.3 + expected[1] * 0.5 * 0.04, rel=1e-6)


@pytest.mark.parametrize("kind", LossWeighting)
def test_of_one_task_the_loss_is_what_it_is(kind):
    weights = TaskWeights(kind, LAMBDAS, CPU)
    loss = torch.tensor(0.7)
    assert weights.combined({Task.GENDER: loss}, loss, weights.of_epoch()) is loss


@pytest.mark.parametrize("kind", LossWeighting)
def test_single_task_models_train_the_same_under_any_weighting(weights, activations, kind):
    plain = curve(session(weights, activations, architecture="gender"), 3)
    assert curve(session(weights, activations, architecture="gender", loss_weighting=kind), 3) == plain


@pytest.mark.parametrize("kind", [LossWeighting.UNCERTAINTY, LossWeighting.DWA])
def test_two_tasks_train_otherwise_than_with_fixed_weights(weights, activations, kind):
    settings = {"lambda1": 2, "lambda2": 20}
    rows = curve(session(weights, activations, loss_weighting=kind, **settings), 4)
    fixed = curve(session(weights, activations, **settings), 4)
    assert rows[3]["val_nme_pct"] != fixed[3]["val_nme_pct"]
    # The first two epochs of dwa are plain; all losses are told by equation 17.
    assert (rows[1] == fixed[1]) is (kind is LossWeighting.DWA)
    assert rows[0]["train_loss"] == pytest.approx(fixed[0]["train_loss"], rel=0.2)
    assert rows[3]["val_loss"] == pytest.approx(
        2 * rows[3]["val_gender_ce"] + 20 * rows[3]["val_landmark_l1"], rel=1e-5
    )


def test_under_uncertainty_the_lambdas_change_only_the_loss_that_is_told(weights, activations):
    few = curve(session(weights, activations, loss_weighting="uncertainty", lambda1=1, lambda2=1), 3)
    many = curve(session(weights, activations, loss_weighting="uncertainty", lambda1=20, lambda2=50), 3)
    for score in ("val_nme_pct", "val_gender_ce"):
        assert [row[score] for row in many] == pytest.approx([row[score] for row in few], rel=1e-3)
    assert many[2]["val_loss"] > 10 * few[2]["val_loss"]


def test_the_losses_that_dwa_remembers_are_those_of_the_epoch(weights, activations):
    run = session(weights, activations, loss_weighting="dwa", lambda1=2, lambda2=20)
    row = curve(run, 3)[-1]
    last = run.weights.epochs[-1]
    assert 2 * last[Task.GENDER] + 20 * last[Task.LANDMARKS] == pytest.approx(row["train_loss"], rel=1e-5)


@pytest.mark.parametrize("kind", LossWeighting)
def test_a_restored_session_with_schedule_decay_weighting_and_two_rates_goes_on_as_one_never_stopped(
    weights, activations, kind
):
    settings = {
        "frozen_blocks": 5, "head_width": 16, "precision": "fp32", "lr": 1e-3,
        "loss_weighting": kind, "lr_schedule": "cosine", "weight_decay": 0.01, "lr_landmarks": 3e-4,
    }  # fmt: skip

    def fresh():
        return Session(config_from_flat(settings), *activations, weights, 1, CPU, epochs=5)

    expected = curve(fresh(), 5)
    stopped = fresh()
    curve(stopped, 3)
    state = copy.deepcopy(stopped.state_dict())
    again = fresh()
    again.load_state_dict(state)
    assert curve(again, 2) == expected[3:]


def test_the_cosine_is_torchs():
    parameter = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    scheduler = CosineAnnealingLR(optimizer, T_max=7)
    for epoch in range(7):
        assert rate_at(Schedule.COSINE, epoch, 7) == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rate_at(Schedule.CONSTANT, 5, 7) == 1.0


def test_a_session_trains_each_epoch_at_the_schedules_rate(weights, activations):
    config = config_from_flat({"frozen_blocks": 5, "head_width": 8, "precision": "fp32", "lr_schedule": "cosine"})
    run = Session(config, *activations, weights, 1, CPU, epochs=3)
    rates = []
    for _ in range(3):
        run.run_epoch()
        rates.append(run.optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([1e-3, 1e-3 * 0.75, 1e-3 * 0.25])
    with pytest.raises(ValueError, match="must know its epochs"):
        Session(config, *activations, weights, 1, CPU)


@pytest.mark.parametrize("kind", Optimizer)
def test_weight_decay_pulls_weights_to_zero_where_the_loss_does_not_care(kind):
    moved = []
    for decay in (0.0, 0.3):
        parameter = torch.ones(4, requires_grad=True)
        optimizer = build_optimizer(kind, [parameter], 0.1, CPU, decay)
        parameter.grad = torch.zeros(4)
        optimizer.step()
        moved.append(parameter.detach().numpy())
    assert np.array_equal(moved[0], np.ones(4))
    assert (moved[1] < 1).all()
