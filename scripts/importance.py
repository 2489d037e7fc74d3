"""Which choices mattered in a run, or in several of the same space together: parameters that are worth a search.

    python scripts/importance.py runs/first
    python scripts/importance.py runs/first runs/second --out both

Writes importance.csv and importance.png into the run's folder, or into --out; the search itself has written the table
when it ended, unless it is an older run.
"""

from contextlib import ExitStack
from pathlib import Path

import pandas as pd

from core.atomic import write_text
from core.cache_folder import COPIES_HELP, cache_folder, default_cache
from core.commands import Parser
from core.errors import UserError, run_script
from core.importance_figure import importance_figures
from core.importance_table import sentences
from core.run_folder import RunFolder, check_writable
from core.search_record import is_replication
from core.storage import run_at
from tune.importance import check_alike, importance_of
from tune.ledger import Ledger
from tune.plan import Plan, plan_from_json
from tune.progress import say
from tune.search import restored_ledger, study_of


def main() -> None:
    """Parse, compare, print, write."""
    parser = Parser(__doc__)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a run's name, its folder, or its URL")
    parser.add_argument("--out", type=Path, metavar="DIR", help="(default: the run; of several, nothing is written)")
    parser.add_argument("--cache", type=cache_folder, default=default_cache(), metavar="DIR", help=COPIES_HELP)
    given = parser.parse_args()
    if given.out is not None:
        check_folder(given.out)
    with ExitStack() as stack:
        runs: dict[str, RunFolder] = {}
        for place in given.runs:
            storage, run = run_at(place, given.cache)
            if str(run.path) in runs:
                raise UserError(f"{run.path}: given twice")
            stack.enter_context(storage.held(run, say))
            runs[str(run.path)] = run
        plans = {name: plan_of(run) for name, run in runs.items()}
        check_alike(plans)
        entries = [(plans[name], ledger_of(run, plans[name]).entries.values()) for name, run in runs.items()]
        table = importance_of(entries)
        print(*sentences(table) or ["no trial has a result"], sep="\n")
        if given.out is not None:
            write(table, given.out)
            print(f"written to {given.out}")
        elif len(runs) == 1:
            run = next(iter(runs.values()))
            write(table, run.path)
            print(f"written to {run.url() or run.path}")
        else:
            print("importance.csv, with all intervals, is written where there is --out DIR")


def check_folder(path: Path) -> None:
    """Raise a UserError unless files can be written there, in a folder that is there or can be made."""
    if path.exists() and not path.is_dir():
        raise UserError(f"--out {path}: must be a folder")
    check_writable(path / "importance.csv")


def plan_of(run: RunFolder) -> Plan:
    """What the run was to do."""
    recorded = run.read_search()
    if is_replication(recorded):
        raise UserError(f"{run.path}: a replication of the paper, whose conclusions.csv says what mattered")
    return plan_from_json(recorded["plan"], str(run.search))


def ledger_of(run: RunFolder, plan: Plan) -> Ledger:
    """Its trials."""
    if not run.journal.is_file():
        raise UserError(f"{run.journal}: no such file, so nothing is known of the run's trials")
    return restored_ledger(run, study_of(run, plan), plan.aim())


def write(table: pd.DataFrame, folder: Path) -> None:
    """The table, and the figure if there is anything to draw."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "importance.csv", table.to_csv(index=False))
    importance_figures(table, folder)


if __name__ == "__main__":
    run_script(main)
