import pytest

from search_spaces.attention import ATTENTION
from search_spaces.joint import JOINT
from search_spaces.multitask import MULTITASK
from search_spaces.parameter import Choice
from search_spaces.space import Space
from tune.branches import branches_of


def drawn(space: Space, count: int) -> list[dict]:
    """Trials whose choices take turns and whose numbers all differ."""
    found = []
    for number in range(count):
        turns = iter((*divmod(number, 4)[::-1], number // 2, number // 3))

        def suggest(key, parameter, turns=turns, number=number):
            if isinstance(parameter, Choice):
                return parameter.values[next(turns) % len(parameter.values)]
            return parameter.low + number * (1 if isinstance(parameter.low, int) else 1e-6)

        found.append(space.draw(suggest))
    return found


def test_a_space_of_one_model_has_a_branch_of_all_and_one_for_each_condition():
    configs = drawn(MULTITASK, 40)
    branches = {branch.name: branch for branch in branches_of(configs, MULTITASK)}
    assert list(branches) == ["multitask", *(f"landmark_loss={loss}" for loss in ("smooth_l1", "huber", "wing"))]
    assert branches["multitask"].judged == ("optimizer", "lr", "landmark_loss", "lambda1", "lambda2")
    assert branches["multitask"].rows == tuple(range(40))
    wing = branches["landmark_loss=wing"]
    assert wing.judged == ("wing_w", "wing_epsilon")
    assert wing.rows == tuple(i for i, config in enumerate(configs) if config["landmark_loss"] == "wing")


def test_joint_judges_each_parameter_in_all_that_have_it_and_for_each_model():
    configs = drawn(JOINT, 80)
    branches = {branch.name: branch for branch in branches_of(configs, JOINT)}
    assert branches["all models"].judged == ("optimizer", "lr")
    assert branches["landmarks, multitask, attention"].judged == ("landmark_loss",)
    assert branches["multitask, attention"].judged == ("lambda1", "lambda2")
    assert branches["gender"].judged == ("optimizer", "lr")
    assert branches["attention"].judged == ("optimizer", "lr", "landmark_loss", "lambda1", "lambda2", "d_k")
    kinds = ("gender", "landmarks", "multitask", "attention")
    assert sorted(row for kind in kinds for row in branches[kind].rows) == list(range(80))
    judged = [(branch.rows, key) for branch in branches.values() for key in branch.judged]
    assert len(judged) == len(set(judged))  # nothing is asked twice of the same trials


def test_a_parameter_of_one_value_is_not_judged():
    space = MULTITASK.with_fixed({"landmark_loss": "wing", "lr": 1e-4})
    (branch,) = branches_of(drawn(space, 20), space)
    assert branch.name == "multitask"
    assert branch.judged == ("optimizer", "wing_w", "wing_epsilon", "lambda1", "lambda2")


def test_joint_of_one_model_is_as_that_models_space():
    space = JOINT.with_fixed({"architecture": "attention"})
    found, own = branches_of(drawn(space, 40), space), branches_of(drawn(ATTENTION, 40), ATTENTION)
    assert {branch.name for branch in found} == {branch.name for branch in own}


@pytest.mark.parametrize("space", [JOINT, MULTITASK])
def test_without_trials_there_is_no_branch(space):
    assert branches_of([], space) == []
