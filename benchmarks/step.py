"""How fast a training step is, and how much faster it could be: each model, in each form, against an arithmetic floor.

    python -m benchmarks.step --quick                       # heads of 512, and two steps of the whole network
    python -m benchmarks.step --models multitask --blocks 0 5 --variants fp32 bf16 bf16+foreach

A variant is a precision (the step as a session does it) with changes: +contiguous, +loop, +foreach, +fused,
+compiled-update, +compile, +no-copy, +uncached, +graph. The floor is the time for the step's matrix products at the
speed of one large product in the same precision, plus that for the optimiser's bytes at the speed of one large copy,
both measured just before. It is no law: caches and Winograd's convolutions may pass it. A row whose variant is a bare
precision also has epochs of a real session, and of the same steps without one. Each row has a process of its own, so
that peak memory is its own, and goes to benchmarks/results/step.csv at once, unless --quick was asked for. All rows
take hours on a CPU: choose.
"""

import argparse
import itertools
import tempfile
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.material import RESULTS
from benchmarks.process import in_fresh_process
from benchmarks.record import append_rows
from benchmarks.step_case import Case, Effort, material_for
from benchmarks.step_limits import measured_limits
from benchmarks.step_row import NOT_MEASURED, measured
from benchmarks.step_variants import EACH_ALONE, MEANING, PRECISIONS, obstacle, parse_variant
from benchmarks.table import Row, text_table
from core.cores import cores
from core.device import device_at_hand
from core.errors import UserError, run_script
from core.names import Architecture, Optimizer
from tune.cluster import WORKER_ENVIRONMENT
from tune.progress import Progress

QUICK = {"head_width": 512, "repeats": 3, "epochs": 1, "faces": 30}
FULL = {"head_width": 4096, "repeats": 10, "epochs": 2, "faces": 200}

KEYS = ["model", "frozen_blocks", "head_width", "optimizer", "variant"]
TABLES = {
    "Training step": "images_per_s ms_per_step floor_ms reached_pct peak_gb",
    "Where its time goes": "ms_per_step gather_ms forward_ms backward_ms update_ms "
    "floor_products_ms floor_optimizer_ms",
    "What it must do": "forward_gmacs_per_face step_gmacs_per_face learned_millions optimizer_gb_per_step "
    "best_gmacs_per_s best_copy_gb_per_s",
    "An epoch": "train_faces validation_faces session_epoch_s bare_epoch_s validation_s session_rest_s",
    "Not measured": NOT_MEASURED,
}


def main() -> None:
    """Parse, measure each row apart, record, print."""
    given = parsed()
    with tempfile.TemporaryDirectory() as folder:
        effort = Effort(given.batch, given.repeats, given.epochs, given.faces, Path(folder))
        rows = [
            recorded(case, lighter(effort, case) if given.quick else effort, given.quick)
            for case in chosen_cases(given)
        ]
    for title, columns in TABLES.items():
        print_table(title, rows, columns.split())


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line, with what it leaves open filled in by ``--quick``."""
    changes = "; ".join(f"+{change}: {meaning}" for change, meaning in MEANING.items())
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    models, optimizers = list(map(str, Architecture)), list(map(str, Optimizer))
    parser.add_argument("--models", nargs="+", default=models, choices=models)
    parser.add_argument("--blocks", type=int, nargs="+", default=[5, 4, 0], choices=range(6), help="frozen ones")
    parser.add_argument("--variants", nargs="+", default=EACH_ALONE, metavar="VARIANT", help=changes)
    parser.add_argument("--optimizers", nargs="+", default=["adamax"], choices=optimizers)
    parser.add_argument("--batch", type=positive, default=15, help="faces (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="only the rows that take little; not recorded")
    for name, value in FULL.items():
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=positive, help=f"default: {value}, with --quick {QUICK[name]}")
    given = parser.parse_args(arguments)
    for name, value in (QUICK if given.quick else FULL).items():
        if getattr(given, name) is None:
            setattr(given, name, value)
    return given


def positive(text: str) -> int:
    """A whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, got {text!r}")
    return int(text)


def chosen_cases(given: argparse.Namespace) -> list[Case]:
    """One case a row.

    Raises:
        UserError: an unknown variant, or nothing that ``--quick`` keeps.
    """
    variants = [parse_variant(text) for text in given.variants]
    named = itertools.product(given.models, given.blocks, given.optimizers, variants)
    cases = [
        Case(Architecture(model), blocks, given.head_width, Optimizer(optimizer), variant)
        for model, blocks, optimizer, variant in named
    ]
    kept = [case for case in cases if not given.quick or is_quick(case)]
    if not kept:
        raise UserError("--quick keeps fp32 with frozen blocks, and fp32 and bf16 of the whole multitask network")
    return kept


def is_quick(case: Case) -> bool:
    """Heads of every model in float32, and the whole network of one in both precisions."""
    if case.frozen_blocks > 0:
        return str(case.variant) == PRECISIONS[0]
    return case.model is Architecture.MULTITASK and not case.variant.changes


def lighter(effort: Effort, case: Case) -> Effort:
    """With ``--quick`` the whole network does a step and no epoch."""
    return effort if case.frozen_blocks > 0 else replace(effort, repeats=1, epochs=0)


def recorded(case: Case, effort: Effort, quick: bool) -> Row:
    """Measure one case in a fresh process and append its row to the results, unless it was a ``quick`` look."""
    device = device_at_hand()
    found: Row = {NOT_MEASURED: obstacle(case.variant, case.optimizer, case.frozen_blocks, device)}
    if not found[NOT_MEASURED]:
        found |= apart(case, effort, device)
    row = {**case.told(), "batch": effort.batch, **found}
    print(f"{case}: {row[NOT_MEASURED] or '{images_per_s} images/s'.format(**row)}", flush=True)
    if not quick:
        append_rows(RESULTS / "step.csv", [row])
    return row


def apart(case: Case, effort: Effort, device: torch.device) -> Row:
    """The measurement of one case, its limits taken just before and its inputs made by then."""
    torch.set_num_threads(cores())
    with Progress(lambda: f"{case}: inputs, and what the device reaches"):
        material_for(effort, [case.blocks_read], case.variant.precision)
        limits = measured_limits(device, [case.variant.precision])
    try:
        row: Row = in_fresh_process(measured, case, effort, limits, environment=WORKER_ENVIRONMENT)  # as of a trial
        return row
    except BrokenProcessPool:
        return {NOT_MEASURED: "its process was killed, perhaps for want of memory"}


def print_table(title: str, rows: list[Row], columns: list[str]) -> None:
    """Aligned columns of the rows that have any of them."""
    told = [row for row in rows if any(row.get(column) for column in columns)]
    if told:
        print(f"\n{title}\n{text_table(told, [*KEYS, *columns])}", flush=True)


if __name__ == "__main__":
    run_script(main)
