import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from core import metrics
from core.metrics import Predictions, Truth, baseline_predictions, baseline_scores, relative_error, score
from core.names import GENDER_METRICS, LANDMARK_METRICS
from core.objective import Objective

FACE = np.array([[80, 100], [120, 100], [100, 120], [85, 150], [115, 150]], dtype=np.float32)  # eyes 40 px apart
LOGITS = st.lists(st.tuples(*[st.integers(-3, 3)] * 2, st.booleans()), min_size=2, max_size=40)  # many ties


def truth_of(gender: list[int]) -> Truth:
    return Truth(np.array(gender), np.tile(FACE, (len(gender), 1, 1)))


def drawn(seed: int, faces: int = 50) -> tuple[Predictions, Truth]:
    rng = np.random.default_rng(seed)
    truth = truth_of([0, 1] * (faces // 2))
    landmarks = truth.landmarks + rng.normal(0, 3, truth.landmarks.shape).astype(np.float32)
    return Predictions(rng.normal(0, 1, (faces, 2)).astype(np.float32), landmarks), truth


def gender_scores(logits: np.ndarray, gender: np.ndarray) -> dict[str, float]:
    return score(Predictions(gender_logits=logits), truth_of(gender.tolist()))


def landmark_scores(*offsets_px: np.ndarray | float) -> dict[str, float]:
    """Scores of one face for each offset, which is added to the true landmarks."""
    truth = truth_of([0] * len(offsets_px))
    moved = np.stack([FACE + np.broadcast_to(offset, (5, 2)) for offset in offsets_px])
    return score(Predictions(landmarks=moved), truth)


def test_scores_have_the_names_of_the_tasks_that_were_predicted() -> None:
    predictions, truth = drawn(0)
    assert tuple(score(predictions, truth)) == GENDER_METRICS + LANDMARK_METRICS
    assert tuple(score(Predictions(gender_logits=predictions.gender_logits), truth)) == GENDER_METRICS
    assert tuple(score(Predictions(landmarks=predictions.landmarks), truth)) == LANDMARK_METRICS


@pytest.mark.parametrize("name", [f"val_{name}" for name in (*GENDER_METRICS, *LANDMARK_METRICS) if "std" not in name])
def test_as_an_objective_every_metric_costs_less_where_predictions_are_right(name: str) -> None:
    truth = truth_of([0, 1] * 5)
    right = 9 * np.eye(2, dtype=np.float32)[truth.gender]
    good, bad = (
        {f"val_{key}": value for key, value in score(Predictions(sign * right, truth.landmarks + off), truth).items()}
        for sign, off in ((1, 0), (-1, 30))
    )
    assert Objective(name).cost(good) < Objective(name).cost(bad)


@given(LOGITS)
def test_gender_scores_agree_with_scikit_learn(faces: list[tuple[int, int, bool]]) -> None:
    logits = np.array([face[:2] for face in faces], dtype=np.float32)
    gender = np.array([face[2] for face in faces], dtype=int)
    scores, predicted = gender_scores(logits, gender), logits.argmax(axis=1)
    oracle = {
        "gender_accuracy": sklearn_metrics.accuracy_score(gender, predicted),
        "gender_precision": sklearn_metrics.precision_score(gender, predicted, zero_division=0),
        "gender_recall": sklearn_metrics.recall_score(gender, predicted, zero_division=0),
        "gender_f1": sklearn_metrics.f1_score(gender, predicted, zero_division=0),
    }
    if len(set(gender)) == 2:
        oracle["gender_auc"] = sklearn_metrics.roc_auc_score(gender, logits[:, 1] - logits[:, 0])
    assert {name: scores[name] for name in oracle} == pytest.approx(oracle, abs=1e-12)


@given(LOGITS)
def test_confusion_agrees_with_scikit_learn(faces: list[tuple[int, int, bool]]) -> None:
    logits = np.array([face[:2] for face in faces], dtype=np.float32)
    gender = np.array([face[2] for face in faces], dtype=int)
    oracle = sklearn_metrics.confusion_matrix(gender, logits.argmax(axis=1), labels=[0, 1])
    assert np.array_equal(metrics.confusion(metrics.gender_margin(logits), gender), oracle)


def test_cross_entropy_agrees_with_torch() -> None:
    predictions, truth = drawn(3)
    oracle = torch.nn.functional.cross_entropy(torch.tensor(predictions.gender_logits), torch.tensor(truth.gender))
    assert score(predictions, truth)["gender_ce"] == pytest.approx(oracle.item(), rel=1e-6)


def test_cross_entropy_of_a_very_sure_and_wrong_answer_is_its_margin_and_not_infinite() -> None:
    assert gender_scores(np.array([[2000.0, -2000.0]]), np.array([1]))["gender_ce"] == 4000


def test_auc_of_faces_of_one_gender_is_nan_and_the_other_scores_are_not() -> None:
    scores = gender_scores(np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([1, 1]))
    assert math.isnan(scores.pop("gender_auc"))
    assert all(math.isfinite(value) for value in scores.values())


def test_precision_recall_and_f1_are_zero_when_no_man_is_predicted() -> None:
    scores = gender_scores(np.array([[1.0, 0.0]] * 2), np.array([0, 1]))
    assert (scores["gender_precision"], scores["gender_recall"], scores["gender_f1"]) == (0, 0, 0)


def test_auc_does_not_lose_order_where_probabilities_saturate() -> None:
    scores = gender_scores(np.array([[0.0, 800.0], [0.0, 801.0]]), np.array([0, 1]))
    assert scores["gender_auc"] == 1


def test_nme_of_a_shift_by_one_eye_distance_is_100_percent() -> None:
    assert landmark_scores(np.array([0, 40]))["nme_pct"] == 100


def test_nme_is_a_distance_and_so_a_diagonal_shift_counts_by_its_length() -> None:
    assert landmark_scores(np.array([3, 4]))["nme_pct"] == pytest.approx(100 * 5 / 40)


def test_nme_is_in_proportion_to_each_true_faces_own_eyes() -> None:
    large, small = FACE, FACE / 2  # eyes 40 and 20 px apart
    truth = Truth(np.array([0, 1]), np.stack([large, small]))
    moved = Predictions(landmarks=truth.landmarks + np.array([4, 0]))
    assert metrics.nme_per_face_pct(moved.landmarks, truth.landmarks).tolist() == pytest.approx([10, 20])
    assert score(moved, truth)["nme_pct"] == pytest.approx(15)


def test_nme_is_in_proportion_to_the_true_and_not_the_predicted_eyes() -> None:
    eyes_apart = np.array([[-10, 0], [10, 0], [0, 0], [0, 0], [0, 0]])  # predicted 60 px apart, truly 40
    assert landmark_scores(eyes_apart)["nme_pct"] == pytest.approx(100 * (10 + 10) / 5 / 40)


def test_landmark_scores_of_perfect_predictions_are_at_their_best() -> None:
    scores = landmark_scores(0.0, 0.0)
    assert (scores.pop("ced_auc100"), scores.pop("ced_auc10")) == (1, 1)
    assert set(scores.values()) == {0}


def test_l1_is_a_fraction_of_the_crop() -> None:
    assert landmark_scores(np.array([2.24, -4.48]))["landmark_l1"] == pytest.approx(0.015, rel=1e-5)


def test_spread_of_nme_is_over_faces_and_divides_by_their_number() -> None:
    scores = landmark_scores(np.array([4, 0]), np.array([8, 0]))  # NME 10 and 20
    assert (scores["nme_pct"], scores["nme_std_pct"]) == pytest.approx((15, 5))


def test_failure_rates_count_landmarks_and_faces_apart() -> None:
    one_landmark = np.zeros((5, 2))
    one_landmark[2] = [0, 5]  # 12.5 % of the eye distance, 2.5 % in the mean of its face
    scores = landmark_scores(one_landmark, np.array([8, 0]), 0.0, 0.0)
    assert scores["fr10_pct"] == pytest.approx(100 * 6 / 20)
    assert scores["fr10_face_pct"] == pytest.approx(100 * 1 / 4)


def test_an_error_of_exactly_10_percent_is_no_failure() -> None:
    scores = landmark_scores(np.array([4, 0]))
    assert (scores["fr10_pct"], scores["fr10_face_pct"]) == (0, 0)


def test_areas_under_the_error_distribution_are_capped_at_their_limit() -> None:
    scores = landmark_scores(np.array([2, 0]), np.array([80, 0]))  # NME 5 and 200
    assert scores["ced_auc100"] == pytest.approx(1 - (0.05 + 1) / 2)
    assert scores["ced_auc10"] == pytest.approx(1 - (0.5 + 1) / 2)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_prediction_that_is_not_finite_makes_all_scores_of_its_task_nan(bad: float) -> None:
    predictions, truth = drawn(4)
    predictions.gender_logits[7] = bad
    predictions.landmarks[7, 2, 0] = bad
    assert all(math.isnan(value) for value in score(predictions, truth).values())


def test_a_face_whose_eyes_coincide_is_refused_by_its_number() -> None:
    landmarks = np.stack([FACE, FACE])
    landmarks[1, 1] = landmarks[1, 0]
    with pytest.raises(ValueError, match=r"eyes of a face must be apart, face 1"):
        Truth(np.array([0, 1]), landmarks)


def test_no_faces_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one face"):
        Truth(np.array([], dtype=int), np.zeros((0, 5, 2)))


def test_drawn_faces_score_as_if_they_had_been_predicted_so() -> None:
    predictions, truth = drawn(5)
    faces = np.array([3, 3, 8, 41])
    expected = score(
        Predictions(predictions.gender_logits[faces], predictions.landmarks[faces]),
        Truth(truth.gender[faces], truth.landmarks[faces]),
    )
    assert metrics.summary(metrics.face_errors(predictions, truth).draw(faces)) == expected


def test_relative_error_is_each_tasks_error_over_that_of_knowing_nothing() -> None:
    assert relative_error({"gender_ce": math.log(2) / 4}, mean_face_nme_pct=8) == pytest.approx(0.25)
    assert relative_error({"nme_pct": 6}, mean_face_nme_pct=8) == pytest.approx(0.75)
    assert relative_error({"gender_ce": math.log(2) / 4, "nme_pct": 6}, mean_face_nme_pct=8) == pytest.approx(0.5)


def test_the_baseline_predicts_the_training_mean_face_and_the_share_of_men() -> None:
    train = Truth(np.array([0, 1, 1, 1]), np.stack([FACE, FACE + 2, FACE + 4, FACE + 6]))
    predictions = baseline_predictions(train, faces=3)
    assert np.array_equal(predictions.landmarks, np.tile(FACE + 3, (3, 1, 1)))
    assert np.exp(predictions.gender_logits) == pytest.approx(np.tile([0.25, 0.75], (3, 1)))


def test_the_baseline_of_balanced_faces_is_useless_by_every_measure() -> None:
    rng = np.random.default_rng(6)
    landmarks = FACE + rng.normal(0, 2, (90, 5, 2))
    gender = np.tile([0, 1], 45)
    scores = baseline_scores(Truth(gender[:80], landmarks[:80]), Truth(gender[80:], landmarks[80:]))
    mean_face = np.tile(landmarks[:80].mean(axis=0), (10, 1, 1))
    assert scores["gender_ce"] == pytest.approx(math.log(2))
    assert (scores["gender_accuracy"], scores["gender_auc"]) == (0.5, 0.5)
    assert scores["nme_pct"] == pytest.approx(metrics.nme_per_face_pct(mean_face, landmarks[80:]).mean())
    assert scores["relative_error"] == pytest.approx(1)


def test_the_baselines_predicted_gender_is_the_majority() -> None:
    train = Truth(np.array([0, 1, 1]), np.stack([FACE, FACE + 2, FACE + 4]))
    scores = baseline_scores(train, truth_of([0, 0, 1, 1, 1]))
    assert scores["gender_accuracy"] == pytest.approx(3 / 5)
    assert scores["gender_recall"] == 1
