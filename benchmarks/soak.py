"""What does a long search leave behind? One real search of many short trials, looked at while it runs.

    python -m benchmarks.soak                      # 2,000 trials of one epoch on 40 drawn faces
    python -m benchmarks.soak --trials 200

Reads the driver's memory and open files at a tenth of the trials and at the end, and the size of the run's folder.
Appends to benchmarks/results/soak.csv. Linux only: the numbers come from /proc.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.process import memory_of
from benchmarks.record import append_rows
from benchmarks.scale_trials import folder_size
from benchmarks.table import Row, text_table
from core.errors import UserError, run_script

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks/results/soak.csv"
TRIALS, LOOKS = 2_000, (0.1, 0.5, 1.0)
SMALL = ["--drawn-faces", "40", "--weights", "random", "--workers", "1", "--set", "head_width=8", "frozen_blocks=5"]
SHORT = ["--epochs", "1", "--grace", "1", "--retrain-epochs", "1", "--retrain-seeds", "1"]
COLUMNS = (
    "trials",
    "wall_s",
    "rss_mb",
    "pss_mb",
    "private_mb",
    "open_files",
    "threads",
    "files",
    "folder_mb",
    "disk_mb",
)


def soak(trials: int, folder: Path) -> list[Row]:
    """Run the search in ``folder``; a row for each look at it.

    Raises:
        UserError: the search failed.
    """
    words = ["--space", "gender", "--name", "soak", "--trials", str(trials), *SMALL, *SHORT]
    place = ["--storage", str(folder / "runs"), "--cache", str(folder / "cache"), "--address", "local"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    start = time.perf_counter()
    with (folder / "said.txt").open("w+") as said:
        driver = subprocess.Popen(
            [sys.executable, "scripts/search.py", *words, *place], cwd=ROOT, stdout=said, stderr=said, env=environment
        )
        try:
            run = folder / "runs/soak"
            rows = []
            for count in sorted({max(1, round(share * trials)) for share in LOOKS}):
                while epochs(run) < count and driver.poll() is None:
                    time.sleep(0.05)
                if driver.poll() is not None:
                    break
                rows.append({"trials": epochs(run), "wall_s": time.perf_counter() - start, **look(driver.pid, run)})
            code = driver.wait()
        finally:
            driver.kill()
            driver.wait()
        if code:
            said.seek(0)
            raise UserError(f"the search ended with exit code {code}: {said.read().strip().splitlines()[-1]}")
    return rows


def epochs(run: Path) -> int:
    """How many epochs, here one a trial, the run has written down."""
    curves = run / "curves.csv"
    return max(0, curves.read_bytes().count(b"\n") - 1) if curves.is_file() else 0


def look(pid: int, run: Path) -> Row:
    """Memory, open files and threads of a process, and the size of a run's folder."""
    process = Path("/proc") / str(pid)
    return {
        **memory_of(pid),
        "open_files": len(list((process / "fd").iterdir())),
        "threads": len(list((process / "task").iterdir())),
        **folder_size(run),
    }


def main() -> None:
    """Parse, run, print, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=TRIALS, help="(default: %(default)s)")
    asked = parser.parse_args()
    if asked.trials < 1:
        raise UserError(f"--trials must be from 1, got {asked.trials}")
    with tempfile.TemporaryDirectory(prefix="tandem-soak-") as folder:
        rows = soak(asked.trials, Path(folder))
    print(text_table(rows, COLUMNS))
    append_rows(RESULTS, [{"of_trials": asked.trials, **row} for row in rows])
    print(f"added to {RESULTS}")


if __name__ == "__main__":
    run_script(main)
