"""Which choices of ``joint`` matter on real faces, and can it be told as early as trials are stopped?

    python -m benchmarks.importance

The importance of each parameter in each branch, of 100 recorded configurations (``benchmarks.learning_curves``) by
their best epoch of the first 2, 10 and 50, each the mean of its recorded seeds. Seconds; appends to
benchmarks/results/importance.csv.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.learning_curves import CURVES
from benchmarks.material import RESULTS
from benchmarks.record import append_rows
from benchmarks.recorded import Recorded, read_curves
from benchmarks.table import Row, text_table
from core.errors import run_script
from core.importance_table import SHARES, Verdict, sentences
from core.names import RELATIVE_ERROR
from search_spaces.joint import JOINT
from tune.importance import Result, importance_table

EPOCHS = (2, 10, 50)
SEED = 0


def main() -> None:
    """Parse, compare, print, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curves", type=Path, default=CURVES, metavar="FILE", help="(default: %(default)s)")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR", help="(default: %(default)s)")
    given = parser.parse_args()
    configurations, _ = read_curves(given.curves)
    tables = [importance_after(configurations, epochs) for epochs in EPOCHS]
    for table in tables:
        print(*sentences(table), "", sep="\n")
    print(text_table(side_by_side(tables), ["branch", "trials", "parameter", *map(heading, EPOCHS)]))
    told = pd.concat(tables, ignore_index=True)
    told[[*SHARES, "chance"]] = told[[*SHARES, "chance"]].astype(float).round(4)
    seeds = sum(len(one.curves) for one in configurations)
    append_rows(given.out / "importance.csv", [{"trainings": seeds, **dict(row)} for _, row in told.iterrows()])


def importance_after(configurations: Sequence[Recorded], epochs: int) -> pd.DataFrame:
    """The importance of what varies among recorded configurations, by their best of so many epochs."""
    results = [
        Result(one.parameters, one.architecture, float(np.mean([curve[:epochs].min() for curve in one.curves])))
        for one in configurations
    ]
    return importance_table(results, JOINT, epochs, RELATIVE_ERROR, SEED)


def heading(epochs: int) -> str:
    """The column of so many epochs."""
    return f"after {epochs} epochs"


def side_by_side(tables: Sequence[pd.DataFrame]) -> list[Row]:
    """A row a parameter and branch: shares alone and verdicts after each number of epochs."""
    rows = []
    for lines in zip(*(table.to_dict("records") for table in tables), strict=True):
        shares = {heading(line["epochs"]): _share(line) for line in lines}
        rows.append({**{name: lines[0][name] for name in ("branch", "trials", "parameter")}, **shares})
    return rows


def _share(line: Row) -> str:
    if line["verdict"] == Verdict.FEW:
        return str(Verdict.FEW)
    alone, low, high = (round(100 * line[f"alone{end}"]) for end in ("", "_lo", "_hi"))
    return f"{alone} % ({low} to {high}), {line['verdict']}"


if __name__ == "__main__":
    run_script(main)
