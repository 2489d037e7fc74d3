"""What ``joint`` has by default of the parts beyond the paper."""

import pandas as pd
import pytest
from real_search import ROOT

from core.errors import UserError
from search_spaces.catalogue import SPACES
from search_spaces.effect import matters
from search_spaces.parameter import ends_of
from search_spaces.parts import DEFAULTS, PARTS
from tune.planning import new_plan, searched_space
from tune.profile import Profile
from tune.report import planned


def test_what_joint_does_of_its_own_accord_is_measured_to_help_and_the_user_has_the_last_word():
    measured = pd.read_csv(ROOT / "benchmarks/results/additions.csv").set_index(["addition", "frozen_blocks"])
    for name, blocks, key, value in (
        ("mirrored", 5, "flip", True),
        ("mirrored", 4, "flip", True),
        ("self-attention, unit RMS", 5, "attention", "self_rms"),
        ("heatmap of block 4", 4, "landmark_head", "heatmap"),
        ("heatmap of block 4", 4, "heatmap_block", 4),
        ("dropout 0.2", 5, "dropout", 0.2),
    ):
        assert measured.loc[(name, blocks), "gain_nme_pct_min"].min() > 0
        frozen = {"frozen_blocks": blocks}
        for settings, vary, expected in (
            ({}, [], (value,)),
            ({key: DEFAULTS[key]}, [], (DEFAULTS[key],)),
            ({}, [key], ends_of(PARTS[key].parameter)),
        ):
            space, _ = searched_space(SPACES["joint"], Profile.FAST, {**frozen, **settings}, vary)
            assert set(space.values_of(key, DEFAULTS[key])) == set(expected)
    assert measured.loc[("dropout 0.2", 4), "gain_pct_min"] > 0
    for frozen, settings, vary, expected in (
        (4, {}, [], None),  # with heatmaps it was not measured
        (4, {"lambda2": 2.0}, [], 0.2),
        (5, {}, ["landmark_head"], None),
        (4, {"landmark_head": "regression"}, [], None),
        (4, {"architecture": "gender"}, [], None),
        (0, {}, [], None),
    ):
        space, _ = searched_space(SPACES["joint"], Profile.FAST, {"frozen_blocks": frozen, **settings}, vary)
        assert space.fixed.get("dropout") == expected
    apart = measured.loc[[("heatmap of block 4, landmarks at 3e-4", 4)]]
    assert apart["gain_nme_pct_min"].min() > 0
    for settings, vary, searched in (
        ({}, [], True),
        ({"architecture": "gender"}, [], False),
        ({"lr_landmarks": 0.0}, [], False),
        ({}, ["landmark_head"], True),
        ({}, ["lr_landmarks"], True),
        ({"landmark_head": "regression"}, [], False),
        ({"heatmap_block": 5}, [], False),
        ({"frozen_blocks": 5}, [], False),
        ({"lambda2": 2.0}, [], False),
    ):
        space, _ = searched_space(SPACES["joint"], Profile.FAST, {"frozen_blocks": 4, **settings}, vary)
        assert ("lr_landmarks" in space.parameters) == searched, (settings, vary)
    for settings, vary in (({"lambda2": 2.0}, []), ({}, ["loss_weighting"])):
        space, _ = searched_space(SPACES["joint"], Profile.FAST, {"frozen_blocks": 4, **settings}, vary)
        assert "landmark_head" not in space.fixed
    assert "attention" not in searched_space(SPACES["joint"], Profile.FAST, {"architecture": "gender"}, [])[0].fixed
    with pytest.raises(UserError, match="--vary flip: is fixed to true"):
        searched_space(SPACES["joint"], Profile.FAST, {"flip": True}, ["flip"])


def test_joint_says_what_it_has_by_default_and_no_other_space_has_it():
    told = searched_space(SPACES["joint"], Profile.FAST, {"frozen_blocks": 4, "flip": False}, [])[1]
    helps = "attention=self_rms landmark_head=heatmap heatmap_block=4, and searches lr_landmarks too"
    assert told[0] == f"joint has what was measured to help: {helps} (override with --set or --vary)"
    alone = {"architecture": "multitask", "frozen_blocks": 4, "flip": True, "heatmap_block": 4}
    told = searched_space(SPACES["joint"], Profile.FAST, alone, ["landmark_head"])[1]
    assert told[0] == "joint searches lr_landmarks too (override with --set or --vary)"
    grid = searched_space(SPACES["joint"], Profile.FAST, {"frozen_blocks": 4}, [], grid=True)[0]
    assert "lr_landmarks" not in grid.parameters
    for name in set(SPACES) - {"joint"}:
        space, told = searched_space(SPACES[name], Profile.FAST, {}, [])
        assert not {"flip", "attention", "landmark_head"} & set(space.fixed)
        assert not any("what helps" in line for line in told)


@pytest.mark.parametrize(
    ("name", "settings", "idle"),
    [
        ("gender", {"landmark_loss": "wing", "d_k": 64, "lr": 1e-4}, ["landmark_loss", "d_k"]),
        ("multitask", {"lambda2": 20.0}, ["lambda2"]),
        ("multitask", {"lambda2": 20.0, "frozen_blocks": 4}, []),
        ("joint", {"wing_w": 0.1, "d_k": 64}, []),
        ("joint", {"views": 4}, ["views"]),
        ("paper_landmarks", {"d_v": 64}, ["d_v"]),
    ],
)
def test_a_setting_that_changes_nothing_is_told_so(name, settings, idle):
    _, told = searched_space(SPACES[name], Profile.FAST, settings, [], grid=name.startswith("paper"))
    notes = [line for line in told if line.startswith("note: ")]
    assert notes == [f"note: --set {key} changes nothing in any trial of this space" for key in idle]


@pytest.mark.parametrize(("trials", "said"), [(16, True), (100, False)])
def test_tpe_says_when_it_will_hardly_learn(trials, said):
    _, told = new_plan({"sampler": "tpe", "trials": trials}, SPACES["joint"], {}, 0.0)
    line = "tpe draws the first 10 trials of each of the 4 kinds of model at random; of 16 it learns little"
    assert (line in told) == said
    assert not any("tpe" in word for word in new_plan({"trials": 16}, SPACES["joint"], {}, 0.0)[1])


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("multitask", {}, "16 trials of up to 10 epochs; then the best retrained: 50 epochs with 3 seeds"),
        (
            "joint",
            {"race": 4, "top_k": 2, "grace": 10, "retrain_seeds": 1},
            "16 trials of 10 epochs; a race of 4 leaders of each of 4 kinds of model, up to 3 rounds on 5 folds; then the 2 "
            "best of each of 4 kinds of model retrained: 50 epochs with 1 seed",
        ),
        ("paper_gender", {}, "4 trials of 10 epochs; then the best retrained: 50 epochs with 3 seeds"),
    ],
)
def test_a_search_says_at_its_start_how_much_will_be_trained(name, options, told):
    assert planned(new_plan(options, SPACES[name], {}, 0.0)[0]) == told


@pytest.mark.parametrize(
    ("key", "config", "expected"),
    [
        ("attention_heads", {"architecture": "attention"}, True),
        ("attention_heads", {"architecture": "attention", "attention": "se"}, False),
        ("attention_heads", {"architecture": "multitask"}, False),
        ("heatmap_block", {"architecture": "landmarks", "frozen_blocks": 4, "landmark_head": "heatmap"}, True),
        ("heatmap_block", {"architecture": "landmarks", "frozen_blocks": 4}, False),
        ("dropout", {"architecture": "gender"}, True),
        ("d_k", {"architecture": "attention"}, True),
        ("d_k", {"architecture": "attention", "attention": "cbam"}, False),
        ("lambda1", {"architecture": "multitask"}, True),
        ("lambda1", {"architecture": "multitask", "loss_weighting": "dwa"}, True),
        ("lambda2", {"architecture": "attention", "loss_weighting": "uncertainty"}, False),
        ("lambda1", {"architecture": "gender"}, False),
        ("lambda1", {"architecture": "multitask", "frozen_blocks": 5, "lambda1": 3.0}, False),
        ("lambda1", {"architecture": "multitask", "frozen_blocks": 5, "lambda2": 0.0}, True),
        ("loss_weighting", {"architecture": "multitask", "frozen_blocks": 5, "loss_weighting": "dwa"}, True),
        ("landmark_start", {"architecture": "gender"}, False),
        ("landmark_start", {"architecture": "landmarks"}, True),
        ("head_width", {"architecture": "landmarks", "landmark_head": "heatmap"}, False),
        ("head_width", {"architecture": "multitask", "landmark_head": "heatmap"}, True),
        ("head_width", {"architecture": "landmarks"}, True),
        ("views", {"architecture": "gender", "flip": True}, False),
        ("views", {"architecture": "gender", "augmentation": 0.5, "frozen_blocks": 4}, True),
    ],
)
def test_a_part_matters_where_it_has_an_effect(key, config, expected):
    assert matters(key, config) == expected
