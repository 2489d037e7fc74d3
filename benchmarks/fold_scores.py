"""Records what folds say of configurations, seed by seed, to see how well ways of judging find the best of them.

    python -m benchmarks.fold_scores --data data/celeba-mini --weights vgg16.safetensors

Random configurations of ``multitask``, their heads (of a smaller width, which trains several times as fast) on frozen
blocks, each on 5 folds of train and validation with each of several seeds. Each fold's validation faces are halved, as
many women and men in each: of 450 faces a half has 45, as many as a search's own validation part. A line a
configuration and seed, with the relative error of every half after every epoch, in benchmarks/results/fold_scores.csv;
what the file holds is not trained again. ``benchmarks.ranking`` reads it.
"""

import argparse
import csv
import io
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from benchmarks.additions_lab import errors_by_face, truth_of_folds
from benchmarks.learning_curves import BLOCKS, SEARCH_SEED, drawn
from benchmarks.material import EXCERPT, RESULTS, Material, add_material_options, load_material
from benchmarks.process import in_fresh_process
from core.atomic import append_line, cut_half_line
from core.cache_folder import default_cache
from core.config import config_from_flat
from core.cores import cores
from core.device import best_precision, device_at_hand, make_repeatable
from core.errors import UserError, run_script
from core.examples import Examples
from core.folds import FoldedSession
from core.names import RELATIVE_ERROR, Precision
from core.seeds import derived_seed
from core.session import DivergedError
from search_spaces.multitask import MULTITASK
from search_spaces.space import Space
from tune.cluster import WORKER_ENVIRONMENT
from tune.profile import Profile, settled_space
from tune.progress import Progress, clock

SCORES = RESULTS / "fold_scores.csv"
FOLDS, HALVES = 5, 2
WIDTH = 64


def main() -> None:
    """Parse, train what is missing, each a line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_material_options(parser)
    parser.add_argument("--configs", type=int, default=100, help="(default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=10, help="of each (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=5, help="of each (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument("--out", type=Path, default=SCORES, metavar="FILE", help="(default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="two configurations, two seeds and one epoch")
    given = parser.parse_args()
    if given.quick:
        given.configs, given.seeds, given.epochs = 2, 2, 1
        given.out = given.out.with_name("fold_scores_quick.csv") if given.out == SCORES else given.out
    if Path(given.data) != EXCERPT and given.out == SCORES:
        raise UserError(f"--out: {SCORES} is for the scores of {EXCERPT}; name another file for other faces")
    in_fresh_process(record, given, environment=WORKER_ENVIRONMENT)


def columns(epochs: int) -> list[str]:
    """Names of the scores, epoch by epoch, fold by fold, half by half."""
    parts = [f"f{fold}{half}" for fold in range(1, FOLDS + 1) for half in "ab"[:HALVES]]
    return [f"e{epoch}.{part}" for epoch in range(1, epochs + 1) for part in parts]


def record(given: argparse.Namespace) -> None:
    """Train everything that the file lacks, one seed of all configurations after the other."""
    torch.set_num_threads(given.threads)
    device = device_at_hand()
    make_repeatable(device)
    precision = best_precision(device, default_cache())
    material = load_material(given, [BLOCKS], precision, device, folds=FOLDS)
    space = settled_space(MULTITASK, Profile.FAST, {"head_width": WIDTH})
    configurations = drawn(space, given.configs)
    header = ["number", "seed", *(f"config.{key}" for key in space.parameters), *columns(given.epochs)]
    have = known(given.out, header)
    wanted = [(n, s) for s in range(given.seeds) for n in range(given.configs) if (n, s) not in have]
    start, done = time.monotonic(), 0

    def line() -> str:
        seconds = time.monotonic() - start
        left = f", about {clock(seconds / done * (len(wanted) - done))} left" if done else ""
        return f"{done}/{len(wanted)} trainings on {FOLDS} folds; {clock(seconds)}{left}"

    with Progress(line):
        for number, seed in wanted:
            settings = configurations[number]
            scores = trained(settings, space, material, seed, given.epochs, precision, device)
            row = {"number": number, "seed": seed, **{f"config.{key}": value for key, value in settings.items()}}
            write(given.out, header, row | scores)
            done += 1


def known(path: Path, header: Sequence[str]) -> set[tuple[int, int]]:
    """Configurations and seeds that the file has; a line that was cut off is dropped.

    Raises:
        UserError: a file of something else, or of another number of epochs.
    """
    if not path.is_file():
        return set()
    with path.open("r+b") as file:
        cut_half_line(file)
    table = pd.read_csv(path)
    if list(table.columns) != list(header):
        raise UserError(f"{path}: not a file of these scores; name another one with --out")
    return set(zip(table["number"].tolist(), table["seed"].tolist(), strict=True))


def write(path: Path, header: Sequence[str], row: Mapping[str, Any]) -> None:
    """Append a line, after the header if it is the first."""
    text = io.StringIO()
    writer = csv.DictWriter(text, header, lineterminator="\n")
    if not path.is_file():
        writer.writeheader()
        path.parent.mkdir(parents=True, exist_ok=True)
    writer.writerow(row)
    append_line(path, text.getvalue())


def trained(
    settings: Mapping[str, Any],
    space: Space,
    material: Material,
    seed: int,
    epochs: int,
    precision: Precision,
    device: torch.device,
) -> dict[str, float]:
    """Scores by column; none from the epoch on in which a fold diverges."""
    config = config_from_flat({**space.fixed, **settings, "precision": str(precision)})
    parts = material.inputs[BLOCKS].fold_examples()
    session = FoldedSession(config, parts, material.weights, derived_seed(SEARCH_SEED, 1, seed), device, epochs)
    truth = truth_of_folds(parts)
    halves = halves_of([validation for _, validation in parts])
    found: list[float] = []
    try:
        while session.epoch < epochs:
            session.run_epoch()
            errors = errors_by_face(session.predictions, truth)[RELATIVE_ERROR]
            found += [float(errors[faces].mean()) for faces in halves]
    except DivergedError:
        pass  # the cells of this epoch and of those that would have followed stay empty
    return {name: round(value, 4) for name, value in zip(columns(epochs), found, strict=False)}


def halves_of(validations: Sequence[Examples]) -> list[NDArray[np.int64]]:
    """Which of all validation faces are in each half of each fold: of each gender every second one."""
    found, start = [], 0
    for part in validations:
        place = np.empty(len(part), dtype=np.int64)
        for gender in (0, 1):
            which = np.flatnonzero(part.gender == gender)
            place[which] = (np.arange(len(which)) + gender) % HALVES  # an odd one of each goes to another half
        found += [start + np.flatnonzero(place == half) for half in range(HALVES)]
        start += len(part)
    return found


if __name__ == "__main__":
    run_script(main)
