import json

import pytest

from core.config import config_from_flat
from core.errors import UserError
from core.published import published_table
from search_spaces.catalogue import SPACES, find_space
from search_spaces.grid import grid_of
from search_spaces.parameter import Choice, Float, Int
from search_spaces.space import Condition, Space, space_from_json, space_from_text
from tune.materials import uses_imagenets_head
from tune.plan import Plan
from tune.profile import Profile


@pytest.mark.parametrize("space", SPACES.values(), ids=lambda s: s.name)
def test_every_space_survives_json(space):
    assert space_from_json(json.loads(json.dumps(space.to_json()))) == space


@pytest.mark.parametrize("space", SPACES.values(), ids=lambda s: s.name)
@pytest.mark.parametrize("end", [0, -1])
def test_the_ends_of_every_parameter_make_a_valid_config(space, end):
    def suggest(_, parameter):
        return parameter.values[end] if isinstance(parameter, Choice) else (parameter.low, parameter.high)[end]

    config_from_flat({**space.fixed, **space.draw(suggest)})


def test_d_k_is_drawn_only_for_attention():
    for architecture in SPACES["joint"].parameters["architecture"].values:

        def suggest(key, parameter, architecture=architecture):
            if key == "architecture":
                return architecture
            return parameter.values[0] if isinstance(parameter, Choice) else parameter.low

        drawn = SPACES["joint"].draw(suggest)
        assert ("d_k" in drawn) == (architecture == "attention")
        assert ("lambda1" in drawn) == (architecture in ("multitask", "attention"))
        assert ("landmark_loss" in drawn) == (architecture != "gender")


def test_fixing_a_parameter_ends_its_varying_and_prunes_what_depends_on_it():
    space = SPACES["multitask"].with_fixed({"lr": 0.01, "landmark_loss": "huber"})
    assert "lr" not in space.parameters
    assert space.fixed["lr"] == 0.01
    assert "huber_delta" in space.parameters
    assert "wing_w" not in space.parameters


def test_a_space_describes_bounds_and_conditions():
    text = SPACES["joint"].describe()
    assert "32 to 512, whole, log   if architecture is attention" in text
    assert "1e-05 to 0.001, log" in text


@pytest.mark.parametrize(
    "make",
    [
        lambda: Float(2, 1),
        lambda: Float(0, 1, log=True),
        lambda: Int(3, 3),
        lambda: Choice(()),
        lambda: Choice((1, 1)),
        lambda: Space("s", "", {"d_k": Int(1, 9999)}, fixed={"architecture": "attention"}),
        lambda: Space("s", "", {"lr": Float(1e-4, 1e-2)}),
        lambda: Space(
            "s", "", {"lr": Float(1e-4, 1e-2)}, {"lr": Condition("optimizer", ("adam",))}, {"architecture": "gender"}
        ),
        lambda: find_space("everything"),
        lambda: space_from_text("{", "file"),
        lambda: space_from_text('{"name": "x"}', "file"),
    ],
)
def test_a_space_that_breaks_a_rule_is_a_clear_error(make):
    with pytest.raises(UserError):
        make()


LOSSES, DELTAS = Choice(("l1", "huber")), Float(0.1, 1)


@pytest.mark.parametrize(
    ("parameters", "condition", "rule"),
    [
        ({"huber_delta": DELTAS, "landmark_loss": LOSSES}, "huber", "huber_delta must depend on a choice before it"),
        ({"huber_delta": DELTAS}, "huber", "huber_delta must depend on a choice before it"),
        ({"landmark_loss": LOSSES}, "huber", "huber_delta must depend on a choice before it"),
        ({"landmark_loss": LOSSES, "huber_delta": DELTAS}, "wing", "huber_delta depends on values that landmark_loss"),
    ],
    ids=["after its child", "absent", "without child", "never so"],
)
def test_a_condition_is_on_what_a_choice_before_it_can_be(parameters, condition, rule):
    def space(parameters, value):
        conditions = {"huber_delta": Condition("landmark_loss", (value,))}
        return Space("s", "", parameters, conditions, {"architecture": "landmarks"})

    space({"landmark_loss": LOSSES, "huber_delta": DELTAS}, "huber")
    with pytest.raises(UserError, match=f"space s: {rule}"):
        space(parameters, condition)


def test_a_condition_on_a_range_is_refused():
    conditions = {"lr": Condition("head_width", (8,))}
    with pytest.raises(UserError, match="lr must depend on a choice before it, got 'head_width'"):
        Space("s", "", {"head_width": Int(8, 64), "lr": Float(1e-4, 1e-2)}, conditions, {"architecture": "gender"})


@pytest.mark.parametrize(
    ("space", "architecture"), [("gender", "attention"), ("multitask", "gender"), ("paper_attention", "multitask")]
)
def test_a_space_cannot_be_fixed_to_an_architecture_that_it_lacks(space, architecture):
    with pytest.raises(UserError, match=f"space {space} has no architecture '{architecture}'"):
        SPACES[space].with_fixed({"architecture": architecture})
    own = SPACES[space].fixed["architecture"]
    assert SPACES[space].with_fixed({"architecture": own}) == SPACES[space]


def test_bounds_are_inclusive():
    assert 32 in Int(32, 512)
    assert 512 in Int(32, 512)
    assert 513 not in Int(32, 512)
    assert 1e-5 in Float(1e-5, 1e-2)


def test_a_fixed_parent_of_conditions_is_plain_data():
    space = SPACES["joint"].with_fixed({"architecture": "attention", "landmark_loss": "wing"})
    for key in ("architecture", "landmark_loss"):
        assert [type(value) for value in space.values_of(key, "")] == [str]


def test_where_a_parameter_is_not_drawn_its_default_is_one_of_its_values():
    kinds, part = Choice(("gender", "landmarks")), Choice((512,))
    space = Space(
        "s", "", {"architecture": kinds, "head_width": part}, {"head_width": Condition("architecture", ("landmarks",))}
    )
    assert space.values_of("head_width", 4096) == (512, 4096)
    assert space.with_fixed({"architecture": "landmarks"}).values_of("head_width", 4096) == (512,)
    assert space.with_fixed({"architecture": "gender"}).values_of("head_width", 4096) == (4096,)
    assert uses_imagenets_head(Plan(space.to_json(), Profile.PAPER))


def test_which_model_it_is_depends_on_nothing():
    parameters = {"optimizer": Choice(("adam", "adamax")), "architecture": Choice(("gender",))}
    with pytest.raises(UserError, match="architecture must not depend on another parameter"):
        Space("s", "", parameters, {"architecture": Condition("optimizer", ("adam",))})


def test_a_space_may_leave_out_what_it_has_nothing_of():
    described = {"name": "s", "parameters": {"architecture": {"kind": "choice", "values": ["gender", "landmarks"]}}}
    assert space_from_json(described) == Space("s", "", {"architecture": Choice(("gender", "landmarks"))})


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "x", "fixed": {"architecture": "gender"}, "parameters": {"lr": {"kind": "float", "low": 1, "high": 1' + "0" * 400 + "}}}",
        '{"name": "x", "fixed": {"architecture": "gender"}, "parameters": {"head_width": {"kind": "float", "low": 8, "high": 64}}}',
        '{"name": "x", "fixed": {}, "parameters": {"architecture": {"kind": "choice", "values": ["gender"]}}, "conditions": {"architecture": {"parent": "architecture", "values": ["gender"]}}}',
        "1" * 5000,
    ],
)  # fmt: skip
def test_a_description_that_cannot_be_searched_is_a_clear_error(text):
    with pytest.raises(UserError, match="file:"):
        space_from_text(text, "file")


def test_the_papers_lambdas_are_its_five_pairs_and_not_all_nine():
    assert len(grid_of(SPACES["paper_multitask"])) == 5
    published = published_table(3)[["lambda1", "lambda2"]].to_dict("records")
    assert grid_of(SPACES["paper_multitask"]) == published


@pytest.mark.parametrize(
    ("space", "number", "key"),
    [("paper_gender", 1, "optimizer"), ("paper_landmarks", 2, "landmark_loss"), ("paper_attention", 4, "d_k")],
)
def test_a_paper_space_has_a_cell_for_every_row_of_its_table(space, number, key):
    assert {cell[key] for cell in grid_of(SPACES[space])} == set(published_table(number)[key])


def test_a_grid_without_cells_is_every_active_combination():
    space = Space(
        "s",
        "",
        {"architecture": Choice(("gender", "attention")), "d_k": Choice((32, 64)), "optimizer": Choice(("adam", "adamax"))},
        {"d_k": Condition("architecture", ("attention",))},
    )  # fmt: skip
    assert grid_of(space) == [
        {"architecture": "gender", "optimizer": "adam"},
        {"architecture": "gender", "optimizer": "adamax"},
        {"architecture": "attention", "d_k": 32, "optimizer": "adam"},
        {"architecture": "attention", "d_k": 32, "optimizer": "adamax"},
        {"architecture": "attention", "d_k": 64, "optimizer": "adam"},
        {"architecture": "attention", "d_k": 64, "optimizer": "adamax"},
    ]


def test_a_grid_refuses_a_range():
    with pytest.raises(UserError, match="lr of space gender is a range"):
        grid_of(SPACES["gender"])


def test_fixing_a_setting_leaves_each_cell_of_the_rest_once():
    assert grid_of(SPACES["paper_multitask"].with_fixed({"lambda1": 1})) == [
        {"lambda2": 1.0},
        {"lambda2": 5.0},
        {"lambda2": 20.0},
    ]


@pytest.mark.parametrize("cell", [{}, {"d_k": 48}, {"d_k": 32, "lr": 0.1}])
def test_a_cell_outside_its_space_is_a_clear_error(cell):
    with pytest.raises(UserError, match="outside the space"):
        Space("s", "", {"d_k": Choice((32, 64))}, fixed={"architecture": "attention"}, cells=(cell,))


def test_a_grid_refuses_the_same_cell_twice():
    with pytest.raises(UserError, match="a cell twice"):
        Space("s", "", {"d_k": Choice((32, 64))}, fixed={"architecture": "attention"}, cells=({"d_k": 32},) * 2)


GENDER_JSON = SPACES["gender"].to_json()


@pytest.mark.parametrize(
    ("parameters", "rule"),
    [
        ({"d_k": {"kind": "choice", "values": "12"}}, "a choice needs a list of values, got '12'"),
        ({"d_k": {"kind": "int", "low": "1", "high": 2}}, "bounds must be finite numbers"),
        ({"d_k": {"kind": "int", "low": 1, "high": 2, "log": "yes"}}, "log must be true or false"),
        ({"d_k": {"kind": "int", "low": 1, "high": 10**5000}}, "not a search space"),
        ({"lr": {"kind": "float", "low": float("nan"), "high": 1}}, "bounds must be finite numbers"),
        ({"d_k": {"kind": "choice", "values": [[1]]}}, "not a search space"),
        ({"lr": {"kind": "categorical"}}, "^parameter lr: kind must be choice, float, int, got 'categorical'$"),
        ({"lr": 3}, "^parameter lr: kind must be choice, float, int, got 3$"),
        (
            {"lr": {"kind": "float", "min": 1, "max": 2}},
            "^parameter lr: float takes low, high and perhaps log, got min, max$",
        ),
        ({"lr": {"kind": "float", "low": 1}}, "^parameter lr: float takes low, high and perhaps log, got low$"),
        ([], "not a search space"),
    ],
)
def test_parameters_of_another_form_are_refused(parameters, rule):
    with pytest.raises(UserError, match=rule):
        space_from_json(GENDER_JSON | {"parameters": parameters})


@pytest.mark.parametrize(
    "changed",
    [
        {"name": 3},
        {"summary": ["a"]},
        {"cells": "ab"},
        {"conditions": {"lr": {"parent": "optimizer", "values": "adam"}}},
    ],
)
def test_words_and_lists_must_be_words_and_lists(changed):
    with pytest.raises(UserError, match="not a search space: "):
        space_from_json(GENDER_JSON | changed)


def test_a_file_that_is_not_utf8_or_names_a_key_twice_is_refused(tmp_path):
    path = tmp_path / "space.json"
    path.write_bytes(b'{"name": "\xff"}')
    with pytest.raises(UserError, match=r"space\.json: must be UTF-8"):
        find_space(str(path))
    path.write_text('{"name": "a", "name": "b"}')
    with pytest.raises(UserError, match=r"space\.json: not JSON \(key 'name' is given twice\)"):
        find_space(str(path))


def test_a_grid_of_more_cells_than_a_search_can_have_is_refused_before_it_fills_the_memory():
    keys = ("d_k", "head_width", "batch_size", "split_seed")
    space = Space("big", "", {key: Choice(tuple(range(1, 1001))) for key in keys}, fixed={"architecture": "attention"})
    with pytest.raises(UserError, match="a grid must have at most 1000000 cells"):
        grid_of(space)


@pytest.mark.parametrize(
    ("architecture", "varies"),
    [
        ("gender", {"optimizer", "lr"}),
        ("landmarks", {"optimizer", "lr", "landmark_loss", "smooth_l1_beta", "huber_delta", "wing_w", "wing_epsilon"}),
    ],
)
def test_of_joint_with_one_architecture_is_left_what_that_has_however_deep_the_conditions(architecture, varies):
    space = SPACES["joint"].with_fixed({"architecture": architecture})
    assert set(space.parameters) - {"architecture"} == varies
    assert space_from_json(json.loads(json.dumps(space.to_json()))) == space
