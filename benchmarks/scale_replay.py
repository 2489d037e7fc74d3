"""More workers than any machine at hand has, simulated: what a search has found after so many seconds."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.quality import DEFAULT, at_seconds, first_at_most
from benchmarks.recorded import Recorded, read_curves
from benchmarks.replay import Epoch, mean_of_best, papers_search, replay
from benchmarks.table import Row, spread

WORKERS = (1, 8, 64, 512)
SECONDS = (10, 30, 100)  # what 512 workers do in longer is no more than what is recorded
SEEDS, QUICK_SEEDS = 20, 5


def replay_rows(curves: Path, seeds: int) -> list[Row]:
    """A row for each number of workers: the default search over recorded trials, medians and spread over seeds.

    Workers never wait: a trial follows another at once, as beside trials of seconds it does to a few hundredths.
    """
    configurations, rows = read_curves(curves)
    goal = float(np.median([mean_of_best(papers_search(search))[-1] for search in rows.values()]))
    found = []
    for workers in WORKERS:
        searches = [replay(configurations, DEFAULT, workers, math.inf, seed, max(SECONDS)) for seed in range(seeds)]
        found.append({"workers": workers, **scores(searches, goal), "recorded_best": best_recorded(configurations)})
    return found


def scores(searches: Sequence[Sequence[Epoch]], goal: float) -> Row:
    """Errors after each mark, and the seconds until the paper's own search would have been passed."""
    row: Row = {"epochs": round(float(np.median([len(search) for search in searches])))}
    for mark in SECONDS:
        row |= spread(f"error_after_{mark}_s", [at_seconds(search, mark) for search in searches])
    return row | spread("seconds_to_papers_error", [seconds_to(search, goal) for search in searches])


def seconds_to(search: Sequence[Epoch], goal: float) -> float:
    """When the mean over the four models comes down to ``goal``; infinite if it does not."""
    epochs = first_at_most(mean_of_best(search), goal)
    return search[int(epochs) - 1].seconds if math.isfinite(epochs) else math.inf


def best_recorded(configurations: Sequence[Recorded]) -> float:
    """What no replay can pass: the mean over architectures of the least error within the epochs of a trial."""
    best: dict[str, float] = {}
    for one in configurations:
        least = min((float(curve[: DEFAULT.epochs].min()) for curve in one.curves if len(curve)), default=math.inf)
        best[one.architecture] = min(best.get(one.architecture, math.inf), least)
    return sum(best.values()) / len(best)
