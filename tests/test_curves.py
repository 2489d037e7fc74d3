import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from core.curves import ced_points, roc_points


def area_of_steps(x: np.ndarray, y: np.ndarray) -> float:
    return float((np.diff(x) * y[:-1]).sum())


def test_the_area_under_the_roc_points_is_the_auc() -> None:
    rng = np.random.default_rng(0)
    gender = rng.integers(0, 2, 60)
    margin = np.round(rng.normal(gender, 1.0), 1)  # rounded: with ties
    false_rate, true_rate = roc_points(margin, gender)
    assert (false_rate[0], true_rate[0], false_rate[-1], true_rate[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(true_rate, false_rate) == pytest.approx(roc_auc_score(gender, margin))


def test_error_distribution_of_three_faces_worked_by_hand() -> None:
    threshold, share = ced_points(np.array([8.0, 2.0, 30.0]), limit_pct=10)
    assert threshold.tolist() == [0, 2, 8, 10]
    assert share.tolist() == pytest.approx([0, 1 / 3, 2 / 3, 2 / 3])


def test_a_face_at_the_limit_is_within_it() -> None:
    assert ced_points(np.array([10.0, 11.0]), limit_pct=10)[1][-1] == 0.5


@given(st.lists(st.floats(0, 250), min_size=1, max_size=30), st.sampled_from([10.0, 100.0]))
def test_the_area_under_the_error_distribution_is_one_minus_the_mean_capped_error(
    nme: list[float], limit: float
) -> None:
    closed_form = 1 - np.minimum(nme, limit).mean() / limit
    assert area_of_steps(*ced_points(np.array(nme), limit)) / limit == pytest.approx(closed_form, abs=1e-9)
