"""What a replication of the paper would do, and how long it would take."""

import math
import time
from collections.abc import Callable
from functools import partial

import torch

from core.config import config_from_flat
from core.models import parameter_count, unlearned
from search_spaces.grid import grid_of
from search_spaces.paper import PAPER_CHOICES
from tune.estimate import seconds_per_epoch
from tune.materials import Materials
from tune.paper_plan import STEPS, PaperPlan, Step, papers_cell
from tune.plan import Plan
from tune.progress import Progress, clock
from tune.search import workload_of

TIME_BESIDES = 5.0  # seconds that a table takes besides its epochs: workers start, weights travel


def print_forecast(plan: PaperPlan, materials: Materials, say: Callable[[str], None]) -> None:
    """List tables, runs and epochs with the seconds that they would take."""
    workers = materials.workers.count
    say("measuring epochs of each model")
    rows, total, start = [], 0.0, time.monotonic()
    for number, step in enumerate(STEPS, 1):
        step_plan = plan.step_plan(step, PAPER_CHOICES)
        title = f"measuring the {step_plan.architectures()[0]} model ({number} of {len(STEPS)})"
        with Progress(partial(_timed, title, start)):
            of_row, of_winner = _measured(step_plan, step, materials)
        for title, runs, epochs, seconds in (
            (f"table {step.numeral}: {step_plan.cells()} rows", step_plan.trials, plan.epochs, of_row),
            ("  its winner, trained to the end", plan.seeds, step_plan.retrain_epochs, of_winner),
        ):
            took = seconds * epochs * math.ceil(runs / workers) + TIME_BESIDES
            total += took
            rows.append((title, f"{runs}", f"{runs * epochs}", f"{seconds:.2f}", clock(took)))
    print(f"\n{'':<34}{'runs':>6}{'epochs':>8}{'s/epoch':>9}{'time':>10}")
    for title, *cells in rows:
        print(f"{title:<34}{cells[0]:>6}{cells[1]:>8}{cells[2]:>9}{cells[3]:>10}")
    disk = f"{_gigabytes(plan):.1f} GB of weights"
    print(f"{plan.seeds} seeds, {workers} at once: about {clock(total)} in all, and {disk},")
    print("if the rows are chosen that the paper chose (a winner with a smaller d_k takes less)")


def _timed(title: str, start: float) -> str:
    return f"{title}; {clock(time.monotonic() - start)}"


def _measured(step_plan: Plan, step: Step, materials: Materials) -> tuple[float, float]:
    """Seconds for an epoch of a row, on average, and of the paper's choice.

    Rows are measured at the two ends of the table, unless whole networks learn: there they differ little, and an
    epoch takes long.
    """
    workload = workload_of(step_plan, materials.with_plan(step_plan))
    space, choice = step_plan.search_space(), papers_cell(step)
    rows = grid_of(space) if space.fixed["frozen_blocks"] == 5 else [choice]
    cells = [choice, *(cell for cell in (rows[0], rows[-1]) if cell != choice)]
    seconds = [seconds_per_epoch(workload, materials.workers, cell) for cell in cells]
    by_cell = {repr(cell): value for cell, value in zip(cells, seconds, strict=True)}
    return (by_cell[repr(rows[0])] + by_cell[repr(rows[-1])]) / 2, seconds[0]


def _gigabytes(plan: PaperPlan) -> float:
    """Disk for the winners' weights and for the backbone beside those of each step."""
    total = 0
    for step in STEPS:
        space = plan.step_plan(step, PAPER_CHOICES).search_space()
        model = config_from_flat({**space.fixed, **papers_cell(step)}).model
        with torch.device("meta"):
            made = unlearned(model)
        learned = sum(tensor.numel() for tensor in made.learned_tensors().values())
        total += 4 * (plan.seeds * learned + parameter_count(made.features))  # float32
    return total / 1e9
