"""Records learning curves for replays: random configurations of ``joint``, and the paper's own search, seed by seed.

    python -m benchmarks.learning_curves --weights vgg16.safetensors

Of each configuration the validation relative error of every epoch, with each of several seeds; of the paper's protocol
(four tables, each around the choices of those before) every row that a seed's search visits. Scores only, a line a
training, in benchmarks/results/learning_curves.csv. Two hours on 2 cores; what the file holds is not trained again.
"""

import argparse
import math
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from benchmarks.material import EXCERPT, RESULTS, Material, add_material_options, load_material
from benchmarks.process import in_fresh_process
from benchmarks.record import machine
from core.atomic import write_text
from core.cache_folder import default_cache
from core.config import config_from_flat
from core.cores import cores
from core.device import best_precision, device_at_hand, make_repeatable
from core.errors import UserError, run_script
from core.names import RELATIVE_ERROR, Precision
from core.objective import Objective
from core.seeds import derived_seed
from core.session import DivergedError, Session
from search_spaces.grid import grid_of
from search_spaces.joint import JOINT
from search_spaces.space import Space
from tune.cluster import WORKER_ENVIRONMENT
from tune.paper_plan import STEPS, PaperPlan, Step
from tune.profile import Profile, settled_space
from tune.progress import Progress, clock
from tune.study import Sampler, Study

CURVES = RESULTS / "learning_curves.csv"
JOINT_KIND, PAPER_KIND = "joint", "paper"
KEYS = ["kind", "table", "number", "seed"]
BLOCKS = 5  # of profile fast
SEARCH_SEED = 0


@dataclass(frozen=True)
class Training:
    """One line of the file."""

    kind: str
    table: int
    """1 to 4 in the paper's protocol, 0 elsewhere."""
    number: int
    """Of the configuration: in the order drawn, or in the order of the table's rows."""
    seed: int
    parameters: Mapping[str, Any]
    """What varies; flat."""
    fixed: Mapping[str, Any]
    epochs: int
    ranking: str = RELATIVE_ERROR
    """The metric that the paper's protocol chooses by."""

    @property
    def key(self) -> tuple[Any, ...]:
        """What the file knows it by."""
        return self.kind, self.table, self.number, self.seed


class Book:
    """The file of curves, a line a training."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: dict[tuple[Any, ...], dict[str, Any]] = {}
        if path.is_file():
            for row in pd.read_csv(path).to_dict("records"):
                self.rows[tuple(row[key] for key in KEYS)] = {str(key): value for key, value in row.items()}

    def add(self, training: Training, result: Mapping[str, Any]) -> None:
        """Write one more line; the file is whole at any moment."""
        settings = {f"config.{key}": value for key, value in training.parameters.items()}
        identity = dict(zip(KEYS, training.key, strict=True))
        self.rows[training.key] = {**identity, **machine(), **settings, **result}
        table = pd.DataFrame(list(self.rows.values())).sort_values(KEYS)
        epochs = sorted((c for c in table.columns if c.startswith("e") and c[1:].isdigit()), key=lambda c: int(c[1:]))
        table = table[[c for c in table.columns if c not in epochs] + epochs]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_text(self.path, table.to_csv(index=False))


def main() -> None:
    """Parse, train what is missing, each a line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_material_options(parser)
    parser.add_argument("--configs", type=int, default=100, help="of joint (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=2, help="of each (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=50, help="of each (default: %(default)s)")
    parser.add_argument("--paper-seeds", type=int, default=20, help="of the paper's search (default: %(default)s)")
    parser.add_argument("--paper-epochs", type=int, default=10, help="of each of its rows (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument("--out", type=Path, default=CURVES, metavar="FILE", help="(default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="two configurations and one seed of everything, 2 epochs")
    given = parser.parse_args()
    if given.quick:
        given.configs, given.seeds, given.epochs, given.paper_seeds, given.paper_epochs = 2, 1, 2, 1, 2
        given.out = given.out.with_name("learning_curves_quick.csv") if given.out == CURVES else given.out
    if Path(given.data) != EXCERPT and given.out == CURVES:
        raise UserError(f"--out: {CURVES} is for the curves of {EXCERPT}; name another file for other faces")
    in_fresh_process(record, given, environment=WORKER_ENVIRONMENT)  # as a search's workers


def record(given: argparse.Namespace) -> None:
    """Train everything that the file lacks."""
    torch.set_num_threads(given.threads)
    device = device_at_hand()
    make_repeatable(device)
    precision = best_precision(device, default_cache())
    material = load_material(given, [BLOCKS], precision, device)
    book = Book(given.out)
    start, done, total = time.monotonic(), 0, expected(given)
    before = sum(asked(given, key) for key in book.rows)
    with Progress(lambda: line(before, done, total, time.monotonic() - start)):
        for training in wanted(given, book):
            book.add(training, trained(training, material, precision, device))
            done += 1
    print(f"{given.out}: {len(book.rows)} curves, {done} of them new, {clock(time.monotonic() - start)}", flush=True)


def expected(given: argparse.Namespace) -> int:
    """Lines that the file will have in the end."""
    return int(given.seeds * given.configs + given.paper_seeds * sum(len(step.space.cells) for step in STEPS))


def asked(given: argparse.Namespace, key: tuple[Any, ...]) -> bool:
    """Whether the line of the file with this key is one of those that :func:`expected` counts."""
    kind, _, number, seed = key
    if kind == PAPER_KIND:
        return bool(seed < given.paper_seeds)
    return bool(seed < given.seeds and number < given.configs)


def line(before: int, done: int, total: int, seconds: float) -> str:
    """How far it is, and how long the rest will take."""
    left = f", about {clock(seconds / done * (total - before - done))} left" if done else ""
    return f"{before + done}/{total} curves; {clock(seconds)}{left}"


def wanted(given: argparse.Namespace, book: Book) -> Iterator[Training]:
    """What is to be trained still; the paper's next table is known only once the one before it is in the book."""
    space = settled_space(JOINT, Profile.FAST, {})
    configurations = drawn(space, given.configs)
    for seed in range(given.seeds):
        for number, parameters in enumerate(configurations):
            training = Training(JOINT_KIND, 0, number, seed, parameters, space.fixed, given.epochs)
            if training.key not in book.rows:
                yield training
    plan = PaperPlan(Profile.FAST, epochs=given.paper_epochs)
    for seed in range(given.paper_seeds):
        chosen: dict[str, Any] = {}
        for step in STEPS:
            rows = paper_rows(plan, step, chosen, seed)
            yield from (training for training in rows if training.key not in book.rows)
            best = min(rows, key=lambda training: float(book.rows[training.key]["ranked_by"]))
            chosen |= best.parameters


def paper_rows(plan: PaperPlan, step: Step, chosen: Mapping[str, Any], seed: int) -> list[Training]:
    """The rows of one of the paper's tables, around what the tables before it chose."""
    space = plan.step_plan(step, chosen).search_space()
    return [
        Training(PAPER_KIND, step.number, number, seed, cell, space.fixed, plan.epochs, step.rank_by)
        for number, cell in enumerate(grid_of(space))
    ]


def drawn(space: Space, count: int) -> list[dict[str, Any]]:
    """The configurations that a random search with seed 0 draws first."""
    with tempfile.TemporaryDirectory() as folder:
        study = Study(Path(folder) / "journal", space, Sampler.RANDOM, SEARCH_SEED)
        return [study.ask()[1] for _ in range(count)]


def trained(training: Training, material: Material, precision: Precision, device: torch.device) -> dict[str, Any]:
    """Train once: relative error by epoch, what the paper would rank by, and the median seconds of an epoch.

    A training that diverges has empty epochs from there on, as in a search, and ranks last.
    """
    settings = {**training.fixed, **training.parameters, "precision": str(precision)}
    train, validation = material.examples(BLOCKS)
    seed = derived_seed(SEARCH_SEED, 1, training.seed)
    session = Session(config_from_flat(settings), train, validation, material.weights, seed, device)
    curve, diverged = [], False
    try:
        while session.epoch < training.epochs:
            curve.append(session.run_epoch())
    except DivergedError:
        diverged = True
    best = None if diverged else min(curve, key=Objective("val_loss").cost)
    return {
        "architecture": settings["architecture"],
        "ranked_by": math.inf if best is None else Objective(training.ranking).cost(best),
        "seconds_per_epoch": round(statistics.median(row["seconds_per_epoch"] for row in curve), 3) if curve else None,
        **{f"e{row['epoch']:.0f}": round(row[RELATIVE_ERROR], 5) for row in curve},
    }


if __name__ == "__main__":
    run_script(main)
