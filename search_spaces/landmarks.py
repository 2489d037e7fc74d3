"""Table II and beyond: the landmark model's loss with its parameters, optimiser and learning rate."""

from core.names import Architecture, LandmarkLoss
from search_spaces.gender import OPTIMISATION
from search_spaces.parameter import Choice, Float, Parameter
from search_spaces.space import Condition, Space

# All are fractions of the crop's side (224 pixels). Smooth L1 and Huber with the paper's 1 are half of L2 for any face;
# below 0.1 they differ from it. Wing is said around Feng et al.'s 10 and 2 pixels.
REGRESSION: dict[str, Parameter] = {
    "landmark_loss": Choice(tuple(map(str, LandmarkLoss))),
    "smooth_l1_beta": Float(0.005, 1.0, log=True),
    "huber_delta": Float(0.005, 1.0, log=True),
    "wing_w": Float(0.01, 0.2, log=True),
    "wing_epsilon": Float(0.002, 0.05, log=True),
}
REGRESSION_CONDITIONS = {
    "smooth_l1_beta": Condition("landmark_loss", (str(LandmarkLoss.SMOOTH_L1),)),
    "huber_delta": Condition("landmark_loss", (str(LandmarkLoss.HUBER),)),
    "wing_w": Condition("landmark_loss", (str(LandmarkLoss.WING),)),
    "wing_epsilon": Condition("landmark_loss", (str(LandmarkLoss.WING),)),
}

LANDMARKS = Space(
    name="landmarks",
    summary="single-task landmark regression (paper, table II)",
    parameters={**OPTIMISATION, **REGRESSION},
    conditions=REGRESSION_CONDITIONS,
    fixed={"architecture": str(Architecture.LANDMARKS)},
)
