"""Where a replication departs from the paper: settings, faces and weights of its own, and what it chose itself."""

from collections.abc import Mapping
from typing import Any

from core.claims import cell_label
from core.preparation import DRAWN
from core.random_filters import CALIBRATED
from core.weights import Weights
from search_spaces.effect import matters
from search_spaces.grid import grid_of
from search_spaces.paper import PAPER_CHOICES
from search_spaces.parts import DEFAULTS
from tune.paper_plan import PAPER_FACES, PAPER_PROTOCOL, STEPS, PaperPlan


def differences(plan: PaperPlan, weights: Weights, faces: int) -> list[str]:
    """All that is not the paper's in every row, with the paper's: settings that have an effect in some row of some
    table, the faces, and where convolutions and, behind no attention, the heads' hidden layers start.

    Args:
        faces: how many there are.
    """
    spaces = [plan.step_plan(step, {}).search_space() for step in STEPS]
    rows = [{**DEFAULTS, **space.fixed, **cell} for space in spaces for cell in grid_of(space)]
    ours = {"epochs": plan.epochs, "final_epochs": plan.final_epochs, **rows[0]}
    found = [
        f"{key} {ours[key]} (paper: {value})"
        for key, value in PAPER_PROTOCOL.items()
        if ours[key] != value and (key not in DEFAULTS or any(matters(key, row) for row in rows))
    ]
    if plan.data == DRAWN:
        found.append("drawn faces (paper: CelebA)")
    elif faces != PAPER_FACES:
        found.append(f"{faces} faces (paper: {PAPER_FACES})")
    if weights.source.startswith(CALIBRATED):
        found.append("random convolutions (paper: ImageNet's)")
    # Heads of another width are told, and start at random anyway.
    if ours["head_width"] == PAPER_PROTOCOL["head_width"] and not weights.with_head:
        found.append("random heads (paper: ImageNet's hidden layers)")
    return found


def otherwise_chosen(chosen: Mapping[int, Mapping[str, Any]], before: int) -> list[str]:
    """What the tables before the one with this number have chosen otherwise than the paper, as ``optimizer adagrad
    (paper: adamax)``.

    Args:
        chosen: by the number of the table, what the next one went on with.
    """
    settings = [(key, value) for number in sorted(chosen) if number < before for key, value in chosen[number].items()]
    others = [(key, value, PAPER_CHOICES[key]) for key, value in settings if value != PAPER_CHOICES[key]]
    return [f"{key} {cell_label([ours])} (paper: {cell_label([papers])})" for key, ours, papers in others]
