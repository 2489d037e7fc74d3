"""How the wall time of a search falls as workers share its trials, on the cores of this machine."""

import functools
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import torch

from benchmarks.instant_trials import Clock, ClockedRecorder
from benchmarks.process import in_fresh_process, now
from benchmarks.table import Row, medians
from core.cores import cores
from core.device import device_name
from core.preparation import RANDOM
from core.run_folder import RunFolder
from search_spaces.catalogue import SPACES
from tune.cluster import start_ray
from tune.machine import Workers
from tune.materials import Materials, Place
from tune.plan import Plan
from tune.profile import Profile, settled_space
from tune.run import create_run
from tune.search import Search

WORKERS, QUICK_WORKERS = (1, 2, 4), (1, 2)
MAIN = ("wall_s", "training_s", "first_result_s")
SPACE = settled_space(SPACES["multitask"], Profile.FAST, {}).to_json()
# As much grace as epochs: no trial is stopped, so that all workers together have the same work, however they share it.
PLAN = Plan(SPACE, Profile.FAST, drawn_faces=400, trials=8, epochs=6, grace=6)
QUICK_PLAN = replace(PLAN, drawn_faces=120, trials=4, epochs=4, grace=4)


def workers_rows(counts: tuple[int, ...], plan: Plan, scratch: Path, repeats: int) -> list[Row]:
    """A row for each number of workers; what is prepared once is kept in ``scratch`` for all of them."""
    plan = replace(plan, weights=RANDOM)
    rows = []
    for count in counts:
        runs = [
            in_fresh_process(searched, count, plan, scratch / "cache", scratch / f"{count}-{repeat}")
            for repeat in range(repeats)
        ]
        rows.append(medians(runs, MAIN))
    return [with_speedup(row, rows[0]) for row in rows]


def searched(count: int, plan: Plan, cache: Path, folder: Path) -> Row:
    """One search with so many workers of one thread each; wants a process of its own."""
    own = cores()
    with patch("tune.cluster.cores", return_value=max(own, count)):  # Ray shares out as many cores as it is told of
        start_ray(None)
    materials = Materials(plan, Place(cache, Workers(count, 1, 0.0)), print)
    run = RunFolder(folder)
    create_run(run, plan, materials, "python -m benchmarks.scale")
    clock = Clock()
    with (
        run.lock(),
        patch("tune.search.Recorder", functools.partial(ClockedRecorder, clock)),
    ):
        ledger = Search(plan, run, materials).go()
    marks, end = [wall for wall, _ in clock.marks], now()[0]
    return {
        "device": device_name(torch.device("cpu")),  # also where there is a GPU
        "workers": count,
        "cores": own,
        "faces": plan.drawn_faces,
        "trials": plan.trials,
        "results": len(marks) - 1,
        "wall_s": end - marks[0],
        "first_result_s": marks[1] - marks[0],
        "training_s": marks[-1] - marks[1],
        "best_relative_error": float(ledger.ranked()[0].best(ledger.objective)["relative_error"]),
    }


def with_speedup(row: Row, one: Row) -> Row:
    """The row with how much faster it was than ``one``, and what sets the limit to that."""
    most = min(row["workers"], row["cores"])
    faster = one["wall_s"] / row["wall_s"]
    bound = "cores" if row["workers"] > row["cores"] else "workers"
    return {**row, "times_faster": faster, "at_most": most, "bound_by": bound}
