"""Table I and beyond: the gender model's optimiser together with its learning rate."""

from core.names import Architecture, Optimizer
from search_spaces.parameter import Choice, Float, Parameter
from search_spaces.space import Space

# The paper fixes 0.001, at which most optimisers ruin heads of this size within an epoch: it is the upper end here.
OPTIMISATION: dict[str, Parameter] = {
    "optimizer": Choice(tuple(map(str, Optimizer))),
    "lr": Float(1e-5, 1e-3, log=True),
}

GENDER = Space(
    name="gender",
    summary="single-task gender classification (paper, table I)",
    parameters=OPTIMISATION,
    fixed={"architecture": str(Architecture.GENDER)},
)
