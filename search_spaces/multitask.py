"""Table III and beyond: both tasks on one trunk, with lambda1 and lambda2 of equation 17."""

from core.names import Architecture
from search_spaces.gender import OPTIMISATION
from search_spaces.landmarks import REGRESSION, REGRESSION_CONDITIONS
from search_spaces.parameter import Float, Parameter
from search_spaces.space import Space

# The paper tries 1, 5 and 20 for each. Losses like L2 are a tenth of L1, so lambda2 reaches further up.
WEIGHTING: dict[str, Parameter] = {
    "lambda1": Float(1.0, 20.0, log=True),
    "lambda2": Float(1.0, 100.0, log=True),
}

MULTITASK = Space(
    name="multitask",
    summary="gender and landmarks together (paper, table III)",
    parameters={**OPTIMISATION, **REGRESSION, **WEIGHTING},
    conditions=REGRESSION_CONDITIONS,
    fixed={"architecture": str(Architecture.MULTITASK)},
)
