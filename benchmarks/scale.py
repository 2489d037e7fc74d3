"""How cost grows with faces, trials and workers.

    python -m benchmarks.scale --quick
    python -m benchmarks.scale --parts trials

faces: preparing them from a folder of JPEG files (drawn faces in CelebA's layout) against a plain loop over Pillow,
opening them again, private memory of a worker and seconds of an epoch. trials: search over trials that train nothing,
so that what is left is what Tandem and Ray do around them. workers: one list of short trials on more and more workers.
replay: up to 512 simulated workers over recorded trials (benchmarks.learning_curves).

On 2 cores all of it takes some 25 minutes and up to 8 GB of disk in a temporary folder (TMPDIR says where), --quick
two minutes. Appends to scale_faces.csv, scale_trials.csv, scale_workers.csv and scale_replay.csv in benchmarks/results.
"""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.learning_curves import CURVES
from benchmarks.material import RESULTS
from benchmarks.process import in_fresh_process
from benchmarks.record import append_rows
from benchmarks.scale_faces import FACES, QUICK_FACES, check_disk, faces_row
from benchmarks.scale_replay import QUICK_SEEDS, SECONDS, SEEDS, replay_rows
from benchmarks.scale_trials import DRIVEN, QUICK_RAY_TRIALS, QUICK_TRIALS, RAY, RAY_TRIALS, TRIALS, growth, trials_row
from benchmarks.scale_trials import MAIN as TRIAL_COLUMNS
from benchmarks.scale_workers import PLAN, QUICK_PLAN, QUICK_WORKERS, WORKERS, workers_rows
from benchmarks.table import Row, medians, text_table
from core.errors import run_script

REPEATS = 3  # of what takes a minute or less


def main() -> None:
    """Parse; measure, print and record each part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument(
        "--quick", action="store_true", help="smaller numbers, some two minutes on 2 cores; not recorded"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tandem-scale-") as scratch:
        if "faces" in given.parts:
            check_disk(Path(scratch), max(QUICK_FACES if given.quick else FACES))
        for part in given.parts:
            folder = Path(scratch) / part
            folder.mkdir()
            rows = PARTS[part](given.quick, folder)
            if not given.quick:
                append_rows(RESULTS / f"scale_{part}.csv", rows)


def faces(quick: bool, folder: Path) -> list[Row]:
    """More and more faces."""
    rows = [faces_row(count, folder) for count in (QUICK_FACES if quick else FACES)]
    show(
        "faces: preparation of JPEG files (drawn faces, 178 x 218), and opening what is prepared",
        rows,
        ("faces", "drawn_per_s", "prepare_s", "images_per_s", "second_load_s"),
    )
    show(
        "faces: rate of each core against plain loops over Pillow, one alone and one a core, and the ratios",
        rows,
        (
            "faces",
            "images_per_s_core",
            "plain_images_per_s_core",
            "ratio_to_plain",
            "busy_plain_images_per_s_core",
            "ratio_to_busy_plain",
            "ratio_of_cpu_time",
        ),
    )
    show(
        "faces: private memory for data that a worker trains from, and in all; epochs on made-up activations",
        rows,
        (
            "faces",
            "private_mb_for_faces",
            "private_mb_for_activations",
            "private_mb_in_all",
            "train_faces",
            "precision",
            "epoch_s",
            "epoch_ms_per_face",
        ),
    )
    return rows


def trials(quick: bool, folder: Path) -> list[Row]:
    """More and more trials."""
    asked = [(count, DRIVEN) for count in (QUICK_TRIALS if quick else TRIALS)]
    asked += [(count, RAY) for count in (QUICK_RAY_TRIALS if quick else RAY_TRIALS)]
    rows = []
    for count, engine in asked:
        repeats = 1 if quick or count > 1_000 else REPEATS
        places = [folder / f"{count}-{engine.split()[-1]}-{repeat}" for repeat in range(repeats)]
        rows.append(medians([in_fresh_process(trials_row, count, engine, place) for place in places], TRIAL_COLUMNS))
    show(
        "trials: milliseconds a result, of the last tenth of results and of all; of wall time and of the CPU",
        rows,
        ("trials", "engine", "workers", "results", *TRIAL_COLUMNS, "result_ms_mean_of_all"),
    )
    print(*growth(rows), sep="\n")
    show(
        "trials: writing trials.csv once, growth of the driver's memory, the run's folder, and --resume",
        rows,
        ("trials", "engine", "table_write_ms", "driver_mb_growth", "files", "folder_mb", "disk_mb", "resume_s"),
    )
    return rows


def workers(quick: bool, folder: Path) -> list[Row]:
    """More and more workers."""
    plan, counts = (QUICK_PLAN, QUICK_WORKERS) if quick else (PLAN, WORKERS)
    rows = workers_rows(counts, plan, folder, 1 if quick else REPEATS)
    columns = ["workers", "cores", "trials", "results", "wall_s", "first_result_s", "training_s"]
    columns += ["times_faster", "at_most", "bound_by", "best_relative_error"]
    show(f"workers: {plan.drawn_faces} drawn faces, each worker one thread", rows, columns)
    return rows


def show(title: str, rows: Sequence[Row], columns: Sequence[str]) -> None:
    """Print a table."""
    print(f"\n{title}\n{text_table(rows, columns)}", flush=True)


def replays(quick: bool, _: Path) -> list[Row]:
    """More workers than there are cores, simulated."""
    rows = replay_rows(CURVES, QUICK_SEEDS if quick else SEEDS)
    columns = ["workers", "epochs", *(f"error_after_{mark}_s" for mark in SECONDS)]
    show("replay: simulated workers", rows, [*columns, "seconds_to_papers_error", "recorded_best"])
    return rows


PARTS = {"faces": faces, "trials": trials, "workers": workers, "replay": replays}


if __name__ == "__main__":
    run_script(main)
