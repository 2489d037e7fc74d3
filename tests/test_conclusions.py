import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from core.conclusions import REVERSED, SUPPORTED, UNDECIDED, best_of_table, larger_auc, lower_error

FACES = 45
RANDOM = np.random.default_rng(0)
NOISE = RANDOM.normal(0, 0.1, FACES)
FACE = RANDOM.uniform(5, 12, FACES)


def test_a_choice_that_is_better_on_every_face_is_supported_with_its_exact_lead():
    errors = {"a": [FACE, FACE], "b": [FACE + 1 + NOISE - NOISE.mean()] * 2, "c": [FACE + 3] * 2}
    found = best_of_table("a is best", "NME", "a", errors, {"a": 1.0, "b": 1.5, "c": 4.0})
    assert found.rival == "b"
    assert found.difference[0] == pytest.approx(1.0)
    assert (found.held, found.seeds, found.paper) == (2, 2, 0.5)
    assert found.verdict == SUPPORTED


def test_a_claim_is_counted_seed_by_seed():
    errors = {"a": [FACE, FACE + 2, FACE], "b": [FACE + 1] * 3}
    found = best_of_table("a is best", "NME", "a", errors, {"a": 1.0, "b": 1.5})
    assert (found.held, found.seeds) == (2, 3)


def test_the_rival_that_is_told_is_the_one_that_the_verdict_hangs_on():
    """A noisy row that is better on average cannot be told from the choice; one a little better on every face can."""
    noisy = [FACE + 1 - 4, FACE + 1 + 1, FACE + 1 - 3]
    errors = {"a": [FACE + 1] * 3, "noisy": noisy, "sure": [FACE + 0.5 + 0.01 * NOISE] * 3}
    behind = best_of_table("a is best", "NME", "a", errors, dict.fromkeys(errors, 1.0))
    assert (behind.rival, behind.verdict) == ("sure", REVERSED)
    assert behind.difference[2] < 0
    errors = {"a": [FACE] * 3, "noisy": [FACE + 4, FACE - 1, FACE + 3], "sure": [FACE + 0.5 + 0.01 * NOISE] * 3}
    ahead = best_of_table("a is best", "NME", "a", errors, dict.fromkeys(errors, 1.0))
    assert (ahead.rival, ahead.verdict) == ("noisy", UNDECIDED)
    assert ahead.difference[1] < 0 < ahead.difference[2]


def test_equal_rows_are_seldom_reversed_though_the_best_of_four_rivals_is_picked():
    """Five rows of the same error, with noise of seeds and faces as large as seen: 1 in 20 at most in the long run."""
    reversed_, supported = 0, 0
    for k in range(60):
        random = np.random.default_rng(k)
        faces = random.normal(7, 2.5, FACES)
        errors = {
            name: [faces + random.normal(0, 0.8) + random.normal(0, 1.0, FACES) for _ in range(5)] for name in "abcde"
        }
        verdict = best_of_table("", "", "a", errors, dict.fromkeys("abcde", 1.0)).verdict
        reversed_ += verdict == REVERSED
        supported += verdict == SUPPORTED
    assert reversed_ <= 8  # P < 0.01 if 5 % is the rate
    assert supported <= 3


@pytest.mark.parametrize("rivals", [1, 4])
def test_the_interval_of_one_among_several_rivals_is_wide_enough_for_all_of_them(rivals):
    """Against Student's interval over seeds at Bonferroni's level; all faces have the same errors."""
    luck = np.random.default_rng(0).normal(0, 1, 8)
    names = "bcde"[:rivals]
    errors = {"a": [np.full(FACES, 7.0)] * 8, **{name: [np.full(FACES, 8 + x) for x in luck] for name in names}}
    _, low, high = best_of_table("", "", "a", errors, dict.fromkeys("abcde", 1.0)).difference
    wide = np.ptp(stats.t.interval(1 - 0.05 / rivals, 7, scale=luck.std(ddof=1) / 8**0.5))
    assert high - low == pytest.approx(wide, rel=0.15)


def test_one_seed_decides_nothing_however_clear():
    assert lower_error("", "NME", [FACE], [FACE + 5], "b", 0.1).verdict == UNDECIDED


def test_a_lead_that_only_one_of_three_seeds_has_is_not_decided():
    found = lower_error("", "NME", [FACE, FACE, FACE], [FACE + 3 + NOISE, FACE - 0.2, FACE - 0.1 + NOISE], "b", 0.1)
    assert found.difference[0] > 0.8
    assert found.verdict == UNDECIDED


def test_a_tie_holds_nothing_and_decides_nothing():
    found = best_of_table("a is best", "NME", "a", {"a": [FACE], "b": [FACE]}, {"a": 1.0, "b": 1.0})
    assert (found.held, found.verdict) == (0, UNDECIDED)


def test_what_is_worse_on_every_face_is_reversed():
    found = lower_error("a beats b", "NME", [FACE + 1] * 2, [FACE + NOISE] * 2, "b", 0.1)
    assert (found.held, found.verdict) == (0, REVERSED)


def test_an_interval_over_faces_covers_the_truth_about_as_often_as_it_says():
    covered = 0
    for k in range(200):
        random = np.random.default_rng(k)
        first, second = random.normal(7, 2, FACES), random.normal(7.5, 2, FACES)
        _, low, high = lower_error("", "", [first], [second], "", 0.0).difference
        covered += low <= 0.5 <= high
    assert 0.89 <= covered / 200 <= 0.99


def test_the_lead_in_auc_is_scikit_learns_and_ties_of_perfect_models_decide_nothing():
    gender = np.arange(FACES) % 2
    good, bad = gender + RANDOM.normal(0, 0.4, FACES), gender + RANDOM.normal(0, 1.5, FACES)
    found = larger_auc("good beats bad", "AUC", [good] * 2, [bad] * 2, gender, "bad", 0.01)
    assert found.difference[0] == pytest.approx(roc_auc_score(gender, good) - roc_auc_score(gender, bad))
    assert (found.held, found.verdict) == (2, SUPPORTED)
    perfect = larger_auc("", "AUC", [gender * 1.0], [gender * 2.0], gender, "", 0.0)
    assert perfect.difference == (0.0, 0.0, 0.0)
    assert (perfect.held, perfect.verdict) == (0, UNDECIDED)
