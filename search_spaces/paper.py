"""The paper's four grids (tables I to IV), each around what the paper had chosen before (figure 10).

Everything else is the paper's too: learning rate 0.001, batches of 15; smooth L1 and Huber with its beta and delta of
1.
"""

from core.names import Architecture, LandmarkLoss, Optimizer
from search_spaces.parameter import Choice, Value
from search_spaces.space import Space

PAPER_FIXED: dict[str, Value] = {
    "lr": 1e-3,
    "batch_size": 15,
    "dropout": 0.5,
    "smooth_l1_beta": 1.0,
    "huber_delta": 1.0,
}

PAPER_CHOICES: dict[str, Value] = {
    "optimizer": str(Optimizer.ADAMAX),
    "landmark_loss": str(LandmarkLoss.L1),
    "lambda1": 1.0,
    "lambda2": 20.0,
    "d_k": 512,
}
"""What the paper chose from tables I to IV."""

OPTIMIZERS = (Optimizer.ADAM, Optimizer.ADAMAX, Optimizer.ADAGRAD, Optimizer.RMSPROP)
LOSSES = (LandmarkLoss.L1, LandmarkLoss.L2, LandmarkLoss.SMOOTH_L1, LandmarkLoss.HUBER, LandmarkLoss.WING)
SIZES = (32, 64, 128, 256, 512)
LAMBDAS = ((1.0, 1.0), (1.0, 5.0), (5.0, 1.0), (1.0, 20.0), (20.0, 1.0))


def _chosen(*keys: str) -> dict[str, Value]:
    return {key: PAPER_CHOICES[key] for key in keys}


PAPER_GENDER = Space(
    name="paper_gender",
    summary="the paper's table I: four optimisers",
    parameters={"optimizer": Choice(tuple(map(str, OPTIMIZERS)))},
    fixed={"architecture": str(Architecture.GENDER), **PAPER_FIXED},
    cells=tuple({"optimizer": str(optimizer)} for optimizer in OPTIMIZERS),
)

PAPER_LANDMARKS = Space(
    name="paper_landmarks",
    summary="the paper's table II: five landmark losses",
    parameters={"landmark_loss": Choice(tuple(map(str, LOSSES)))},
    fixed={"architecture": str(Architecture.LANDMARKS), **PAPER_FIXED, **_chosen("optimizer")},
    cells=tuple({"landmark_loss": str(loss)} for loss in LOSSES),
)

PAPER_MULTITASK = Space(
    name="paper_multitask",
    summary="the paper's table III: five pairs of lambda1 and lambda2",
    parameters={"lambda1": Choice((1.0, 5.0, 20.0)), "lambda2": Choice((1.0, 5.0, 20.0))},
    fixed={"architecture": str(Architecture.MULTITASK), **PAPER_FIXED, **_chosen("optimizer", "landmark_loss")},
    cells=tuple({"lambda1": one, "lambda2": two} for one, two in LAMBDAS),
)

PAPER_ATTENTION = Space(
    name="paper_attention",
    summary="the paper's table IV: five sizes of queries, keys and values",
    parameters={"d_k": Choice(SIZES)},
    fixed={
        "architecture": str(Architecture.ATTENTION),
        **PAPER_FIXED,
        **_chosen("optimizer", "landmark_loss", "lambda1", "lambda2"),
    },
    cells=tuple({"d_k": size} for size in SIZES),
)
