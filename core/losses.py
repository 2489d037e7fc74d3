"""The losses of the paper as pure functions with one unit and one reduction, so that lambda means the same for each.

Landmarks are fractions of the crop's side, so an error e of 0.01 is 2.24 px. Every landmark loss is the mean over
faces, landmarks and coordinates, without a factor of the batch or of the number of landmarks. All compute in float32,
under autocast too: a bfloat16 step near 0.5 is 0.9 px. Shapes: B faces of a batch, L landmarks, X (x, y), C classes.
"""

import math
from collections.abc import Callable
from functools import partial

from torch import Tensor
from torch.nn import functional

from core.names import LandmarkLoss

Loss = Callable[[Tensor, Tensor], Tensor]


def gender_loss(logits_BC: Tensor, gender_B: Tensor) -> Tensor:
    """Cross-entropy (equation 2) in nats, mean over faces; logits (B, 2) in the order woman, man."""
    return functional.cross_entropy(logits_BC.float(), gender_B.long())


def l1_loss(predicted_BLX: Tensor, true_BLX: Tensor) -> Tensor:
    """Mean absolute error |e| (equation 10)."""
    return functional.l1_loss(predicted_BLX.float(), true_BLX.float())


def l2_loss(predicted_BLX: Tensor, true_BLX: Tensor) -> Tensor:
    """Mean squared error e², with no factor 1/2 (equation 9)."""
    return functional.mse_loss(predicted_BLX.float(), true_BLX.float())


def smooth_l1_loss(predicted_BLX: Tensor, true_BLX: Tensor, beta: float) -> Tensor:
    """Smooth L1 (equation 11): e² / (2 beta) where |e| < beta, else |e| - beta / 2."""
    return functional.smooth_l1_loss(predicted_BLX.float(), true_BLX.float(), beta=beta)


def huber_loss(predicted_BLX: Tensor, true_BLX: Tensor, delta: float) -> Tensor:
    """Huber (equation 12): e² / 2 where |e| < delta, else delta (|e| - delta / 2); delta times smooth L1."""
    return functional.huber_loss(predicted_BLX.float(), true_BLX.float(), delta=delta)


def wing_loss(predicted_BLX: Tensor, true_BLX: Tensor, w: float, epsilon: float) -> Tensor:
    """Wing (equation 13): w ln(1 + |e| / epsilon) where |e| < w, else |e| - C with C = w - w ln(1 + w / epsilon)."""
    error_BLX = (predicted_BLX.float() - true_BLX.float()).abs()
    constant = w - w * math.log1p(w / epsilon)
    return (w * (error_BLX / epsilon).log1p()).where(error_BLX < w, error_BLX - constant).mean()


def landmark_loss(kind: LandmarkLoss, *, beta: float, delta: float, w: float, epsilon: float) -> Loss:
    """The loss of one kind with its own parameters bound (smooth L1's beta, Huber's delta, Wing's w and epsilon).

    The result takes predicted and true landmarks (B, 5, 2) and returns a scalar; the parameters are fractions of the
    crop's side too, and those of other kinds are ignored.
    """
    losses: dict[LandmarkLoss, Loss] = {
        LandmarkLoss.L1: l1_loss,
        LandmarkLoss.L2: l2_loss,
        LandmarkLoss.SMOOTH_L1: partial(smooth_l1_loss, beta=beta),
        LandmarkLoss.HUBER: partial(huber_loss, delta=delta),
        LandmarkLoss.WING: partial(wing_loss, w=w, epsilon=epsilon),
    }
    return losses[kind]


def joint_loss(gender: Tensor, landmarks: Tensor, lambda1: float, lambda2: float) -> Tensor:
    """lambda1 * L_gender + lambda2 * L_landmarks (equation 17)."""
    return lambda1 * gender + lambda2 * landmarks
