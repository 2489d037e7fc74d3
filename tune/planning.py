"""From the options of scripts/search.py to a plan, with what is to be said of it."""

from collections.abc import Mapping
from typing import Any

from core.device import device_at_hand
from core.errors import UserError
from core.names import PARETO
from core.preparation import check_weights_place
from search_spaces.catalogue import find_space
from search_spaces.parts import NOTHING_SHARED, WEIGHING
from search_spaces.space import Space
from tune.options import picked_profile
from tune.plan import Plan, grid_options
from tune.profile import Profile, parse_settings, searched_space
from tune.study import Sampler
from tune.two_goals import two_goal_options


def new_plan(
    given: Mapping[str, Any], space: Space, settings: Mapping[str, Any], gpus: float
) -> tuple[Plan, list[str]]:
    """A plan from the options of a new run, and lines that say what was decided.

    Args:
        gpus: that each trial will have.

    Raises:
        UserError: options that cannot be, or not together.
    """
    profile, reason = picked_profile(given, gpus)
    names = set(Plan.__dataclass_fields__) - {"space", "profile"}
    options = {key: value for key, value in given.items() if key in names}
    settled = searched_space(space, profile, settings, given.get("vary", []))
    if "sampler" in options:
        options["sampler"] = Sampler(options["sampler"])
    if options.get("objective") == PARETO:
        options = two_goal_options(options)
    if options.get("sampler", Sampler.GRID if settled.cells else None) is Sampler.GRID:
        options = grid_options(settled, options)
    left = [key for key in WEIGHING if key in space.parameters and key not in {*settled.parameters, *settings}]
    told = [f"{' and '.join(left)} are not searched: {NOTHING_SHARED}"] if left else []
    return Plan(space=settled.to_json(), profile=profile, **options), [reason, *told]


def check_early(given: Mapping[str, Any], space: Space, settings: Mapping[str, Any]) -> None:
    """Refuse now, before a cluster is waited for or faces are decoded, what no machine could do.

    Raises:
        UserError: no plan comes of these options with either profile, or there is no such file of weights.
    """
    check_weights_place(given.get("weights", Plan.weights))
    refused = []
    for gpus in (0.0, 1.0):
        try:
            new_plan(given, space, settings, gpus)
        except UserError as error:
            refused.append(error)
    if len(refused) == len(Profile):
        raise refused[0]


def described(given: Mapping[str, Any]) -> str:
    """The space as it would be searched on this machine."""
    profile, reason = picked_profile(given, float(device_at_hand().type == "cuda"))
    space, settings = find_space(given["space"]), parse_settings(given.get("set", []))
    return f"{searched_space(space, profile, settings, given.get('vary', [])).describe()}\n{reason}"
