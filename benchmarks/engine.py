"""What does an engine add to training? One list of 16 trials, run four ways, one after another on the same machine.

    python -m benchmarks.engine --weights vgg16.safetensors

(a) a bare loop over sessions, the floor; (b) Tandem's search; (c) Ray Tune as its PyTorch tutorial goes; (d) Optuna as
its PyTorch example goes. The same configurations, seeds, epochs and faces in float32, none stopped early, for 5, 4 and
0 frozen blocks. The scores of (a) and (b) must be equal to the last digit and those of (c) and (d) to rounding, else
nothing was compared and the program says so. Ends with a table and appends it to benchmarks/results/engine.csv.
"""

import argparse
import math
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.engine_job import TRIALS, Job, face_folder, write_job
from benchmarks.engine_ways import Timing, Way, timed
from benchmarks.material import RESULTS, add_material_options
from benchmarks.record import append_rows
from benchmarks.table import spread, text_table
from core.cores import cores
from core.errors import UserError, run_script
from tune.progress import Progress, clock

COMPARED = ("train_loss", "val_loss", "val_nme_pct")
ROUNDING = 1e-3  # relative: what float32 in another order comes to after a few epochs at these learning rates
PEOPLE = {5: 100, 4: 40, 0: 30}  # what lets all four ways end in an hour and a half on two slow cores
EPOCHS = {5: 3, 4: 2, 0: 1}


def main() -> None:
    """Parse, run every way, compare, print, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_material_options(parser, counted=False)  # --people says how many, drawn or not
    parser.add_argument("--blocks", type=int, nargs="+", default=[5, 4, 0], choices=range(6))
    parser.add_argument("--people", type=int, help="faces (default: 100 with 5 frozen blocks, 40 with 4, else 30)")
    parser.add_argument("--epochs", type=int, help="of each trial (default: 3 with 5 frozen blocks, 2 with 4, else 1)")
    parser.add_argument("--repeats", type=int, default=3, help="of the loop and of Tandem (default: %(default)s)")
    parser.add_argument("--peer-repeats", type=int, default=1, help="of (c) and (d) (default: %(default)s)")
    parser.add_argument("--loader-processes", type=int, default=min(8, cores()), help="of (c) and (d)")
    parser.add_argument(
        "--quick", action="store_true", help="4 trials, 5 frozen blocks, 20 faces, 1 epoch, once; not recorded"
    )
    given = parser.parse_args()
    if given.quick:
        given.blocks, given.people, given.epochs, given.repeats, given.peer_repeats = [5], 20, 1, 1, 1
    with tempfile.TemporaryDirectory(prefix="tandem-engine-") as folder:
        for blocks in given.blocks:
            people = given.people or PEOPLE.get(blocks, 30)
            data = Path(folder) / f"faces-{people}"
            if not data.exists():
                face_folder(given, people, data)
            epochs = given.epochs or EPOCHS.get(blocks, 1)
            trials = TRIALS[::4] if given.quick else TRIALS
            job = write_job(Path(folder) / f"blocks-{blocks}", given, data, blocks, epochs, trials)
            rows = measured(job, {way: repeats_of(way, given) for way in Way}, people)
            print(text_table(rows, [name for name in rows[0] if not name.endswith(("_min", "_max"))]), flush=True)
            if not given.quick:
                append_rows(RESULTS / "engine.csv", rows)


def repeats_of(way: Way, given: argparse.Namespace) -> int:
    """How often a way is run."""
    return int(given.repeats if way in (Way.LOOP, Way.TANDEM) else given.peer_repeats)


def measured(job: Job, repeats: dict[Way, int], people: int) -> list[dict[str, Any]]:
    """Run every way in turns, so that a machine that slows down slows all of them; a row each."""
    found: dict[Way, list[Timing]] = {way: [] for way in Way}
    now, start = "", time.monotonic()
    with Progress(lambda: f"{job.blocks} frozen blocks, {now}; {clock(time.monotonic() - start)}"):
        for turn in range(max(repeats.values())):
            for way in Way:
                if turn < repeats[way]:
                    now = f"turn {turn + 1}, {way}"
                    found[way].append(timed(way, job))
                    check_same_work(way, found[way][-1], found[Way.LOOP][0])
    loop = found[Way.LOOP]
    return [
        {
            "frozen_blocks": job.blocks,
            "people": people,
            "trials": len(job.trials),
            "epochs": job.epochs,
            "way": str(way),
            **row_of(timings, loop),
            "largest_difference": difference(timings[0], loop[0])[0],
        }
        for way, timings in found.items()
        if timings
    ]


def row_of(timings: list[Timing], loop: list[Timing]) -> dict[str, Any]:
    """Medians of one way, and how many times the loop's wall time it takes."""
    floor = statistics.median(timing.wall_s for timing in loop)
    tells_epochs = "seconds_per_epoch" in timings[0].trials[0][0]
    gaps = [gap for timing in timings for gap in timing.gaps_s()] if tells_epochs else []
    return {
        **spread("wall_s", [round(timing.wall_s, 2) for timing in timings]),
        **spread("times_the_loop", [round(timing.wall_s / floor, 3) for timing in timings]),
        **spread("startup_s", [round(timing.startup_s, 2) for timing in timings]),
        "between_trials_s": round(statistics.median(gaps), 3) if gaps else None,
        "between_trials_s_most": round(max(gaps), 3) if gaps else None,
        "repeats": len(timings),
    }


def check_same_work(way: Way, timing: Timing, loop: Timing) -> None:
    """Equal to the last digit where the same code trains, to rounding elsewhere.

    Raises:
        UserError: this way did other work than the loop.
    """
    most = 0.0 if way in (Way.LOOP, Way.TANDEM) else ROUNDING
    apart, place = difference(timing, loop)
    if not apart <= most:
        raise UserError(f"{way}: {place} differs from the loop's by {apart:.2g} of it (at most {most:g}): void")


def difference(one: Timing, other: Timing) -> tuple[float, str]:
    """Largest relative difference of any score in any epoch of any trial, and where it is."""
    return max(
        (_apart(a[key], b[key]), f"{key} of trial {number} in epoch {epoch}")
        for number, (ours, theirs) in enumerate(zip(one.trials, other.trials, strict=True))
        for epoch, (a, b) in enumerate(zip(ours, theirs, strict=True), start=1)
        for key in COMPARED
    )


def _apart(a: float, b: float) -> float:
    return abs(a - b) / max(abs(b), 1e-12) if math.isfinite(a) and math.isfinite(b) else math.inf


if __name__ == "__main__":
    run_script(main)
