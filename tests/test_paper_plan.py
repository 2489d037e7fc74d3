import json
from dataclasses import replace

import pytest
import torch

from core.config import config_from_flat
from core.errors import UserError
from core.random_filters import calibrated_random_weights
from core.weights import Weights
from search_spaces.paper import PAPER_CHOICES
from tune.departures import differences, otherwise_chosen
from tune.paper_plan import STEPS, Follow, PaperPlan, paper_plan_from_json
from tune.profile import Profile
from tune.protocol import papers_loss


def test_every_step_is_fixed_to_what_the_steps_before_chose():
    chosen = {"optimizer": "adagrad", "landmark_loss": "wing", "lambda1": 5.0, "lambda2": 1.0, "d_k": 32}
    plan = PaperPlan(Profile.FAST)
    fixed = [plan.step_plan(step, chosen).search_space().fixed for step in STEPS]
    assert "optimizer" not in fixed[0]
    assert [part["optimizer"] for part in fixed[1:]] == ["adagrad"] * 3
    assert [part["landmark_loss"] for part in fixed[2:]] == ["wing"] * 2
    assert (fixed[3]["lambda1"], fixed[3]["lambda2"]) == (5.0, 1.0)
    assert "d_k" not in fixed[3]


def test_the_papers_fixed_values_are_in_every_step():
    plan = PaperPlan(Profile.PAPER)
    for step in STEPS:
        made = plan.step_plan(step, PAPER_CHOICES)
        fixed = made.search_space().fixed
        assert (fixed["lr"], fixed["batch_size"], fixed["frozen_blocks"], fixed["head_width"]) == (1e-3, 15, 0, 4096)
        assert (made.objective, made.epochs, made.grace) == ("val_loss", 10, 10)
    assert [plan.step_plan(step, PAPER_CHOICES).retrain_epochs for step in STEPS] == [10, 50, 50, 50]


def test_all_steps_share_the_seeds_of_their_replicates():
    plan = PaperPlan(Profile.FAST, seeds=2)
    steps = [plan.step_plan(step, PAPER_CHOICES) for step in STEPS]
    assert len({made.trial_seed(0) for made in steps}) == 1
    assert all(made.trial_seed(made.cells()) == steps[0].replicate_seed(1) for made in steps)


def test_a_plan_survives_json():
    plan = PaperPlan(Profile.FAST, settings={"lr": 1e-4}, follow=Follow.PAPER, seeds=5)
    assert paper_plan_from_json(json.loads(json.dumps(plan.to_json())), "search.json") == plan


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"seeds": 0}, "--seeds must be from 1"),
        ({"final_epochs": 0}, "--final-epochs must be from 1"),
        ({"settings": {"optimizer": "adam"}}, "--set optimizer: this is what the paper varies"),
        ({"settings": {"attention": "se"}}, "--set attention: would leave d_k, which the paper varies, no effect"),
        ({"settings": {"loss_weighting": "uncertainty"}}, "--set loss_weighting: would leave lambda1, which the paper"),
        ({"seed": -1}, "--seed must be from 0"),
    ],
)
def test_a_plan_that_breaks_a_rule_is_a_clear_error(options, rule):
    with pytest.raises(UserError, match=rule):
        PaperPlan(Profile.FAST, **options)


@pytest.mark.parametrize(
    ("settings", "idle"),
    [
        ({"views": 4, "lr": 1e-4}, ["views"]),
        ({"d_k_landmarks": 64, "views": 4, "augmentation": 0.5, "frozen_blocks": 4}, []),
    ],
)
def test_a_setting_that_none_of_the_four_models_has_a_use_for_is_known(settings, idle):
    assert PaperPlan(Profile.PAPER, settings=settings).idle_settings() == idle


@pytest.mark.parametrize(
    ("settings", "places", "told"),
    [
        ({}, {"data": "celeba"}, []),
        ({"views": 4, "huber_delta": 1.0, "wing_w": 0.1}, {"data": "celeba"}, []),
        ({"huber_delta": 0.05, "dropout": 0.1}, {"data": "celeba"}, ["dropout 0.1", "huber_delta 0.05"]),
        (
            {"augmentation": 0.5, "attention": "self_rms", "lr_landmarks": 1e-4, "weight_decay": 0.1},
            {"data": "celeba", "epochs": 5},
            ["epochs 5", "augmentation 0.5", "attention self_rms", "lr_landmarks 0.0001", "weight_decay 0.1"],
        ),
        ({}, {}, ["drawn faces (paper: CelebA)"]),
    ],
)
def test_all_that_is_not_the_papers_protocol_is_listed(settings, places, told):
    made = calibrated_random_weights(torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8), 0)
    imagenets = Weights({**made.tensors, "classifier.0.weight": torch.zeros(1)}, "vgg16.pth", "")
    plan = PaperPlan(Profile.PAPER, settings=settings, **places)
    found = differences(plan, imagenets, 500)
    assert [line.partition(" (paper: ")[0] for line in found] == [line.partition(" (paper: ")[0] for line in told]
    heads = "random heads (paper: ImageNet's hidden layers)"
    assert differences(plan, replace(made, source="vgg16.pth"), 500)[len(found) :] == [heads]
    both = differences(plan, made, 500)
    assert both[len(found) :] == ["random convolutions (paper: ImageNet's)", heads]
    narrow = PaperPlan(Profile.PAPER, settings={**settings, "head_width": 512}, **places)
    assert differences(narrow, made, 500)[-1] == "random convolutions (paper: ImageNet's)"
    assert ("20 faces (paper: 500)" in differences(plan, imagenets, 20)) == ("data" in places)


def test_what_was_chosen_otherwise_than_in_the_paper_is_said_of_the_tables_after_it():
    chosen = {
        1: {"optimizer": "adagrad"},
        2: {"landmark_loss": "l1"},
        3: {"lambda1": 1.0, "lambda2": 5.0},
        4: {"d_k": 512},
    }
    assert otherwise_chosen(chosen, 1) == []
    assert otherwise_chosen(chosen, 3) == ["optimizer adagrad (paper: adamax)"]
    assert otherwise_chosen(chosen, 6) == ["optimizer adagrad (paper: adamax)", "lambda2 5 (paper: 20)"]


@pytest.mark.parametrize(
    ("settings", "varied", "same"),
    [
        ({"landmark_loss": "l1", "lambda2": 20.0}, (), True),
        ({"landmark_loss": "smooth_l1", "lambda2": 20.0}, (), False),
        ({"landmark_loss": "smooth_l1", "lambda2": 20.0}, ("landmark_loss",), True),
        ({"lambda2": 5.0}, (), False),
        ({"lambda2": 5.0}, ("lambda1", "lambda2"), True),
        ({"lambda2": 5.0, "frozen_blocks": 5}, (), False),
        ({"lambda2": 20.0, "huber_delta": 0.1}, (), True),
        ({"landmark_loss": "l2", "architecture": "gender"}, (), True),
        ({"landmark_loss": "wing", "architecture": "gender"}, (), True),
        ({"landmark_loss": "wing", "lambda2": 20.0}, ("landmark_loss",), False),
        ({"landmark_loss": "l2", "architecture": "landmarks"}, (), False),
    ],
)
def test_a_loss_has_the_unit_of_the_papers_where_it_is_made_the_same_way(settings, varied, same):
    assert papers_loss(config_from_flat(settings), varied) == same


def test_a_searchs_plan_is_not_taken_for_a_replications():
    with pytest.raises(UserError, match="not the plan of a replication"):
        paper_plan_from_json({"space": {}, "profile": "fast"}, "search.json")
