"""What a search for two goals (``--objective pareto``) cannot be combined with, and what it does by default."""

from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import UserError
from core.names import PARETO, TASKS, Architecture
from tune.study import Sampler

TOP_K = 3  # a compromise, and two of those that give up one goal for the other


def two_goal_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """``options`` of a plan completed for two goals: several of each front are retrained."""
    return {"top_k": TOP_K, **options}


def check_two_goals(
    space: str, kinds: Sequence[Architecture], sampler: Sampler, race: int, rank_by: str | None
) -> None:
    """Refuse what makes no sense with two goals.

    Args:
        space: its name; ``kinds`` are the models in it.

    Raises:
        UserError: no model has both goals, or a rule that knows one goal only.
    """
    if all(len(TASKS[kind]) == 1 for kind in kinds):
        raise UserError(f"--objective {PARETO}: no model in space {space} has both tasks")
    if sampler is Sampler.GRID:
        raise UserError(f"--objective {PARETO}: a grid's rows are ranked by one metric, as the paper does")
    if race:
        raise UserError(f"--race {race}: it finds the best by one metric, and --objective {PARETO} has two goals")
    if rank_by is not None:
        raise UserError(f"--rank-by {rank_by}: with --objective {PARETO} winners are chosen by their front")
