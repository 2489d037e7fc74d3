"""What does each part beyond the paper bring? Each alone against a base, cross-validated, at its own best rate.

    python -m benchmarks.additions --data data/celeba-mini --weights vgg16.safetensors
    python -m benchmarks.additions --only cosine dwa --blocks 5 --quick

The base is the multi-task model with the landmark head started at the mean face, Adam, L1, lambda2 of 20 and batches of
15; variants of self-attention are compared with self-attention, changed faces with mirrored ones. Each is trained at
its own best learning rate, found with a seed of its own on the first folds (--rate-folds) or given (--at), and for as
long as it gets better (--patience), on every fold of train and validation with several seeds: means over seeds of means
over folds, and how much lower errors are than those of what it is compared with, with 95 % intervals over seeds and
faces, one at a time: of twenty of which none brings anything, one may look as if it did. What was trained is kept in
--work and not trained again, so that two processes may share it (--only). Appends to benchmarks/results/additions.csv;
what --only asks for, and nothing else, where --record is given too.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.additions_gain import gain_over_folds
from benchmarks.additions_lab import Lab, Result
from benchmarks.additions_list import ADDITIONS, BASE, NEEDING_ROOM, settings_of, with_rivals
from benchmarks.material import RESULTS, add_material_options, load_material
from benchmarks.process import in_fresh_process
from benchmarks.record import append_rows
from benchmarks.table import Row, text_table
from core.augmentation import augmentation_of
from core.cache_folder import default_cache
from core.config import check_value, config_from_flat
from core.cores import cores
from core.device import best_precision, device_at_hand, make_repeatable
from core.errors import UserError, run_script
from core.metrics import Floats, Integers
from core.names import RELATIVE_ERROR, Precision
from tune.cluster import WORKER_ENVIRONMENT
from tune.progress import Progress, clock

RATES = [1e-6, 3e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3]
GAINS = {"gain_pct": RELATIVE_ERROR, "gain_nme_pct": "nme_pct", "gain_gender_ce_pct": "gender_ce"}
"""Columns, and the error that they are about."""
SHOWN = ("val_nme_pct", "val_fr10_pct", "val_gender_auc", "val_gender_accuracy")


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """What is trained, on what, and how long."""
    add_material_options(parser)
    parser.add_argument("--only", nargs="+", choices=list(ADDITIONS), metavar="NAME", help=", ".join(ADDITIONS))
    parser.add_argument("--blocks", type=int, default=4, choices=range(1, 6), help="frozen (default: %(default)s)")
    parser.add_argument("--head-width", type=int, default=512, help="of the heads (default: %(default)s)")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=40, help="at most (default: %(default)s)")
    parser.add_argument("--patience", type=int, default=5, help="epochs without a better one (default: %(default)s)")
    parser.add_argument("--rates", nargs="+", type=float, default=RATES, help="ascending (default: %(default)s)")
    parser.add_argument(
        "--at", nargs="+", default=[], metavar="NAME=RATE", help="learning rates that are given instead of found"
    )
    parser.add_argument("--rate-folds", type=int, default=2, metavar="N", help="(default: the first %(default)s)")
    parser.add_argument("--threads", type=int, default=cores())
    parser.add_argument("--work", type=Path, default=default_cache() / "additions", metavar="DIR")


def main() -> None:
    """Parse, train what is missing, print, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_training_options(parser)
    parser.add_argument("--record", action="store_true", help="also of --only, once all its processes have ended")
    parser.add_argument("--quick", action="store_true", help="one seed, one rate, 2 folds and 2 epochs; not recorded")
    given = parser.parse_args()
    if given.quick:
        given.seeds, given.rates, given.folds, given.rate_folds, given.epochs = 1, [1e-4], 2, 2, 2
    check_training_options(given)
    rows = in_fresh_process(measured, given, environment=WORKER_ENVIRONMENT)
    columns = ("addition", "against", "lr", "epoch", "relative_error", *SHOWN, *GAINS, "seconds_per_epoch")
    seeds = f"{given.seeds} seed{'s' if given.seeds > 1 else ''}"
    print(f"\n{given.blocks} frozen blocks, heads {given.head_width} wide, {given.folds} folds, {seeds}")
    print(text_table(rows, columns))
    if not given.quick and (given.record or not given.only):
        asked = given.only or list(ADDITIONS)
        append_rows(RESULTS / "additions.csv", [row for row in rows if row["addition"] in asked])


def check_training_options(given: argparse.Namespace) -> None:
    """Rules between what :func:`add_training_options` takes; rates by addition become a mapping.

    Raises:
        UserError: one is broken.
    """
    if not 1 <= given.rate_folds <= given.folds:
        raise UserError(f"--rate-folds must be from 1 to the {given.folds} of --folds, got {given.rate_folds}")
    if given.rates != sorted(given.rates):
        raise UserError(f"--rates must ascend, got {' '.join(map(str, given.rates))}")
    given.at = given_rates(given.at)


def given_rates(words: Sequence[str]) -> dict[str, float]:
    """``["base=3e-5"]`` as rates by addition.

    Raises:
        UserError: no such addition, or no learning rate.
    """
    found = {}
    for word in words:
        name, _, text = word.rpartition("=")
        if name not in ADDITIONS:
            raise UserError(f"--at {word}: must be NAME=RATE with one of {', '.join(ADDITIONS)}")
        found[name] = float(check_value("lr", text))
    return found


def wanted(given: argparse.Namespace) -> list[str]:
    """Additions that are trained: those asked for, and then what they are compared with.

    Raises:
        UserError: one asked for cannot be had with so many frozen blocks.
    """
    asked = given.only or [name for name in ADDITIONS if given.blocks < 5 or name not in NEEDING_ROOM]
    names = with_rivals(asked)
    for name in names:
        config_from_flat(settings_of(name, given.blocks, given.head_width))
    return names


def lab_of(given: argparse.Namespace, names: Sequence[str]) -> Lab:
    """Where these additions are trained.

    Raises:
        UserError: faces of which some are of one person.
    """
    torch.set_num_threads(given.threads)
    device = device_at_hand()
    make_repeatable(device)
    precision = str(best_precision(device, default_cache()))
    configs = [config_from_flat(settings_of(name, given.blocks, given.head_width)) for name in names]
    augmentations = {augmentation for config in configs if (augmentation := augmentation_of(config.data)) is not None}
    blocks, folds = [given.blocks], given.folds
    material = load_material(given, blocks, Precision(precision), device, folds=folds, augmentations=augmentations)
    if len(np.unique(material.faces.identity)) < len(material.faces):
        raise UserError(f"--data {given.data}: intervals are over faces, so each must be of another person")
    return Lab(given, material, device, precision)


def measured(given: argparse.Namespace) -> list[Row]:
    """Choose a learning rate for each addition, train it with every seed, and make a row of it."""
    names = wanted(given)
    lab = lab_of(given, names)
    start = time.monotonic()
    with Progress(lambda: f"{lab.done} trainings ({lab.doing}); {clock(time.monotonic() - start)}"):
        rates, results = {}, {}
        for name in names:  # one done before the next, so that what an interrupted run leaves is of use
            rates[name] = given.at[name] if name in given.at else lab.best_rate(name, given.rates)
            trainings = [lab.training(name, rates[name], seed, given.folds) for seed in range(given.seeds)]
            results[name] = [lab.result(training) for training in trainings]
    shape = {"frozen_blocks": given.blocks, "head_width": given.head_width}
    return [{**shape, **row} for row in rows_of(rates, results, lab.folds_of_faces(given.folds))]


def rows_of(rates: Mapping[str, float], results: Mapping[str, Sequence[Result]], fold_N: Integers) -> list[Row]:
    """A row an addition: means over seeds, and what it gains on what it is compared with."""
    rows = []
    for name, found in results.items():
        against = ADDITIONS[name].against
        row: Row = {"addition": name, "against": "-" if name == BASE else against, "lr": rates[name]}
        row["seeds"] = len(found)
        for metric in ("epoch", RELATIVE_ERROR, *SHOWN, "seconds_per_epoch"):
            values = [result.best[metric] for result in found]
            row |= {metric: sum(values) / len(values), f"{metric}_min": min(values), f"{metric}_max": max(values)}
        if name != BASE:
            for column, error in GAINS.items():
                ours, theirs = ([one.by_face[error] for one in group] for group in (found, results[against]))
                row |= _gain(column, ours, theirs, fold_N)
        rows.append(row)
    return rows


def _gain(column: str, ours: Sequence[Floats], theirs: Sequence[Floats], fold_N: Integers) -> Row:
    """How much lower an error is than the others', in percent of theirs, with its 95 % interval."""
    level = float(np.mean(theirs))
    gain, low, high = (100 * value / level for value in gain_over_folds(np.stack(theirs), np.stack(ours), fold_N, 0))
    return {column: gain, f"{column}_min": low, f"{column}_max": high}


if __name__ == "__main__":
    run_script(main)
