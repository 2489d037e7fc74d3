import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from core.losses import gender_loss, huber_loss, joint_loss, l1_loss, l2_loss, landmark_loss, smooth_l1_loss, wing_loss
from core.names import LandmarkLoss

OWN_PARAMETERS = {"beta": 0.03, "delta": 0.05, "w": 10 / 224, "epsilon": 2 / 224}


def drawn_landmarks(seed: int, faces: int = 7) -> torch.Tensor:
    return torch.rand(faces, 5, 2, generator=torch.Generator().manual_seed(seed))


def of_one_error(loss, error: float, **parameters: float) -> float:
    """The loss when every coordinate of three faces is off by the same error."""
    true = torch.zeros(3, 5, 2)
    return loss(true + error, true, **parameters).item()


@pytest.mark.parametrize("kind", LandmarkLoss)
def test_every_landmark_loss_is_a_scalar_that_is_zero_only_for_perfect_predictions(kind: LandmarkLoss) -> None:
    loss, true = landmark_loss(kind, **OWN_PARAMETERS), drawn_landmarks(0)
    assert loss(true, true).shape == ()
    assert loss(true, true).item() == 0
    assert loss(drawn_landmarks(1), true).item() > 0


@pytest.mark.parametrize("kind", LandmarkLoss)
def test_every_landmark_loss_is_a_mean_and_so_indifferent_to_repeating_the_batch(kind: LandmarkLoss) -> None:
    loss, predicted, true = landmark_loss(kind, **OWN_PARAMETERS), drawn_landmarks(1), drawn_landmarks(2)
    twice = loss(predicted.repeat(2, 1, 1), true.repeat(2, 1, 1))
    assert twice.item() == pytest.approx(loss(predicted, true).item(), rel=1e-6)


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("kind", LandmarkLoss)
def test_every_landmark_loss_computes_in_float32_whatever_it_is_given(kind: LandmarkLoss, autocast: bool) -> None:
    loss = landmark_loss(kind, **OWN_PARAMETERS)
    predicted, true = drawn_landmarks(1).bfloat16(), drawn_landmarks(2).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        result = loss(predicted, true)
    assert result.dtype == torch.float32
    assert result.item() == loss(predicted.float(), true.float()).item()


@pytest.mark.parametrize("kind", LandmarkLoss)
def test_every_landmark_loss_pulls_predictions_towards_the_truth(kind: LandmarkLoss) -> None:
    true = drawn_landmarks(2)
    predicted = drawn_landmarks(1).requires_grad_()
    landmark_loss(kind, **OWN_PARAMETERS)(predicted, true).backward()
    assert torch.equal(predicted.grad.sign(), (predicted - true).sign())


@pytest.mark.parametrize("kind", LandmarkLoss)
def test_a_perfect_prediction_has_no_gradient(kind: LandmarkLoss) -> None:
    true = drawn_landmarks(2)
    predicted = true.clone().requires_grad_()
    landmark_loss(kind, **OWN_PARAMETERS)(predicted, true).backward()
    assert torch.count_nonzero(predicted.grad) == 0


def test_the_parameters_reach_the_loss_they_belong_to() -> None:
    predicted, true = drawn_landmarks(1), drawn_landmarks(2)

    def value(kind: LandmarkLoss) -> float:
        return landmark_loss(kind, **OWN_PARAMETERS)(predicted, true).item()

    assert value(LandmarkLoss.L1) == l1_loss(predicted, true).item()
    assert value(LandmarkLoss.L2) == l2_loss(predicted, true).item()
    assert value(LandmarkLoss.SMOOTH_L1) == smooth_l1_loss(predicted, true, 0.03).item()
    assert value(LandmarkLoss.HUBER) == huber_loss(predicted, true, 0.05).item()
    assert value(LandmarkLoss.WING) == wing_loss(predicted, true, 10 / 224, 2 / 224).item()


def test_l1_and_l2_average_over_faces_landmarks_and_coordinates() -> None:
    true = torch.zeros(2, 5, 2)
    predicted = true.clone()
    predicted[1, 3, 0] = 0.4  # one of 20 coordinates
    assert l1_loss(predicted, true).item() == pytest.approx(0.4 / 20)
    assert l2_loss(predicted, true).item() == pytest.approx(0.16 / 20)


def test_smooth_l1_is_quadratic_below_beta_and_linear_above() -> None:
    assert of_one_error(smooth_l1_loss, 0.1, beta=0.2) == pytest.approx(0.1**2 / (2 * 0.2))
    assert of_one_error(smooth_l1_loss, -0.5, beta=0.2) == pytest.approx(0.5 - 0.2 / 2)


def test_huber_is_quadratic_below_delta_and_linear_above() -> None:
    assert of_one_error(huber_loss, 0.1, delta=0.2) == pytest.approx(0.1**2 / 2)
    assert of_one_error(huber_loss, -0.5, delta=0.2) == pytest.approx(0.2 * (0.5 - 0.2 / 2))


@given(error=st.floats(-3, 3, width=32), delta=st.floats(0.01, 2))
def test_huber_is_delta_times_smooth_l1(error: float, delta: float) -> None:
    smooth = of_one_error(smooth_l1_loss, error, beta=delta)
    assert of_one_error(huber_loss, error, delta=delta) == pytest.approx(delta * smooth, rel=1e-5, abs=1e-12)


def test_with_the_papers_parameters_smooth_l1_and_huber_are_half_of_l2_on_fractions() -> None:
    predicted, true = drawn_landmarks(1), drawn_landmarks(2)  # every error is below 1
    half = l2_loss(predicted, true).item() / 2
    assert smooth_l1_loss(predicted, true, beta=1.0).item() == pytest.approx(half, rel=1e-6)
    assert huber_loss(predicted, true, delta=1.0).item() == pytest.approx(half, rel=1e-6)


def test_wing_at_points_worked_by_hand() -> None:
    w, epsilon = 0.5, 0.25
    constant = 0.5 - 0.5 * math.log(3)  # 1 + w / epsilon = 3
    assert of_one_error(wing_loss, 0.25, w=w, epsilon=epsilon) == pytest.approx(0.5 * math.log(2))
    assert of_one_error(wing_loss, -0.75, w=w, epsilon=epsilon) == pytest.approx(0.75 - constant)


def test_wing_is_continuous_where_its_branches_meet() -> None:
    w, epsilon = 10 / 224, 2 / 224
    below, above = (of_one_error(wing_loss, w * (1 + step), w=w, epsilon=epsilon) for step in (-1e-5, 1e-5))
    assert above - below == pytest.approx(0, abs=2e-6)
    assert above == pytest.approx(w * math.log(6), rel=1e-4)


def test_gender_loss_of_equal_logits_is_ln_2() -> None:
    assert gender_loss(torch.full((4, 2), 3.0), torch.tensor([0, 1, 1, 0])).item() == pytest.approx(math.log(2))


def test_gender_loss_is_the_mean_of_minus_log_softmax_of_the_true_class() -> None:
    logits = torch.tensor([[0.0, 2.0], [1.0, -1.0]])
    expected = (math.log(1 + math.exp(-2)) + math.log(1 + math.exp(2))) / 2
    assert gender_loss(logits, torch.tensor([1, 1], dtype=torch.uint8)).item() == pytest.approx(expected)


def test_gender_loss_computes_in_float32_under_autocast() -> None:
    logits, gender = torch.tensor([[0.0, 2.0], [1.0, -1.0]]).bfloat16(), torch.tensor([1, 0])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert gender_loss(logits, gender).dtype == torch.float32
    assert gender_loss(logits, gender).dtype == torch.float32


def test_joint_loss_weighs_gender_by_lambda1_and_landmarks_by_lambda2() -> None:
    gender, landmarks = torch.tensor(0.25, requires_grad=True), torch.tensor(0.5, requires_grad=True)
    loss = joint_loss(gender, landmarks, lambda1=2.0, lambda2=20.0)
    loss.backward()
    assert loss.item() == 2 * 0.25 + 20 * 0.5
    assert (gender.grad.item(), landmarks.grad.item()) == (2, 20)
