"""How often is the best of ten configurations chosen, by one part, by folds, by a race? From recorded scores.

    python -m benchmarks.ranking

Ten of the recorded configurations are compared again and again, each time with other seeds: by one validation part of
45 faces; by the same with five seeds; by five folds; and by a race as ``--race 4`` holds it after a search by one part.
Which of the ten is truly the best is what all folds say with five seeds that no way of judging has used; as these are
the same 450 faces, the luck of who is among them is left out, which favours ways that have seen all of them. Reports
how often another one is chosen, and how much worse it is; and of races how often they were decided, and then wrong.
With 95 % intervals over configurations (jackknife by tens). Appends to benchmarks/results/ranking.csv.
"""

import argparse
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from benchmarks.fold_scores import FOLDS, HALVES, SCORES
from benchmarks.material import RESULTS
from benchmarks.record import append_rows
from benchmarks.table import Row, text_table
from core.errors import UserError, run_script
from core.standing import SURE, chances_of, in_the_race
from tune.progress import Progress

TEN, LEADERS = 10, 4
TRUTH_SEEDS = 5
GROUPS = 10
STUDENT = float(stats.t.ppf(0.975, GROUPS - 1))
REFERENCE, OF_EQUAL_COST = "one part", "one part, 5 seeds"

Scores = NDArray[np.float64]
"""Relative errors: configurations x seeds x epochs x folds x halves; infinite where a training had diverged."""


class Comparison:
    """Ten configurations, seeds in a random order, and a part that is the only one at first.

    Args:
        scores: of the ten.
    """

    def __init__(self, scores: Scores, random: np.random.Generator) -> None:
        self.order = random.permutation(scores.shape[1])
        self.fold, self.half = random.integers(FOLDS), random.integers(HALVES)
        self.scores = scores
        self.draw = int(random.integers(2**31))
        self.trained = 0
        """Trainings that a way of judging has asked for, each on one part."""
        self.decided = False
        """Whether it was sure of its choice."""

    def one_part(self, seeds: int = 1) -> Scores:
        """Of each configuration its mean over so many seeds on the part, each training at its best epoch."""
        self.trained += len(self.scores) * seeds
        on_part = self.scores[:, self.order[:seeds]][..., self.fold, self.half]
        return np.asarray(on_part.min(axis=2).mean(axis=1))

    def fold_means(self, who: Sequence[int], seed: int) -> Scores:
        """Of some configurations the score on each fold with the seed at a place of the order: (W, FOLDS)."""
        self.trained += len(who) * FOLDS
        by_fold = self.scores[list(who)][:, self.order[seed]].mean(axis=3)
        best = by_fold.mean(axis=2).argmin(axis=1)
        return np.asarray(by_fold[np.arange(len(who)), best])

    def truth(self) -> Scores:
        """Of each configuration its mean over folds and the last seeds of the order."""
        seeds = self.order[-TRUTH_SEEDS:]
        return np.asarray(self.scores[:, seeds].mean(axis=(3, 4)).min(axis=2).mean(axis=1))


def by_one_part(comparison: Comparison) -> int:
    """The search's own word."""
    return int(comparison.one_part().argmin())


def by_one_part_often(comparison: Comparison) -> int:
    """Five seeds on the same part."""
    return int(comparison.one_part(seeds=5).argmin())


def by_folds(comparison: Comparison) -> int:
    """Every configuration on every fold, once: ``--folds 5``."""
    return int(comparison.fold_means(range(len(comparison.scores)), 0).mean(axis=1).argmin())


def by_race(comparison: Comparison, rounds: int) -> int:
    """The leaders by one part, again on all folds with new seeds, until one of them is the best beyond doubt."""
    racers = comparison.one_part().argsort(kind="stable")[:LEADERS].tolist()
    seen: dict[int, list[Scores]] = {racer: [] for racer in racers}
    for number in range(1, rounds + 1):
        for racer, means in zip(racers, comparison.fold_means(racers, number), strict=True):
            seen[racer].append(means)
        racers = [racer for racer in racers if np.isfinite(seen[racer]).all()] or racers[:1]
        if len(racers) == 1:
            comparison.decided = True
            break
        chances = chances_of([np.mean(seen[racer], axis=0) for racer in racers], comparison.draw, 200)
        ordered = sorted(zip(chances, racers, in_the_race(chances), strict=True), key=lambda one: -one[0])
        racers = [racer for _, racer, stays in ordered if stays]
        if ordered[0][0] >= SURE:
            comparison.decided = True
            break
    return int(racers[0])


WAYS: dict[str, Callable[[Comparison], int]] = {
    REFERENCE: by_one_part,
    OF_EQUAL_COST: by_one_part_often,
    "5 folds": by_folds,
    "race, 2 rounds": lambda comparison: by_race(comparison, 2),
    "race, 3 rounds": lambda comparison: by_race(comparison, 3),
}
SHARES = (
    "wrong_pct",
    "wrong_against_one_part",
    "wrong_against_5_seeds",
    "lost_pct",
    "lost_against_one_part",
    "lost_against_5_seeds",
    "decided_pct",
    "wrong_if_sure_pct",
)
COLUMNS = ("way", "trainings", *SHARES)


def main() -> None:
    """Parse, compare, print, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scores", type=Path, default=SCORES, metavar="FILE", help="(default: %(default)s)")
    parser.add_argument("--comparisons", type=int, default=20000, help="(default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="100 comparisons; not recorded")
    given = parser.parse_args()
    scores = read_scores(given.scores)
    rows = table(scores, 100 if given.quick else given.comparisons)
    print(f"\n{len(scores)} configurations, {scores.shape[1]} seeds\n{text_table(rows, COLUMNS)}")
    if not given.quick:
        append_rows(RESULTS / "ranking.csv", rows)


def read_scores(path: Path) -> Scores:
    """The scores of configurations that have been trained with every seed.

    Raises:
        UserError: no such file, or too little in it.
    """
    if not path.is_file():
        raise UserError(f"{path}: no scores here; python -m benchmarks.fold_scores records them")
    table = pd.read_csv(path)
    names = [name for name in table.columns if name.startswith("e") and "." in name]
    seeds = sorted(set(table["seed"]))
    whole = [number for number, rows in table.groupby("number") if len(rows) == len(seeds)]
    if len(whole) < 2 * TEN or len(seeds) < 2 * TRUTH_SEEDS:
        has = f"{len(whole)} with {len(seeds)}"
        raise UserError(f"{path}: must have at least {2 * TEN} configurations with {2 * TRUTH_SEEDS} seeds, has {has}")
    cells = table[table["number"].isin(whole)].sort_values(["number", "seed"])[names].to_numpy(dtype=float)
    shape = len(whole), len(seeds), len(names) // FOLDS // HALVES, FOLDS, HALVES
    cells[np.isnan(cells)] = math.inf
    return cells.reshape(shape)


def table(scores: Scores, comparisons: int) -> list[Row]:
    """A row a way: how often it is wrong, what that costs, both against one part with one seed and with
    five, which costs about as much as folds and races, with jackknife intervals.

    Without a tenth of the configurations there are those comparisons that none of it takes part in: the same ones, or
    the chance of which are drawn would look like a difference between configurations.
    """
    done = 0
    with Progress(lambda: f"{done}/{comparisons} comparisons"):
        played = []
        for index in range(comparisons):
            played.append(play(scores, index))
            done += 1
    members, results = np.array([who for who, _ in played]), np.array([found for _, found in played])
    groups = np.array_split(np.random.default_rng(0).permutation(len(scores)), GROUPS)
    whole, without = summed(results), [summed(results[~np.isin(members, group).any(axis=1)]) for group in groups]
    rows: list[Row] = []
    for way, found in whole.items():
        row: Row = {"way": way, "comparisons": comparisons, "trainings": round(found["trainings"], 1)}
        for name in SHARES:
            value, left_out = found[name], np.array([part[way][name] for part in without])
            error = STUDENT * math.sqrt((GROUPS - 1) * float(left_out.var()))
            row |= {name: value, f"{name}_min": value - error, f"{name}_max": value + error}
        rows.append(row)
    return rows


def play(scores: Scores, index: int) -> tuple[NDArray[np.int64], list[list[float]]]:
    """One comparison: which ten take part, and of each way whether it is wrong, by how much its choice is worse than
    the best, what it trains and whether it was sure."""
    found = []
    for judge in WAYS.values():
        random = np.random.default_rng(index)  # the same ten, seeds and part for every way
        members = random.choice(len(scores), TEN, replace=False)
        comparison = Comparison(scores[members], random)
        chosen, truth = judge(comparison), comparison.truth()
        lost = float(truth[chosen] / truth.min() - 1)
        found.append([float(truth[chosen] > truth.min()), lost, float(comparison.trained), float(comparison.decided)])
    return members, found


def outcomes(scores: Scores, comparisons: int) -> dict[str, dict[str, float]]:
    """What came of so many comparisons, by way."""
    return summed(np.array([play(scores, index)[1] for index in range(comparisons)]))


def summed(results: NDArray[np.float64]) -> dict[str, dict[str, float]]:
    """Means over comparisons (C, ways, 4), by way."""
    found = {}
    means = {way: results[:, number].mean(axis=0) for number, way in enumerate(WAYS)}
    first, as_dear = (means.get(way, np.zeros(2)) for way in (REFERENCE, OF_EQUAL_COST))
    for number, way in enumerate(WAYS):
        wrong, lost, trained, sure = results[:, number].T
        found[way] = {
            "trainings": float(trained.mean()),
            "wrong_pct": 100 * float(wrong.mean()),
            "wrong_against_one_part": share(float(wrong.mean()), float(first[0])),
            "wrong_against_5_seeds": share(float(wrong.mean()), float(as_dear[0])),
            "lost_pct": 100 * float(lost.mean()),
            "lost_against_one_part": share(float(lost.mean()), float(first[1])),
            "lost_against_5_seeds": share(float(lost.mean()), float(as_dear[1])),
            "decided_pct": 100 * float(sure.mean()),
            "wrong_if_sure_pct": 100 * share(float((wrong * sure).sum()), float(sure.sum())),
        }
    return found


def share(value: float, of: float) -> float:
    """How many times ``of``; not a number of nothing."""
    return value / of if of else math.nan


if __name__ == "__main__":
    run_script(main)
