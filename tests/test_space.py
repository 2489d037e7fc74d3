import json

import pytest

from core.config import config_from_flat
from core.errors import UserError
from search_spaces.catalogue import SPACES, find_space
from search_spaces.space import Choice, Condition, Float, Int, Space, space_from_json, space_from_text


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


def test_bounds_are_inclusive():
    assert 32 in Int(32, 512)
    assert 512 in Int(32, 512)
    assert 513 not in Int(32, 512)
    assert 1e-5 in Float(1e-5, 1e-2)


def test_a_fixed_parent_of_conditions_is_plain_data():
    space = SPACES["joint"].with_fixed({"architecture": "attention", "landmark_loss": "wing"})
    for key in ("architecture", "landmark_loss"):
        assert [type(value) for value in space.values_of(key, "")] == [str]


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
