import math

import numpy as np
import pytest
from scipy.stats import t

from core.bootstrap import (
    bootstrap_scores,
    drawing_faces,
    paired_difference,
    too_few,
    twofold_auc_difference,
    twofold_difference,
)
from core.metrics import Predictions, Truth, score
from core.names import GENDER_METRICS, LANDMARK_METRICS

FACE = np.array([[80, 100], [120, 100], [100, 120], [85, 150], [115, 150]], dtype=np.float64)  # eyes 40 px apart


def truth_of(gender: np.ndarray) -> Truth:
    return Truth(gender, np.tile(FACE, (len(gender), 1, 1)))


def shifted(nme_pct_N: np.ndarray) -> Predictions:
    """Landmarks that give each face the NME asked for: all shifted right by that share of 40 px."""
    shift_NLX = np.zeros((len(nme_pct_N), 5, 2))
    shift_NLX[:, :, 0] = 0.4 * nme_pct_N[:, None]
    return Predictions(landmarks=FACE + shift_NLX)


def drawn(seed: int, faces: int = 40) -> tuple[Predictions, Truth]:
    rng = np.random.default_rng(seed)
    truth = truth_of(np.arange(faces) % 2)
    logits = rng.normal(0, 1, (faces, 2)) + np.eye(2)[truth.gender]
    return Predictions(logits, truth.landmarks + rng.normal(0, 3, (faces, 5, 2))), truth


def test_the_value_is_the_mean_over_runs_of_the_score_on_all_faces() -> None:
    (first, truth), (second, _) = drawn(0), drawn(1)
    estimates = bootstrap_scores([first, second], truth, resamples=20, seed=0)
    assert tuple(estimates) == GENDER_METRICS + LANDMARK_METRICS
    a, b = score(first, truth), score(second, truth)
    assert {name: value for name, (value, _, _) in estimates.items()} == pytest.approx(
        {name: (a[name] + b[name]) / 2 for name in a}
    )


def test_the_value_lies_within_its_interval() -> None:
    predictions, truth = drawn(2)
    estimates = bootstrap_scores([predictions], truth, resamples=500, seed=0)
    assert all(low < value < high for value, low, high in estimates.values())


def test_the_same_seed_gives_the_same_intervals_and_another_does_not() -> None:
    predictions, truth = drawn(3)
    first, again, other = (bootstrap_scores([predictions], truth, resamples=50, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first["nme_pct"][1:] != other["nme_pct"][1:]


def test_runs_are_scored_on_the_same_resample() -> None:
    # one run errs where the other does not: the mean of the two is the same on every set of faces
    mirrored = np.tile([0.0, 20.0], 20)
    truth = truth_of(np.repeat([0, 1], 20))
    estimates = bootstrap_scores([shifted(mirrored), shifted(20 - mirrored)], truth, resamples=200, seed=0)
    assert estimates["nme_pct"] == pytest.approx((10, 10, 10))


def test_every_resample_keeps_the_number_of_women_and_men() -> None:
    # the error depends on gender alone, so only a change in the numbers could move the mean
    gender = np.array([0] * 30 + [1] * 2)
    estimates = bootstrap_scores([shifted(np.where(gender == 1, 32.0, 0.0))], truth_of(gender), resamples=200, seed=0)
    assert estimates["nme_pct"] == pytest.approx((2, 2, 2))


def test_auc_is_defined_on_every_resample_even_with_one_man() -> None:
    gender = np.array([1] + [0] * 9)
    logits = np.stack([np.zeros(10), np.arange(10.0)[::-1]], axis=1)
    estimates = bootstrap_scores([Predictions(gender_logits=logits)], truth_of(gender), resamples=200, seed=0)
    assert estimates["gender_auc"] == (1, 1, 1)


def test_faces_of_one_gender_have_an_auc_of_nan_and_other_scores() -> None:
    predictions = Predictions(gender_logits=np.eye(2)[[0, 1, 1, 0]])
    estimates = bootstrap_scores([predictions], truth_of(np.ones(4, dtype=int)), resamples=50, seed=0)
    assert all(math.isnan(value) for value in estimates["gender_auc"])
    assert estimates["gender_accuracy"][0] == 0.5


def test_relative_error_is_estimated_where_the_mean_faces_error_is_known() -> None:
    truth = truth_of(np.tile([0, 1], 20))
    predictions = shifted(np.linspace(0, 8, 40))
    estimates = bootstrap_scores([predictions], truth, resamples=100, seed=0, mean_face_nme_pct=8)
    assert estimates["relative_error"] == pytest.approx([end / 8 for end in estimates["nme_pct"]])


def test_intervals_hold_the_true_mean_about_95_times_in_100() -> None:
    rng, truth = np.random.default_rng(4), truth_of(np.tile([0, 1], 20))
    held = 0
    for experiment in range(100):
        predictions = shifted(rng.gamma(4, 2, 40))  # skewed like real errors, mean 8
        _, low, high = bootstrap_scores([predictions], truth, resamples=200, seed=experiment)["nme_pct"]
        held += low <= 8 <= high
    assert 88 <= held <= 99  # binomial(100, 0.93): within about two standard deviations


def test_paired_difference_has_the_sign_of_a_minus_b_and_ignores_what_faces_share() -> None:
    rng = np.random.default_rng(5)
    hard_or_easy = rng.gamma(2, 10, 50)  # spread of 14 between faces
    mean, low, high = paired_difference(hard_or_easy + rng.normal(1, 0.5, 50), hard_or_easy, seed=0)
    assert 0.5 < low < mean < high < 1.5


def test_paired_difference_of_equal_models_is_around_zero() -> None:
    rng = np.random.default_rng(6)
    mean, low, high = paired_difference(rng.normal(8, 2, 50), rng.normal(8, 2, 50), seed=0)
    assert low < 0 < high
    assert low < mean < high


def test_paired_difference_repeats_by_seed() -> None:
    a = np.arange(20.0)
    first, again, other = (paired_difference(a, a**1.5, resamples=100, seed=seed) for seed in (3, 3, 4))
    assert first == again != other


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_an_interval_over_few_seeds_covers_the_truth_as_often_as_it_says(seeds: int) -> None:
    """All of the difference is luck of training, and the truth is 0: no resampling of faces hides a narrow interval."""
    rng, covered = np.random.default_rng(seeds), 0
    for experiment in range(300):
        first, second = (np.tile(rng.normal(7, 0.5, (seeds, 1)), 4) for _ in range(2))
        _, low, high = twofold_difference(first, second, resamples=300, seed=experiment)
        covered += low <= 0 <= high
    assert 0.91 <= covered / 300 <= 0.98  # binomial(300, 0.95), and percentiles of 300 resamples are a little narrow


def test_an_interval_of_areas_is_students_where_all_is_luck_of_training() -> None:
    gender = np.arange(20) % 2
    right, wrong, unsure = (2.0 * gender - 1, 1 - 2.0 * gender, np.zeros(20))  # areas of 1, 0 and a half on any faces
    value, low, high = twofold_auc_difference(
        np.stack([right, right, wrong]), np.stack([unsure] * 3), gender, resamples=6000, seed=0
    )
    gains = np.array([0.5, 0.5, -0.5])
    expected = t.interval(0.95, 2, loc=gains.mean(), scale=gains.std(ddof=1) / math.sqrt(3))
    assert value == pytest.approx(1 / 6)
    assert (low, high) == pytest.approx(expected, abs=0.15)


def test_a_difference_that_all_seeds_share_is_of_the_faces_alone() -> None:
    rng = np.random.default_rng(9)
    ours, theirs = rng.normal(8, 2, 50), rng.normal(8.5, 2, 50)
    _, low, high = twofold_difference(np.tile(ours, (3, 1)), np.tile(theirs, (3, 1)), seed=0)
    _, one_low, one_high = paired_difference(ours, theirs, seed=1)
    assert (low, high) == pytest.approx((one_low, one_high), abs=0.1)


def test_persons_are_drawn_with_all_of_their_faces_as_many_of_each_gender_as_there_are() -> None:
    gender = np.array([0, 0, 0, 1, 1, 1, 1, 0])
    person = np.array([5, 2, 5, 9, 9, 9, 3, 2])
    of_person = {5: [0, 2], 2: [1, 7], 9: [3, 4, 5], 3: [6]}
    drawing, rng = drawing_faces(gender, person), np.random.default_rng(0)
    seen = set()
    for _ in range(50):
        faces = drawing(rng).tolist()
        who = []
        while faces:
            who.append(int(person[faces[0]]))
            assert faces[: len(of_person[who[-1]])] == of_person[who[-1]]
            faces = faces[len(of_person[who[-1]]) :]
        assert [one in (5, 2) for one in who] == [True, True, False, False]
        seen.add(tuple(who))
    assert len(seen) > 8


def test_where_each_face_is_another_persons_nothing_is_otherwise_than_without_persons() -> None:
    predictions, truth = drawn(3)
    named = Truth(truth.gender, truth.landmarks, np.random.default_rng(0).permutation(40) + 7)
    plain, found = (bootstrap_scores([predictions], one, resamples=50, seed=0) for one in (truth, named))
    assert found == plain


def test_more_pictures_of_the_same_people_narrow_no_interval() -> None:
    """The oracle: faces that are copies of one another say nothing new."""
    (first, truth), (second, _) = drawn(4), drawn(5)
    person = np.tile(np.arange(40), 6)
    many = Truth(truth.gender[person], truth.landmarks[person], person)
    copies = [Predictions(one.gender_logits[person], one.landmarks[person]) for one in (first, second)]
    few = bootstrap_scores([first, second], truth, resamples=60, seed=0)
    found = bootstrap_scores(copies, many, resamples=60, seed=0)
    assert found.keys() == few.keys()
    for name, estimate in found.items():
        assert estimate == pytest.approx(few[name], rel=1e-9), name
    rng = np.random.default_rng(6)
    a, b = rng.normal(8, 2, (3, 40)), rng.normal(8.5, 2, (3, 40))
    settings = {"resamples": 60, "seed": 0}
    assert twofold_difference(a[:, person], b[:, person], person_N=person, **settings) == pytest.approx(
        twofold_difference(a, b, **settings)
    )
    assert paired_difference(a[0][person], b[0][person], person_N=person, **settings) == pytest.approx(
        paired_difference(a[0], b[0], **settings)
    )
    assert twofold_auc_difference(
        a[:, person], b[:, person], truth.gender[person], person_N=person, **settings
    ) == pytest.approx(twofold_auc_difference(a, b, truth.gender, **settings))


def test_an_interval_over_persons_covers_the_truth_as_often_as_it_says_and_one_over_their_faces_does_not() -> None:
    """Forty persons with up to ten faces each; most of the difference is the person's, and the truth is 0."""
    rng = np.random.default_rng(8)
    covered = {True: 0, False: 0}
    for experiment in range(200):
        person = np.repeat(np.arange(40), rng.integers(1, 11, 40))
        a = rng.normal(0, 1, 40)[person] + rng.normal(0, 0.5, person.size)
        for told in covered:
            _, low, high = paired_difference(
                a, np.zeros_like(a), resamples=200, seed=experiment, person_N=person if told else None
            )
            covered[told] += low <= 0 <= high
    assert 0.88 <= covered[True] / 200 <= 0.99
    assert covered[False] / 200 <= 0.75


@pytest.mark.parametrize(
    ("women", "men", "each", "with_gender", "short"),
    [
        (25, 25, 1, True, ""),
        (40, 4, 1, True, "only 4 men among the test faces"),
        (40, 4, 1, False, ""),
        (12, 12, 1, True, "only 24 people, 12 women, 12 men among the test faces"),
        (60, 60, 10, True, "only 12 people, 6 women, 6 men among the test faces"),
        (60, 60, 10, False, "only 12 people among the test faces"),
    ],
)
def test_too_few_people_or_of_either_gender_are_told(women, men, each, with_gender, short) -> None:
    gender = np.repeat([0, 1], [women, men])
    truth = Truth(gender, truth_of(gender).landmarks, np.arange(women + men) // each)
    told = too_few(truth, with_gender)
    assert told.partition("; ")[0] == short
    assert bool(told) == bool(short)
