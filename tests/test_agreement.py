"""What trainings get wrong alone, averaged and all alike."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score
from test_additions import given

from benchmarks.agreement import ALL, measured, rows_of

GENDER = np.array([0, 0, 1, 1, 0, 1, 1, 0])
FOLD = np.repeat([0, 1], 4)


def test_an_average_mends_what_single_trainings_get_wrong_at_random_and_not_what_all_get_wrong():
    right = np.where(GENDER == 1, 1.0, -1.0)
    one, two, three = right.copy(), right.copy(), right.copy()
    one[0], two[2] = 0.5, -0.5  # each alone with a mistake
    for margin in (one, two, three):
        margin[7] = 2.0  # and one that all make
    base, other, whole = rows_of({"base": [one, two], "mirrored": [three]}, GENDER, FOLD)
    assert [row["trainings"] for row in (base, other, whole)] == [2, 1, 3]
    assert whole["addition"] == ALL
    assert (base["accuracy"], other["accuracy"]) == (6 / 8, 7 / 8)
    assert (base["accuracy_of_average"], whole["accuracy_of_average"]) == (7 / 8, 7 / 8)
    assert (whole["most_are_wrong"], whole["all_are_wrong"], whole["faces"]) == (1, 1, 8)


def test_accuracy_and_auc_of_folds_are_scikit_learns():
    margins = list(np.random.default_rng(0).normal(GENDER, 1, (5, 8)))
    [_, row] = rows_of({"base": margins}, GENDER, FOLD)

    def auc_of(margin):
        return np.mean([roc_auc_score(GENDER[fold == FOLD], margin[fold == FOLD]) for fold in (0, 1)])

    average = np.mean(margins, axis=0)
    assert row["auc"] == pytest.approx(np.mean([auc_of(margin) for margin in margins]))
    assert row["auc_of_average"] == pytest.approx(auc_of(average))
    assert row["accuracy"] == pytest.approx(np.mean([accuracy_score(GENDER, margin > 0) for margin in margins]))
    assert row["accuracy_of_average"] == pytest.approx(accuracy_score(GENDER, average > 0))
    assert row["most_are_wrong"] == sum(((np.stack(margins) > 0) != GENDER).mean(axis=0) > 0.5)


@pytest.mark.slow
def test_trainings_that_are_there_are_read_and_the_others_made(tmp_path, monkeypatch):
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))
    options = given(only=["base"], rates=[1e-3], work=tmp_path / "work", epochs=1)
    first = measured(options)
    kept = sorted(path.name for path in (tmp_path / "work").iterdir())
    assert measured(options) == first
    assert sorted(path.name for path in (tmp_path / "work").iterdir()) == kept
    assert [row["trainings"] for row in first] == [2, 2]
    assert first[0]["frozen_blocks"] == 5
