"""What a replication of the paper is: figure 10's four steps, and the plan of each, which depends on those before."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from core.errors import UserError
from core.preparation import DRAWN
from search_spaces.grid import grid_of
from search_spaces.paper import (
    PAPER_ATTENTION,
    PAPER_CHOICES,
    PAPER_FIXED,
    PAPER_GENDER,
    PAPER_LANDMARKS,
    PAPER_MULTITASK,
)
from search_spaces.parts import DEFAULTS, ONLY_WITH, without_effect
from search_spaces.prior import ELSEWHERE
from search_spaces.space import Space
from tune.plan import Plan, check_count, grid_options
from tune.planning import idle_settings
from tune.profile import PROFILES, Profile, settled_space

PAPER_FACES = 500
UNTOLD = ("wing_w", "wing_epsilon")
"""Settings that the paper's results depend on and that it does not give. Its Wing losses in table II are larger than
these defaults, which are those of Feng et al., can make them at its NME."""
PAPER_PROTOCOL: dict[str, Any] = {
    "epochs": 10,
    "final_epochs": 50,
    **{
        key: value
        for key, value in DEFAULTS.items()
        if key not in (*PAPER_CHOICES, "architecture", *ELSEWHERE, *UNTOLD)
    },
    **PAPER_FIXED,
    **PROFILES[Profile.PAPER],
}
"""What the paper kept the same in all of its trainings; what it has no word of is as plain as it can be."""


class Follow(StrEnum):
    """What a step takes from the steps before: our own choices, as in figure 10, or the choices that the paper made."""

    OWN = "own"
    PAPER = "paper"


@dataclass(frozen=True)
class Step:
    """One of tables I to IV, and the training of its winner to the end."""

    number: int
    numeral: str
    space: Space
    rank_by: str
    """What chooses the row. Validation loss where all rows have the same one; NME where landmark losses or lambdas
    differ, and with them the unit of the loss. The paper's own choices follow this rule (a test holds its tables to
    it), while the smallest loss would have chosen smooth L1 and (1, 1)."""
    retrained: bool = True
    """Whether the winner is trained for 50 epochs; model 1 is tested as table I leaves it."""


STEPS = (
    Step(1, "I", PAPER_GENDER, "val_loss", retrained=False),
    Step(2, "II", PAPER_LANDMARKS, "val_nme_pct"),
    Step(3, "III", PAPER_MULTITASK, "val_nme_pct"),
    Step(4, "IV", PAPER_ATTENTION, "val_loss"),
)


@dataclass(frozen=True)
class PaperPlan:
    """A replication, as the user asked for it."""

    profile: Profile
    data: str = DRAWN
    drawn_faces: int = 500
    weights: str = "auto"
    settings: dict[str, Any] = field(default_factory=dict)
    follow: Follow = Follow.OWN
    seeds: int = 3
    seed: int = 0
    epochs: int = 10
    final_epochs: int = 50

    def __post_init__(self) -> None:
        for name, most in {"seeds": 1000, "epochs": 10**5, "final_epochs": 10**5}.items():
            check_count(name, getattr(self, name), 1, most)
        varied = {key for step in STEPS for key in step.space.parameters} | {"architecture"}
        fixed = sorted(varied & set(self.settings))
        if fixed:
            raise UserError(f"--set {fixed[0]}: this is what the paper varies")
        for step in STEPS:
            idle = [key for key in step.space.parameters if without_effect(key, {**step.space.fixed, **self.settings})]
            if idle:
                raise UserError(
                    f"--set {ONLY_WITH[idle[0]][0]}: would leave {idle[0]}, which the paper varies, no effect"
                )
        self.step_plan(STEPS[0], {})  # its own checks hold for all four

    def idle_settings(self) -> list[str]:
        """Which of the user's settings none of the four models has a use for."""
        idle = [idle_settings(self.step_plan(step, {}).search_space(), self.settings) for step in STEPS]
        return [key for key in self.settings if all(key in keys for keys in idle)]

    def step_plan(self, step: Step, chosen: Mapping[str, Any]) -> Plan:
        """The plan of one step after ``chosen`` in the steps before."""
        inherited = {key: value for key, value in chosen.items() if key in step.space.fixed}
        space = settled_space(step.space.with_fixed(inherited), self.profile, self.settings)
        cells = len(grid_of(space))
        options = {
            "data": self.data,
            "drawn_faces": self.drawn_faces,
            "weights": self.weights,
            "objective": "val_loss",
            "rank_by": step.rank_by,
            "epochs": self.epochs,
            "seed": self.seed,
            "replicates": self.seeds,
            "retrain_seeds": self.seeds,
            "retrain_epochs": self.final_epochs if step.retrained else self.epochs,
            # A choice that cannot be trained is a result, to be shown in its row.
            "max_failures": cells * self.seeds,
        }
        return Plan(space=space.to_json(), profile=self.profile, **grid_options(space, options))

    def to_json(self) -> dict[str, Any]:
        """Plain data for ``search.json``; ``paper`` tells it from a search's plan."""
        return {"paper": True, **asdict(self)}


def paper_plan_from_json(data: Any, place: str) -> PaperPlan:
    """The plan that :meth:`PaperPlan.to_json` wrote; ``place`` names the file in errors."""
    try:
        values = {key: value for key, value in data.items() if key != "paper"}
        values |= {"profile": Profile(data["profile"]), "follow": Follow(data["follow"])}
        return PaperPlan(**values)
    except UserError as error:
        raise UserError(f"{place}: {error}") from None
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise UserError(f"{place}: not the plan of a replication of the paper ({error})") from None


def papers_cell(step: Step) -> dict[str, Any]:
    """What the paper chose from a step's table."""
    return {key: PAPER_CHOICES[key] for key in step.space.parameters}
