import math

import pytest

from core.names import AREA99, METRICS, Architecture, LandmarkLoss, Optimizer
from core.published import published_table

CHOICES = {"optimizer", "landmark_loss", "lambda1", "lambda2", "d_k", "architecture"}


@pytest.mark.parametrize("number", range(1, 7))
def test_every_column_is_a_choice_a_metric_or_the_inference_time(number: int) -> None:
    assert set(published_table(number)) <= CHOICES | set(METRICS) | {"inference_ms", AREA99}


@pytest.mark.parametrize(("number", "rows"), [(1, 4), (2, 5), (3, 5), (4, 5), (5, 3), (6, 4)])
def test_tables_have_a_row_for_each_choice_of_the_paper(number: int, rows: int) -> None:
    assert len(published_table(number)) == rows


def test_choices_carry_tandems_names() -> None:
    assert set(published_table(1)["optimizer"]) == set(Optimizer)
    assert set(published_table(2)["landmark_loss"]) == set(LandmarkLoss)
    assert list(published_table(6)["architecture"]) == list(Architecture)


def test_what_a_model_does_not_do_is_missing_and_not_zero() -> None:
    table = published_table(6).set_index("architecture")
    assert math.isnan(table.loc["gender", "nme_pct"])
    assert table.loc["landmarks", "nme_pct"] == 6.2618


@pytest.mark.parametrize(("number", "landmarks"), [(2, 225), (3, 225), (4, 225), (5, 225), (6, 250)])
def test_the_papers_failure_rates_count_landmarks(number: int, landmarks: int) -> None:
    for rate in published_table(number)["fr10_pct"].dropna():
        assert abs(rate - 100 * round(rate * landmarks / 100) / landmarks) < 0.06  # printed with one decimal
