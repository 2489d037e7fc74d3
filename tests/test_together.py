"""Values that are each allowed, but not together or not as they are written, are refused before anything starts."""

import json

import pytest
from doors import in_process, without_ray
from earlier_run import plan_of

from core.errors import UserError
from search_spaces.catalogue import SPACES
from search_spaces.drawn import as_good_as_none, parameters_in
from search_spaces.effect import matters
from search_spaces.parameter import Choice, Float
from search_spaces.parts import DEFAULTS, with_parts
from search_spaces.space import Space
from tune.planning import new_plan, searched_space
from tune.profile import Profile

DEEP = r"heatmap_block 4 needs frozen_blocks of at most 4, got 5.*landmark_head=heatmap"


@pytest.mark.parametrize("name", ["landmarks", "multitask", "attention", "joint"])
def test_heatmaps_of_a_block_that_is_frozen_are_refused_before_any_trial_draws_them(name: str) -> None:
    with pytest.raises(UserError, match=rf"space {name}: {DEEP}"):
        searched_space(SPACES[name], Profile.FAST, {"heatmap_block": 4}, ["landmark_head"])
    space, told = searched_space(SPACES[name], Profile.PAPER, {"heatmap_block": 4}, ["landmark_head"])
    assert "landmark_head" in space.parameters
    assert not any("heatmap_block changes nothing" in line for line in told)


def test_the_script_says_so_in_one_line() -> None:
    words = ["--space", "landmarks", "--vary", "landmark_head", "--set", "heatmap_block=4", "--profile", "fast"]
    done = in_process("search.py", *words)
    assert done.returncode == 2
    assert done.stderr.startswith("error: space landmarks: heatmap_block 4 needs frozen_blocks of at most 4, got 5")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", sorted(SPACES))
@pytest.mark.parametrize("gpus", [0.0, 1.0])
def test_every_space_of_ours_has_only_trials_that_can_be(name: str, gpus: float) -> None:
    assert new_plan({}, SPACES[name], {}, gpus)[0].search_space().name == name


TEXT = {
    "a fixed number": ({"frozen_blocks": "5"}, {}, 'frozen_blocks must be 5, got the text "5"'),
    "a fixed switch": ({"activation_cache": "true"}, {}, 'activation_cache must be true, got the text "true"'),
    "a choice": (
        {},
        {"frozen_blocks": {"kind": "choice", "values": ["4", "5"]}},
        'frozen_blocks must be 4, got the text "4"',
    ),
}


@pytest.mark.parametrize("what", TEXT)
@pytest.mark.parametrize("describe", [True, False])
def test_text_in_place_of_a_number_in_a_file_is_refused_in_one_line(tmp_path, what: str, describe: bool) -> None:
    fixed, parameters, rule = TEXT[what]
    space = {
        "name": "mine",
        "summary": "",
        "parameters": {"lambda1": {"kind": "float", "low": 1, "high": 5}, **parameters},
        "fixed": {"architecture": "multitask", **fixed},
    }
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(space))
    done = without_ray("search.py", "--space", file, "--storage", tmp_path, *(["--describe"] if describe else []))
    assert done.returncode == 2
    assert done.stderr == f"error: {file}: {rule}\n"


NONE = {**DEFAULTS, "architecture": "gender", "optimizer": "adam", "lr": 1e-4, "head_width": 512, "frozen_blocks": 5}


def test_a_trial_without_weight_decay_is_drawn_as_one_with_the_least() -> None:
    space = with_parts(SPACES["gender"], ["weight_decay"])
    assert parameters_in(space, NONE) == {"optimizer": "adam", "lr": 1e-4, "weight_decay": 1e-6}
    assert as_good_as_none(space, NONE) == {"weight_decay"}
    assert as_good_as_none(space, {**NONE, "weight_decay": 1e-3}) == set()


def test_one_whose_least_weight_decay_does_something_does_not_fit() -> None:
    strong = Space("s", "", {"weight_decay": Float(1e-3, 1e-1, log=True)}, fixed={"architecture": "gender"})
    assert parameters_in(strong, NONE) is None
    listed = Space("s", "", {"weight_decay": Choice((0.0, 0.1))}, fixed={"architecture": "gender"})
    assert parameters_in(listed, NONE) == {"weight_decay": 0.0}
    assert as_good_as_none(listed, NONE) == set()


@pytest.mark.parametrize(
    ("key", "config", "expected"),
    [
        ("lambda1", {"architecture": "multitask", "loss_weighting": "uncertainty"}, False),
        ("lambda1", {"architecture": "multitask", "loss_weighting": "uncertainty", "lambda1": 0.0}, True),
        ("lambda1", {"architecture": "gender", "lambda1": 0.0}, False),
        ("views", {"architecture": "gender", "augmentation": 0.5, "frozen_blocks": 5}, True),
        ("views", {"architecture": "gender", "augmentation": 0.5, "frozen_blocks": 0}, False),
        (
            "views",
            {"architecture": "gender", "augmentation": 0.5, "frozen_blocks": 5, "activation_cache": False},
            False,
        ),
    ],
)
def test_a_setting_matters_only_where_something_reads_it(key: str, config: dict[str, object], expected: bool) -> None:
    assert matters(key, config) == expected


def test_plans_that_were_made_before_are_still_read() -> None:
    assert plan_of().search_space().parameters
