import math

import pytest

from core.names import AREA99, METRICS, Architecture, LandmarkLoss, Optimizer
from core.published import published_goals, published_table

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


def test_the_models_with_both_goals_are_those_of_tables_3_to_5_and_the_pair_of_single_task_models() -> None:
    table = published_goals().set_index("name")
    assert len(table) == 1 + 2 + 5 + 5
    pair = table.loc["two single-task models (tables I, V)"]
    assert (pair["gender_ce"], pair["nme_pct"], pair["architecture"]) == (0.0763, 6.417, "")
    row = table.loc["multitask, lambdas 1, 20 (table III)"]
    assert (row["gender_ce"], row["nme_pct"], row["epochs"]) == (0.0939, 12.863, 10)
    assert table.loc["attention, d_k 512 (table IV)", "gender_ce"] == 0.0862
    assert table.loc["attention, 50 epochs (table V)", "nme_pct"] == 7.129
    assert table[["gender_ce", "nme_pct"]].notna().all(axis=None)
