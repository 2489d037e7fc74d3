"""What a user asked for, checked before anything starts, and kept in ``search.json`` so that a run can be resumed."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from core.checks import shown
from core.errors import UserError
from core.folds import MOST_FOLDS
from core.names import METRICS, PARETO, RELATIVE_ERROR, TASK_METRICS, TASKS, Architecture, Task
from core.objective import Objective
from core.preparation import DRAWN
from core.seeds import derived_seed
from search_spaces.grid import grid_of
from search_spaces.parameter import Float, Int
from search_spaces.space import Space, space_from_json
from tune.profile import Profile
from tune.study import Sampler
from tune.two_goals import check_two_goals

TRIAL_SEEDS, RETRAIN_SEEDS, VERDICT_SEED, RACE_SEEDS = 1, 2, 3, 4  # first step of the path from the search seed
RACE_FOLDS = 5  # where trials have none
OBJECTIVES = (RELATIVE_ERROR, *(f"val_{name}" for name in METRICS if name != RELATIVE_ERROR and "std" not in name))


def check_count(name: str, value: Any, low: int, high: int) -> None:
    """Raise a UserError unless the option ``name`` is an integer from ``low`` to ``high``; files may hold anything."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise UserError(f"--{name.replace('_', '-')} must be from {low} to {high}, got {shown(value)}")


@dataclass(frozen=True)
class Plan:
    """A search, from its faces to its winners."""

    space: dict[str, Any]
    """:meth:`search_spaces.space.Space.to_json`, all settings of profile and user fixed in it."""
    profile: Profile
    data: str = DRAWN
    drawn_faces: int = 700
    weights: str = "auto"
    sampler: Sampler = Sampler.RANDOM
    objective: str = RELATIVE_ERROR
    trials: int = 16
    epochs: int = 10
    grace: int = 2
    reduction: float = 3.0
    time_budget: float | None = None
    seed: int = 0
    top_k: int = 1
    retrain_epochs: int = 50
    retrain_seeds: int = 3
    max_failures: int = field(default=5)
    """Failed trials that a search tolerates."""
    replicates: int = 1
    """How often a grid is gone through, each time with another seed that all of its cells share."""
    folds: int = 1
    """Into how many parts train and validation are divided to cross-validate each trial; 1 for the one split."""
    race: int = 0
    """How many leaders of each kind of model are trained again, on folds and with more seeds, to tell the best."""
    race_rounds: int = 3
    """How often at most each of them is, with another seed on all folds each time."""
    rank_by: str | None = None
    """What chooses among trials, each at its best epoch by the objective; the objective itself if None."""
    warm_start: list[str] = field(default_factory=list)
    """Runs that were learned from, as they were asked for; what was taken of them stands in ``head_start.json``."""
    prior: str | None = None
    """``paper`` or a run, likewise."""

    def __post_init__(self) -> None:
        rules = {"trials": (1, 10**6), "epochs": (1, 10**5), "top_k": (1, 1000), "retrain_epochs": (1, 10**5)}
        rules |= {"retrain_seeds": (1, 1000), "seed": (0, 2**32 - 1), "grace": (1, 10**5), "max_failures": (0, 10**6)}
        rules |= {"replicates": (1, 1000), "folds": (1, MOST_FOLDS)}
        rules |= {"race": (0, 1000), "race_rounds": (1, 1000)}
        for name, (low, high) in rules.items():
            check_count(name, getattr(self, name), low, high)
        check_count("drawn_faces", self.drawn_faces, 1, 10**6)  # the faces have a rule of their own
        for name in ("data", "weights"):
            if not isinstance(getattr(self, name), str):
                raise UserError(f"--{name} must be text, got {shown(getattr(self, name))}")
        if self.time_budget is not None and not 0 < self.time_budget < math.inf:
            raise UserError(f"--time-budget must be seconds above 0, got {self.time_budget}")
        if not 1 < self.reduction < math.inf:
            raise UserError(f"--reduction must be above 1, got {self.reduction}")
        for key in ("split_seed", "precision"):
            if key in self.search_space().parameters:
                raise UserError(f"{key} must be the same in every trial of a search, so it can only be fixed (--set)")
        self._check_views()
        if self.race == 1:
            raise UserError("--race must be 0 or from 2, got 1: there is no race against nobody")
        if self.race and self.ranking().name == "val_loss":
            raise UserError("--race: val_loss has another unit in each trial; choose another --rank-by")
        self._check_objectives()
        self._check_knowledge()
        self._check_grid()

    def _check_objectives(self) -> None:
        if self.two_goals:
            name = self.search_space().name
            check_two_goals(name, self.architectures(), self.sampler, self.race, self.rank_by)
        self._check_objective("--objective", self.aim().name)
        self._check_objective("--rank-by", self.ranking().name)

    def _check_objective(self, option: str, name: str) -> None:
        if name not in OBJECTIVES:
            known = (*OBJECTIVES, *([PARETO] if option == "--objective" else []))
            raise UserError(f"{option} must be one of {', '.join(known)}, got {name!r}")
        task = next((t for t in Task if name.removeprefix("val_") in TASK_METRICS[t]), None)
        lacking = [a for a in self.architectures() if task is not None and task not in TASKS[a]]
        if lacking:
            able = [a for a in self.architectures() if a not in lacking]
            way = f"set architecture to {' or '.join(able)}" if able else "take another --space"
            raise UserError(f"{option} {name}: the {lacking[0]} model in this space has no {task} task; {way}")

    def _check_views(self) -> None:
        """Views are computed before the first trial, so it must be known then of which augmentations."""
        space = self.search_space()
        cached = any(self.frozen_blocks()) and True in space.values_of("activation_cache", True)
        for key in ("augmentation", "views"):
            asked = space.parameters.get(key)
            if cached and isinstance(asked, Float | Int):
                raise UserError(f"{key} must be one of some values where activations are cached, got {asked}")

    def _check_knowledge(self) -> None:
        if not isinstance(self.warm_start, list) or not all(isinstance(run, str) for run in self.warm_start):
            raise UserError(f"--warm-start must be names of runs, got {shown(self.warm_start)}")
        if not isinstance(self.prior, str | None):
            raise UserError(f"--prior must be the name of a run, got {shown(self.prior)}")
        option = "--warm-start" if self.warm_start else "--prior"
        if self.sampler is Sampler.GRID and (self.warm_start or self.prior is not None):
            raise UserError(f"{option}: a grid visits every cell in its order, whatever is known before")
        if self.two_goals and (self.warm_start or self.prior is not None):
            raise UserError(f"{option}: what is known before is judged by one goal, --objective {PARETO} has two")

    def _check_grid(self) -> None:
        if self.sampler is not Sampler.GRID:
            if self.replicates > 1:
                raise UserError(f"--replicates is for grids (--sampler grid), got it with {self.sampler}")
            if self.search_space().cells:
                raise UserError(f"--sampler {self.sampler}: space {self.space['name']} lists its cells; use grid")
            return
        if self.race:
            raise UserError(f"--race {self.race}: a grid's rows are not raced; --replicates repeats them")
        if self.folds > 1:
            raise UserError(f"--folds {self.folds}: a grid is not cross-validated; --replicates repeats it")
        cells = len(grid_of(self.search_space()))
        if self.trials != cells * self.replicates:
            size = f"{cells} cells, each gone through {self.replicates} times"
            raise UserError(f"--trials {self.trials}: this grid has {size}; leave the option out")

    def search_space(self) -> Space:
        """The space as a value."""
        return space_from_json(self.space)

    def architectures(self) -> tuple[Architecture, ...]:
        """Kinds of model that the space holds."""
        space = self.search_space()
        return tuple(Architecture(str(value)) for value in space.values_of("architecture", ""))

    def frozen_blocks(self) -> tuple[int, ...]:
        """Numbers of frozen blocks that trials may have."""
        space = self.search_space()
        values = [int(value) for value in space.values_of("frozen_blocks", 0)]
        drawn = space.parameters.get("frozen_blocks")
        between = range(drawn.low, drawn.high + 1) if isinstance(drawn, Int) else ()
        return tuple(sorted({*values, *between}))

    @property
    def two_goals(self) -> bool:
        """Whether gender and landmarks are goals of their own."""
        return self.objective == PARETO

    def aim(self) -> Objective:
        """The objective, with its direction; with two goals, what chooses among the epochs of one training."""
        return Objective(RELATIVE_ERROR if self.two_goals else self.objective)

    def ranking(self) -> Objective:
        """What chooses among trials; with two goals, the compromise among those of a front."""
        return Objective(self.rank_by or self.aim().name)

    def cells(self) -> int:
        """How many cells a grid has."""
        return self.trials // self.replicates

    def trial_seed(self, number: int) -> int:
        """The seed of a trial: its own, or, in a grid, that of its replicate, so that cells differ in nothing else."""
        if self.sampler is Sampler.GRID:
            return self.replicate_seed(number // self.cells())
        return derived_seed(self.seed, TRIAL_SEEDS, number)

    def replicate_seed(self, replicate: int) -> int:
        """The seed of a retraining; in a grid also that of trials, whose training it thus repeats and (at a
        constant rate) goes on with.
        """
        return derived_seed(self.seed, RETRAIN_SEEDS, replicate)

    def all_folds(self) -> int:
        """Folds of trials, or else of the race; 1 if there are none."""
        return RACE_FOLDS if self.race and self.folds == 1 else self.folds

    def race_seed(self, number: int) -> int:
        """The seed of a round of the race, the same for all who are in it."""
        return derived_seed(self.seed, RACE_SEEDS, number)

    def verdict_seed(self) -> int:
        """The seed of the resamples in which winners and racers are compared, and of what importance is judged by."""
        return derived_seed(self.seed, VERDICT_SEED)

    def to_json(self) -> dict[str, Any]:
        """Plain data for ``search.json``."""
        return asdict(self)


def grid_options(space: Space, options: Mapping[str, Any]) -> dict[str, Any]:
    """``options`` of a plan completed for a grid: every cell, as often as asked, none of them stopped early."""
    for option in ("grace", "reduction"):
        if option in options:
            raise UserError(f"--{option} {options[option]:g}: no trial of a grid is stopped early")
    trials = len(grid_of(space)) * options.get("replicates", Plan.replicates)
    return {"sampler": Sampler.GRID, "trials": trials, "grace": options.get("epochs", Plan.epochs), **options}


def plan_from_json(data: Mapping[str, Any], place: str) -> Plan:
    """The plan that :meth:`Plan.to_json` wrote; ``place`` names the file in errors."""
    known = {f.name for f in fields(Plan)}
    if not isinstance(data, Mapping) or set(data) - known or "space" not in data or "profile" not in data:
        raise UserError(f"{place}: its plan is not one of this version of Tandem")
    try:
        values = {**data, "profile": Profile(data["profile"]), "sampler": Sampler(data["sampler"])}
        return Plan(**values)
    except UserError as error:
        raise UserError(f"{place}: {error}") from None
    except (TypeError, ValueError, KeyError, OverflowError, RecursionError) as error:
        raise UserError(f"{place}: its plan cannot be read ({error})") from None
