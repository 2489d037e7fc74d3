import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.config import KEYS, Config, config_from_flat
from core.errors import UserError


def test_a_config_survives_the_way_to_a_flat_mapping_and_back():
    config = config_from_flat({"lr": "1e-4", "frozen_blocks": "4", "optimizer": "rmsprop", "flip": "true"})
    assert config_from_flat(config.flat()) == config
    assert config.training.lr == 1e-4
    assert config.model.frozen_blocks == 4
    assert config.data.flip is True


def test_nothing_given_is_the_papers_protocol():
    config = Config()
    assert (config.training.lr, config.training.batch_size, config.model.head_width) == (0.001, 15, 4096)
    assert config.model.frozen_blocks == 0


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("d_k", 0, "d_k must be an integer from 1 to 4096, got 0"),
        ("d_k", "7.5", "d_k must be an integer from 1 to 4096"),
        ("frozen_blocks", 6, "from 0 to 5"),
        ("d_k", "²", "d_k must be an integer"),
        ("d_k", "--5", "d_k must be an integer"),
        ("lr", 10**400, "lr must be a number"),
        ("lr", "nan", "lr must be a number from"),
        ("lr", True, "lr must be a number from"),
        ("optimizer", "sgd", "optimizer must be one of adam, adamax, adagrad, rmsprop, got 'sgd'"),
        ("flip", "perhaps", "flip must be true or false"),
        ("widht", 3, "unknown setting 'widht'"),
    ],
)
def test_a_bad_value_is_an_error_that_names_key_value_and_rule(key, value, rule):
    with pytest.raises(UserError) as caught:
        config_from_flat({key: value})
    assert rule in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=8), st.integers() | st.floats() | st.text(max_size=12)))
def test_any_mapping_gives_a_config_or_one_of_our_errors(values):
    try:
        config = config_from_flat(values)
    except UserError:
        return
    assert config_from_flat(config.flat()) == config
