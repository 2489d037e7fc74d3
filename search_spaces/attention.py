"""Table IV and beyond: the multi-task model with self-attention and its d_k."""

from core.names import Architecture
from search_spaces.multitask import MULTITASK
from search_spaces.parameter import Int, Parameter
from search_spaces.space import Space

# The paper tries the powers of two from 32 to 512 and asks for the values between.
ATTENDING: dict[str, Parameter] = {"d_k": Int(32, 512, log=True)}

ATTENTION = Space(
    name="attention",
    summary="gender and landmarks with self-attention before each head (paper, table IV)",
    parameters={**MULTITASK.parameters, **ATTENDING},
    conditions=MULTITASK.conditions,
    fixed={"architecture": str(Architecture.ATTENTION)},
)
