import numpy as np
import pytest
from finished_run import FACE, made_predictions, made_winner

from core.errors import UserError
from core.final_test import Measured
from core.kept_test import keep_test, kept_test
from core.metrics import Truth

GENDER = np.arange(6) % 2
TRUTH = Truth(GENDER, np.tile(FACE, (6, 1, 1)))


def measured_of(*winners):
    runs = [made_predictions(TRUTH.landmarks, GENDER, shift) for shift in (1.0, 2.0)]
    return [Measured(winner, runs, 12.5, "a machine") for winner in winners]


def test_what_was_measured_comes_back_in_the_order_of_winners_and_seeds(tmp_path):
    winners = [made_winner("multitask"), made_winner("attention", architecture="attention")]
    keep_test(tmp_path, measured_of(*winners))
    found = kept_test(tmp_path, winners[::-1], 6)
    assert [one.winner.label for one in found] == ["attention", "multitask"]
    for one in found:
        assert (one.inference_ms, one.device) == (12.5, "a machine")
        assert [run.landmarks[0, 0, 0] - FACE[0, 0] for run in one.runs] == [1.0, 2.0]


def test_a_test_that_was_cut_off_has_kept_the_winners_that_were_measured_by_then(tmp_path):
    first, second = made_winner("multitask"), made_winner("attention", architecture="attention")
    keep_test(tmp_path, [])
    assert kept_test(tmp_path, [first, second], 6) == []
    keep_test(tmp_path, measured_of(first))
    assert [one.winner.label for one in kept_test(tmp_path, [first, second], 6)] == ["multitask"]
    assert kept_test(tmp_path, [second], 6) is None  # another one was tested


def test_without_its_list_or_of_another_trial_or_seeds_nothing_was_kept(tmp_path):
    winner = made_winner("multitask")
    assert kept_test(tmp_path, [winner], 6) is None
    keep_test(tmp_path, measured_of(winner))
    assert kept_test(tmp_path, [made_winner("multitask", replicates=(0, 1))], 6) is None
    other = made_winner("multitask")
    other.row["trial"] = 3
    assert kept_test(tmp_path, [other], 6) is None


def test_a_listed_prediction_that_is_gone_is_a_clear_error(tmp_path):
    winner = made_winner("multitask")
    keep_test(tmp_path, measured_of(winner))
    (tmp_path / "multitask/seed-2/predictions.npz").unlink()
    with pytest.raises(UserError, match="seed-2"):
        kept_test(tmp_path, [winner], 6)


@pytest.mark.parametrize(
    "content", ["", "7", "[]", '{"multitask": 3}', '{"multitask": {"replicates": [0, 2]}}', "[" * 9999]
)
def test_a_damaged_list_is_a_clear_error(tmp_path, content):
    winner = made_winner("multitask")
    keep_test(tmp_path, measured_of(winner))
    (tmp_path / "measured.json").write_text(content)
    with pytest.raises(UserError, match=r"measured\.json: not "):
        kept_test(tmp_path, [winner], 6)
