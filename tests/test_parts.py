import contextlib
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from doors import in_process

from core.config import config_from_flat
from core.errors import UserError
from core.names import TASKS, Architecture, Optimizer, Task
from core.session import Session
from scripts.search import parser
from search_spaces.catalogue import SPACES
from search_spaces.parameter import Choice, Float, ends_of
from search_spaces.parts import PARTS, with_parts, without_idle_weights
from search_spaces.space import Condition, Space, space_from_json
from tune.materials import uses_imagenets_head
from tune.plan import Plan
from tune.planning import new_plan, searched_space
from tune.profile import Profile, settled_space
from tune.report import print_winners

SEARCHED = ("gender", "landmarks", "multitask", "attention", "joint")


def settled(name, **settings):
    return settled_space(SPACES[name], Profile.FAST, settings)


def drawn(space, seed=0):
    """One configuration, each parameter drawn evenly."""
    random = np.random.default_rng(seed)

    def suggest(_, parameter):
        if isinstance(parameter, Choice):
            return parameter.values[random.integers(len(parameter.values))]
        if isinstance(parameter, Float):
            return float(random.uniform(parameter.low, parameter.high))
        return int(random.integers(parameter.low, parameter.high + 1))

    return space.draw(suggest)


@pytest.mark.parametrize("name", PARTS)
def test_every_value_or_end_of_a_part_is_a_setting(name):
    for value in ends_of(PARTS[name].parameter):
        config_from_flat({name: value})


@pytest.mark.parametrize("name", SEARCHED)
def test_a_space_with_all_parts_that_it_can_take_draws_valid_configs_and_survives_json(name):
    space = settled(name, frozen_blocks=4)
    parts = []
    for part in PARTS:
        with contextlib.suppress(UserError):  # it would have no effect
            with_parts(space, [*parts, part])
            parts.append(part)
    whole = with_parts(space, parts)
    assert space_from_json(json.loads(json.dumps(whole.to_json()))) == whole
    seen = set()
    for seed in range(60):
        config = drawn(whole, seed)
        config_from_flat({**whole.fixed, **config})
        seen |= set(config)
    assert seen == set(whole.parameters)
    assert ("loss_weighting" in parts) == (name in ("multitask", "attention", "joint"))
    assert ("d_v" in parts) == (name in ("attention", "joint"))


def test_in_joint_each_part_is_drawn_only_for_models_in_which_it_has_an_effect():
    space = with_parts(settled("joint", frozen_blocks=4), list(PARTS))
    for seed in range(300):
        config = drawn(space, seed)
        tasks = TASKS[Architecture(config["architecture"])]
        attends = config["architecture"] == "attention"
        assert ("loss_weighting" in config) == ("lr_landmarks" in config) == (len(tasks) == 2)
        assert ("landmark_head" in config) == (Task.LANDMARKS in tasks)
        assert ("heatmap_block" in config) == (config.get("landmark_head") == "heatmap")
        assert ("attention" in config) == attends
        for key in ("d_k", "d_v", "d_k_landmarks", "attention_heads"):
            assert (key in config) == (attends and config["attention"] in ("self", "self_rms"))
        for key in ("lambda1", "lambda2"):
            assert (key in config) == (len(tasks) == 2 and config["loss_weighting"] != "uncertainty")
        assert "dropout" in config


def test_sizes_of_self_attention_vary_without_its_kind_wherever_there_is_attention():
    space = with_parts(settled("joint"), ["attention_heads"])
    assert space.conditions["attention_heads"].parent == "architecture"
    alone = with_parts(settled("attention"), ["attention_heads", "d_v"])
    assert not {"attention_heads", "d_v", "d_k"} & set(alone.conditions)


@pytest.mark.parametrize(
    ("space", "settings", "names", "rule"),
    [
        ("joint", {}, ["wings"], "--vary wings: must be one of lr_schedule, weight_decay"),
        ("joint", {}, ["flip", "flip"], "--vary flip: varies already"),
        ("joint", {"flip": True}, ["flip"], "--vary flip: is fixed to true"),
        (
            "gender",
            {},
            ["loss_weighting"],
            "no effect in space gender; architecture must be multitask or attention, got",
        ),
        (
            "multitask",
            {},
            ["d_v"],
            "--vary d_v: would have no effect in space multitask; architecture must be attention",
        ),
        ("attention", {"attention": "se"}, ["d_v"], "attention must be self or self_rms, got se"),
        ("joint", {}, ["heatmap_block", "landmark_head"], "frozen_blocks must be 0 or 1 or 2 or 3 or 4, got 5"),
        ("joint", {"frozen_blocks": 4}, ["heatmap_block"], "landmark_head must be heatmap, got regression"),
        ("paper_attention", {}, ["flip"], "--vary flip: space paper_attention is a grid of listed rows"),
    ],
)
def test_what_cannot_vary_is_a_clear_error(space, settings, names, rule):
    with pytest.raises(UserError, match=rule):
        with_parts(settled(space, **settings), names)


def test_describe_shows_what_varies_and_when():
    words = ["--space", "joint", "--vary", "attention", "attention_heads", "--profile", "fast", "--describe"]
    said = in_process("search.py", *words)
    assert said.returncode == 0
    assert "attention_heads 1, 2, 4, 8   if attention is self" in said.stdout
    assert "\nprofile " in said.stdout
    assert said.stdout.endswith(
        "lambda1 and lambda2 are not searched: with all 5 blocks frozen the tasks share nothing that is trained\n"
    )
    wrong = in_process("search.py", *words[:2], "--vary", "wings")
    assert wrong.returncode == 2
    assert "--vary wings: must be one of lr_schedule" in wrong.stderr


def test_what_a_winner_was_given_of_the_parts_stands_among_its_settings(capsys):
    space = with_parts(settled("attention", lambda1=2.0), ["flip", "attention", "d_v"])
    row = {"model": "attention", "relative_error": 0.5, "config.lr": 3e-4, "config.lambda1": 2.0, "config.flip": True}
    row |= {"config.d_v": None, "probability_best": None, "architecture": "attention", "seeds": 1}
    plan = Plan(space.to_json(), Profile.FAST, retrain_seeds=1)
    print_winners(
        pd.DataFrame([row | {"config.attention": "se", "config.split_seed": 7}]), plan, 4, {"attention": 1}, []
    )
    shown = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("attention"))
    assert shown.endswith("lr=0.0003 flip=true attention=se")


def test_a_winner_of_fewer_seeds_says_so_and_all_that_was_searched_stands_among_its_settings(capsys):
    space = settled("landmarks")
    row = {"relative_error": 0.5, "config.landmark_loss": "huber", "config.huber_delta": 0.02, "config.lr": 1e-3}
    rows = [
        row | {"model": name, "architecture": "landmarks", "seeds": n} for name, n in (("landmarks", 3), ("l-2", 2))
    ]
    plan = Plan(space.to_json(), Profile.FAST, retrain_seeds=5)
    print_winners(pd.DataFrame(rows).assign(probability_best=None), plan, 4, {"landmarks": 2}, [])
    lines = capsys.readouterr().out.splitlines()
    assert "standard deviation over 3 seeds" in lines[1]
    assert [line.split("  ")[0] for line in lines[3:5]] == ["landmarks", "l-2 (2 of 3 seeds)"]
    assert lines[3].endswith("lr=0.001 landmark_loss=huber huber_delta=0.02")


def test_vary_may_be_given_more_than_once():
    assert parser().parse_args(["--vary", "flip", "--vary", "dropout", "d_v"]).vary == ["flip", "dropout", "d_v"]


@pytest.mark.parametrize("name", ["attention", "joint"])
def test_no_size_of_self_attention_varies_where_attention_is_of_another_kind(name):
    assert "d_k" in settled(name).parameters
    other = settled(name, attention="se")
    assert "d_k" not in other.parameters
    assert settled(name, attention="se", d_k=64).fixed["d_k"] == 64


@pytest.mark.parametrize("name", ["multitask", "attention", "joint"])
def test_no_lambda_varies_where_uncertainty_finds_the_weights(name):
    space = settled(name, frozen_blocks=4, loss_weighting="uncertainty")
    assert {"lambda1", "lambda2"} & set(settled(name, frozen_blocks=4, loss_weighting="dwa").parameters)
    assert not {"lambda1", "lambda2"} & set(space.parameters)
    varied = with_parts(settled(name, frozen_blocks=4), ["loss_weighting"])
    fixed_later = varied.with_fixed({"loss_weighting": "uncertainty"})
    assert not {"lambda1", "lambda2"} & set(fixed_later.parameters)


def test_a_grid_over_a_size_without_an_effect_has_one_cell():
    space = settled("paper_attention", attention="cbam")
    assert len(space.cells) == 1
    assert len(settled("paper_attention").cells) == 5


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("multitask", {}, True),
        ("multitask", {"head_width": 512}, False),
        ("attention", {}, False),
        ("attention", {"attention": "se"}, True),
        ("joint", {}, True),
        ("joint", {"architecture": "attention"}, False),
    ],
)
def test_imagenets_head_is_at_hand_where_a_model_could_start_from_it(name, settings, expected):
    space = settled_space(SPACES[name], Profile.PAPER, settings)
    assert uses_imagenets_head(Plan(space.to_json(), Profile.PAPER)) == expected


def test_attention_that_varies_in_kind_can_start_from_imagenets_head():
    space = with_parts(settled_space(SPACES["attention"], Profile.PAPER, {}), ["attention"])
    assert uses_imagenets_head(Plan(space.to_json(), Profile.PAPER))


@pytest.mark.parametrize("name", ["multitask", "attention", "joint"])
def test_where_no_trained_weight_is_shared_the_tasks_weights_are_not_searched(name):
    weights = {"lambda1", "lambda2"}
    for profile, settings, vary, searched in (
        (Profile.FAST, {}, [], False),
        (Profile.FAST, {"weight_decay": 0.1}, ["loss_weighting"], True),
        (Profile.FAST, {"frozen_blocks": 4, "landmark_head": "regression"}, ["loss_weighting"], True),
        (Profile.PAPER, {}, [], True),
        (Profile.PAPER, {"frozen_blocks": 5}, [], False),
        (Profile.FAST, {"frozen_blocks": 4, "landmark_head": "heatmap", "heatmap_block": 4}, [], False),
        (Profile.FAST, {"frozen_blocks": 4, "landmark_head": "heatmap", "heatmap_block": 5}, [], True),
        (Profile.FAST, {"frozen_blocks": 4, "heatmap_block": 4}, ["landmark_head"], True),
        (Profile.FAST, {"frozen_blocks": 3, "landmark_head": "heatmap", "heatmap_block": 4}, [], True),
    ):
        space, told = searched_space(SPACES[name], profile, settings, vary)
        assert any("not searched" in line for line in told) != searched
        assert (weights <= set(space.parameters)) == searched, (profile, settings)
        assert searched or {space.fixed[key] for key in weights} == {1.0}
    with pytest.raises(
        UserError, match=r"--vary loss_weighting: has nothing to weigh .* share nothing that is trained"
    ):
        searched_space(SPACES[name], Profile.FAST, {}, ["loss_weighting"])


def test_a_grid_of_the_paper_keeps_its_rows_and_a_user_his_weights():
    assert len(searched_space(SPACES["paper_multitask"], Profile.FAST, {}, [])[0].cells) == 5
    assert searched_space(SPACES["multitask"], Profile.FAST, {"lambda1": 5.0}, [])[0].fixed["lambda1"] == 5.0
    pairs = {"lambda1": Choice((1.0, 5.0)), "lambda2": Choice((1.0, 5.0))}
    space = Space("pairs", "", pairs, fixed={"architecture": "multitask"})
    assert new_plan({"sampler": "grid"}, space, {}, 0.0)[0].trials == 4


@pytest.mark.parametrize(("name", "vary"), [("multitask", []), ("joint", []), ("multitask", ["loss_weighting"])])
def test_weights_are_drawn_only_with_the_landmark_head_that_shares_a_trained_block(name, vary):
    settings = {"architecture": "multitask", "frozen_blocks": 4, "heatmap_block": 4}
    space, _ = searched_space(SPACES[name], Profile.FAST, settings, ["landmark_head", *vary])
    trials = [drawn(space, seed) for seed in range(100)]
    for config in trials:
        given = config.get("loss_weighting", "fixed") != "uncertainty"
        assert ("lambda1" in config) == ("lambda2" in config) == (config["landmark_head"] == "regression" and given)
        assert ("loss_weighting" in config) == bool(vary and config["landmark_head"] == "regression")
    assert any("lambda1" in config for config in trials)


@pytest.mark.parametrize("settings", [{"loss_weighting": "uncertainty"}, {"architecture": "gender"}])
def test_weights_that_go_for_another_reason_are_not_explained_by_frozen_blocks(settings):
    for profile in Profile:
        assert "not searched" not in " ".join(searched_space(SPACES["joint"], profile, settings, [])[1])


@pytest.mark.parametrize("optimizer", list(Optimizer))
@pytest.mark.parametrize("architecture", ["multitask", "attention"])
def test_with_all_blocks_frozen_lambdas_change_no_score(weights, activations, architecture, optimizer):
    frozen = {"frozen_blocks": 5, "architecture": architecture, "optimizer": str(optimizer)}
    lambdas_change_no_score(weights, activations, frozen)


def test_with_landmarks_found_from_a_frozen_block_lambdas_change_no_score(weights, activations):
    larger = [replace(part, inputs=part.inputs.repeat(2, 2).repeat(2, 3)) for part in activations]
    heatmap = {"architecture": "multitask", "landmark_head": "heatmap", "heatmap_block": 4, "frozen_blocks": 4}
    lambdas_change_no_score(weights, larger, heatmap)


def lambdas_change_no_score(weights, activations, given):
    rows = []
    for lambda1, lambda2 in ((1.0, 1.0), (8.0, 64.0)):
        weighed = {**given, "lambda1": lambda1, "lambda2": lambda2, "head_width": 8, "precision": "fp32", "lr": 1e-5}
        config = config_from_flat(weighed)
        one = Session(config, *activations, weights, 3, torch.device("cpu"))
        rows.append([one.run_epoch() for _ in range(2)][-1])
    for key in ("val_gender_ce", "val_nme_pct"):
        assert rows[0][key] == pytest.approx(rows[1][key], rel=2e-3)
    assert rows[0]["val_loss"] != pytest.approx(rows[1]["val_loss"], rel=0.1)


def test_whether_lambdas_have_an_effect_is_asked_of_trials_too_in_which_a_parameter_is_not_drawn():
    space = Space(
        "s",
        "",
        {"architecture": Choice(("multitask", "attention")), "frozen_blocks": Choice((5,)), "lambda2": Float(1, 9)},
        {"frozen_blocks": Condition("architecture", ("attention",))},
    )
    assert without_idle_weights(space) == space  # where it is not drawn no block is frozen
    everywhere = replace(space, conditions={})
    assert "lambda2" not in without_idle_weights(everywhere).parameters
