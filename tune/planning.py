"""From the options of scripts/search.py to a plan, with what is to be said of it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from core.config import config_from_flat
from core.device import device_at_hand
from core.errors import UserError
from core.names import PARETO, Architecture
from core.preparation import check_places
from search_spaces.catalogue import find_space
from search_spaces.effect import matters
from search_spaces.joint import JOINT, MEASURED, helpful_parts, helpful_settings
from search_spaces.parameter import Parameter, Value, ends_of, typed
from search_spaces.parts import DEFAULTS, LOSS_KEYS, nothing_shared, with_parts, without_idle_weights
from search_spaces.space import Space
from tune.options import picked_profile
from tune.plan import Plan, grid_options
from tune.profile import PROFILES, Profile, parse_settings, settled_space
from tune.study import TPE_STARTS, Sampler
from tune.two_goals import two_goal_options

CONFLICTING = ("architecture", "landmark_head", "heatmap_block", "frozen_blocks")
"""The settings of which some values exclude each other (:class:`core.config.ModelConfig`)."""


def searched_space(
    space: Space, profile: Profile, settings: Mapping[str, Any], vary: Sequence[str], grid: bool = False
) -> tuple[Space, list[str]]:
    """What a search goes through: ``space`` settled, ``joint`` with what helps, with the parts that the user wants to
    ``vary``, and without the tasks' weights where they cannot matter; and lines that say so. A ``grid`` keeps its rows.

    Raises:
        UserError: as of :func:`search_spaces.parts.with_parts`.
    """
    helpful = helpful_settings({**PROFILES[profile], **settings}, vary) if space is JOINT else {}
    searching = space is JOINT and not grid  # a grid takes no range
    ours = helpful_parts({**PROFILES[profile], **helpful, **settings}, vary) if searching else []
    whole = with_parts(settled_space(space, profile, {**helpful, **settings}), [*vary, *ours])
    settled = " ".join(f"{key}={typed(value)}" for key, value in helpful.items())
    blocks = settings.get("frozen_blocks", PROFILES[profile].get("frozen_blocks", DEFAULTS["frozen_blocks"]))
    where = "" if blocks in MEASURED else f" with {' and '.join(map(str, MEASURED))} frozen blocks"
    words = [f"has what was measured to help{where}: {settled}"] if helpful else []
    words += [f"searches {' and '.join(ours)} too"] if ours else []
    told = [f"joint {', and '.join(words)} (override with --set or --vary)"] if words else []
    found = whole if grid or whole.cells else without_idle_weights(whole)
    left = [key for key in whole.parameters if key not in found.parameters]
    verb = "are" if len(left) > 1 else "is"
    told += [f"{' and '.join(left)} {verb} not searched: {nothing_shared(found)}"] if left else []
    check_trials(found)
    told += [f"note: --set {key} changes nothing in any trial of this space" for key in idle_settings(found, settings)]
    return found, told


def sampled_configs(space: Space) -> list[dict[str, Any]]:
    """Flat configs of a grid's rows, or of a thousand trials, the same ones each time: among these are some with each
    combination of choices on which a setting can depend. Numbers are at an end of their range.
    """
    random = np.random.default_rng(0)

    def picked(_: str, parameter: Parameter) -> Value:
        ends = ends_of(parameter)
        return ends[random.integers(len(ends))]

    drawn = space.cells or [space.draw(picked) for _ in range(1000)]
    return [{**DEFAULTS, **space.fixed, **config} for config in drawn]


def check_trials(space: Space) -> None:
    """Refuse a space of which each value is allowed, but some not together.

    Raises:
        UserError: a trial cannot be.
    """
    for config in sampled_configs(space):
        try:
            config_from_flat(config)
        except UserError as error:
            of = ", ".join(f"{key}={typed(config[key])}" for key in CONFLICTING if key in space.parameters)
            raise UserError(f"space {space.name}: {error}" + (f" (in trials with {of})" if of else "")) from None


def idle_settings(space: Space, settings: Mapping[str, Any]) -> list[str]:
    """Which of the user's settings no model of the space has a use for."""
    configs = sampled_configs(space)
    return [key for key in settings if not any(matters(key, config) for config in configs)]


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
    if "sampler" in options:
        options["sampler"] = Sampler(options["sampler"])
    grid = options.get("sampler", Sampler.GRID if space.cells else None) is Sampler.GRID
    settled, told = searched_space(space, profile, settings, given.get("vary", []), grid)
    if options.get("objective") == PARETO:
        options = two_goal_options(options)
    if grid:
        options = grid_options(settled, options)
    plan = Plan(space=settled.to_json(), profile=profile, **options)
    check_loss(plan)
    kinds = len(plan.architectures())
    if plan.sampler is Sampler.TPE and plan.trials < 2 * TPE_STARTS * kinds and not given.get("warm_start"):
        each = f"each of the {kinds} kinds of model" if kinds > 1 else "all"
        told.append(f"tpe draws the first {TPE_STARTS} trials of {each} at random; of {plan.trials} it learns little")
    return plan, [reason, *told]


def check_loss(plan: Plan) -> None:
    """A loss compares trials that train on the same one. Epochs of one trial it compares always, as a grid does.

    It is asked of a new search; of one that is there it would only keep its results from being read.

    Raises:
        UserError: trials are compared by their loss, which has not the same unit in all of them.
    """
    loss, space = "val_loss", plan.search_space()
    if plan.ranking().name != loss and (plan.aim().name != loss or plan.sampler is Sampler.GRID):
        return
    varied = [
        key for key in ("architecture", *LOSS_KEYS, "loss_weighting") if len(space.values_of(key, DEFAULTS[key])) > 1
    ]
    if varied and space.values_of("architecture", "") != (str(Architecture.GENDER),):
        option = "--rank-by" if plan.rank_by == loss else "--objective"
        raise UserError(f"{option} {loss}: has another unit in trials that differ in {varied[0]}")


def check_early(given: Mapping[str, Any], space: Space, settings: Mapping[str, Any]) -> None:
    """Refuse now, before a cluster is waited for or faces are decoded, what no machine could do.

    Raises:
        UserError: no plan comes of these options, for the same reason with either profile; or there are no such faces
            or weights.
    """
    check_places(given)
    refused = []
    for gpus in (0.0, 1.0):
        try:
            new_plan(given, space, settings, gpus)
        except UserError as error:
            refused.append(error)
    if len(refused) == len(Profile) and len(set(map(str, refused))) == 1:
        raise refused[0]


def described(given: Mapping[str, Any]) -> str:
    """The space as it would be searched on this machine."""
    gpus = given.get("gpus_per_trial", float(device_at_hand().type == "cuda"))
    profile, reason = picked_profile(given, gpus)
    space, settings = find_space(given["space"]), parse_settings(given.get("set", []))
    grid = given.get("sampler") == Sampler.GRID
    found, told = searched_space(space, profile, settings, given.get("vary", []), grid)
    return "\n".join([found.describe(), reason, *told])
