"""Landmarks with a learning rate of their own: ``lr_landmarks``."""

import pytest
import torch
from test_session import curve

from core.config import config_from_flat
from core.models import build_model
from core.names import Optimizer, Task
from core.optimizers import build_optimizer
from core.session import Session
from search_spaces.effect import matters

CPU = torch.device("cpu")
ALONE = {"frozen_blocks": 5, "head_width": 16, "precision": "fp32", "landmark_start": "mean_face"}
GENDER, LANDMARKS = ("val_gender_ce", "val_gender_auc"), ("val_nme_pct", "val_fr10_pct")


@pytest.fixture
def scores(weights, activations):
    """Scores by epoch of a session with some settings, three epochs long."""

    def train(names, **settings):
        run = Session(config_from_flat(ALONE | settings), *activations, weights, 1, CPU, epochs=3)
        return [[row[name] for name in names] for row in curve(run, 3)]

    return train


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize("kind", Optimizer)
def test_where_tasks_share_nothing_each_learns_as_it_does_at_its_own_rate(scores, kind, schedule):
    both = {"optimizer": kind, "lr_schedule": schedule}
    found = scores(GENDER + LANDMARKS, lr=1e-3, lr_landmarks=1e-4, **both)
    fast, slow = (scores(GENDER + LANDMARKS, lr=rate, **both) for rate in (1e-3, 1e-4))
    assert [row[:2] for row in found] == [row[:2] for row in fast]
    assert [row[2:] for row in found] == [row[2:] for row in slow]
    assert fast != slow


@pytest.mark.parametrize("architecture", ["gender", "landmarks"])
def test_a_model_of_one_task_has_no_use_for_it(scores, architecture):
    names = GENDER if architecture == "gender" else LANDMARKS
    settings = {"architecture": architecture, "lr": 1e-4}
    assert scores(names, **settings, lr_landmarks=1e-2) == scores(names, **settings)
    assert not matters("lr_landmarks", {"architecture": architecture})
    assert matters("lr_landmarks", {"architecture": "attention"})


@pytest.mark.parametrize(
    ("architecture", "expected"),
    [
        ("multitask", {"heads.landmarks"}),
        ("attention", {"heads.landmarks", "attention.landmarks"}),
        ("landmarks", {"heads.landmarks"}),
        ("gender", set()),
    ],
)
def test_a_tasks_own_tensors_are_those_of_its_attention_and_head(weights, architecture, expected):
    settings = {"architecture": architecture, "frozen_blocks": 4, "head_width": 8, "d_k": 8}
    model = build_model(config_from_flat(settings).model, weights, torch.full((5, 2), 0.5))
    own = model.learned_for(Task.LANDMARKS)
    assert {".".join(name.split(".")[:2]) for name in own} == expected
    assert all(model.learned_tensors()[name] is tensor for name, tensor in own.items())


def test_what_both_tasks_share_learns_at_the_common_rate(weights, activations):
    config = config_from_flat(ALONE | {"frozen_blocks": 4, "lr": 1e-3, "lr_landmarks": 1e-5})
    run = Session(config, *activations, weights, 1, CPU)
    shared, own = run.optimizer.param_groups
    names = {id(tensor): name for name, tensor in run.learned_tensors().items()}
    block_5 = {f"features.{layer}.{kind}" for layer in (24, 26, 28) for kind in ("weight", "bias")}
    heads = {f"heads.gender.{layer}.{kind}" for layer in (0, 3, 6) for kind in ("weight", "bias")}
    assert {names[id(tensor)] for tensor in shared["params"]} == block_5 | heads
    assert {names[id(tensor)] for tensor in own["params"]} == {name.replace("gender", "landmarks") for name in heads}
    assert (shared["lr"], own["lr"]) == (1e-3, 1e-5)


def test_weight_decay_reaches_all_that_learns(weights, activations):
    config = config_from_flat(ALONE | {"weight_decay": 0.1, "lr": 1e-3, "lr_landmarks": 1e-5})
    run = Session(config, *activations, weights, 1, CPU)
    assert [group["weight_decay"] for group in run.optimizer.param_groups] == [0.1, 0.1]


@pytest.mark.parametrize("kind", Optimizer)
def test_no_optimiser_steps_further_for_a_loss_that_is_multiplied(kind):
    """Why lambdas change nothing where tasks share nothing (``core.config.learns_apart``)."""
    paths = []
    for factor in (1.0, 20.0):
        number = torch.tensor([1.0, -2.0], requires_grad=True)
        optimizer = build_optimizer(kind, [number], 1e-3, CPU)
        for gradient in ([0.3, -0.2], [0.1, 0.4], [-0.2, 0.1]):
            number.grad = factor * torch.tensor(gradient)
            optimizer.step()
        paths.append(number.detach() - torch.tensor([1.0, -2.0]))
    torch.testing.assert_close(paths[0], paths[1], rtol=1e-3, atol=1e-7)
    assert paths[0].abs().min() > 1e-5
