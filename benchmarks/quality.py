"""How good is what a search finds, against what it spends? Replayed from recorded learning curves, in minutes.

    python -m benchmarks.quality

The relative error (the best of each of the four models, their mean) after so many epochs, and after so many seconds,
for Tandem's default, its alternatives and the paper's one-at-a-time search with its own budget; then the settings of
ASHA and the samplers compared, from which the defaults were chosen. Medians over seeds with the middle half. Appends
to benchmarks/results/quality.csv and quality_settings.csv, and draws quality.png beside them.
"""

import argparse
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from benchmarks.learning_curves import CURVES
from benchmarks.material import RESULTS
from benchmarks.record import append_rows
from benchmarks.recorded import Recorded, read_curves
from benchmarks.replay import Epoch, Strategy, best_of_all, mean_of_best, papers_search, replay
from benchmarks.table import text_table
from core.errors import run_script
from core.looks import LEGEND, PAGE, dress, new_figure, save_figure
from tune.plan import Plan
from tune.study import Sampler

PAPER = "paper, one at a time"
BUDGET = 170  # epochs at which searches are compared; the paper's, of 19 rows of 10, ends after 190
MARKS = (BUDGET // 3, BUDGET, 2 * BUDGET)
DEFAULT = Strategy("Tandem's default")
STRATEGIES = (
    DEFAULT,
    Strategy("random + ASHA as in Ray", Sampler.RANDOM, grace=1, reduction=4.0, apart=False),
    replace(DEFAULT, name="the default, rungs shared", apart=False),
    replace(DEFAULT, name="TPE + ASHA", sampler=Sampler.TPE),
    Strategy("random, none stopped", Sampler.RANDOM, grace=Plan.epochs),
    Strategy("Hyperband", Sampler.RANDOM, grace=1, brackets=3),
)
COLOURS = ("#D55E00", "#0072B2", "#56B4E9", "#009E73", "#E69F00", "#CC79A7", "#000000")  # Okabe and Ito's
COLUMNS = (
    "strategy",
    "seeds",
    *(f"error_{mark}_epochs" for mark in MARKS),
    "any_models_error",
    "error_in_papers_time",
    "lower_than_papers_pct",
    "epochs_to_papers_error",
)
"""``any_models_error``: of the best model of any kind after :data:`BUDGET`; the others are means over kinds.
``lower_than_papers_pct``: after that against the paper's at its end. ``error_in_papers_time``: after its seconds."""

Searches = list[list[Epoch]]


def main() -> None:
    """Parse, replay, print, draw, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curves", type=Path, default=CURVES, metavar="FILE", help="(default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=100, help="of the replays (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR", help="(default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="20 seeds, and no comparison of settings; not recorded")
    given = parser.parse_args()
    seeds = 20 if given.quick else given.seeds
    configurations, rows = read_curves(given.curves)
    searches = {PAPER: [papers_search(rows[seed]) for seed in sorted(rows)]}
    for strategy in STRATEGIES:
        searches[strategy.name] = replayed(configurations, strategy, seeds)
    told = [{"strategy": name, **scores(found, searches[PAPER])} for name, found in searches.items()]
    print(text_table([shown(row) for row in told], COLUMNS), flush=True)
    if not given.quick:
        append_rows(given.out / "quality.csv", told)
        draw(searches, given.out / "quality.png")
        compared = settings(configurations, seeds)
        print(f"\nSettings, best first at {BUDGET} epochs:\n{text_table(compared, list(compared[0]))}")
        append_rows(given.out / "quality_settings.csv", compared)


def replayed(configurations: Sequence[Recorded], strategy: Strategy, seeds: int) -> Searches:
    """One search a seed, on one worker."""
    return [replay(configurations, strategy, 1, max(MARKS), seed) for seed in range(seeds)]


def scores(searches: Searches, paper: Searches) -> dict[str, Any]:
    """Error after each mark of epochs and of the paper's seconds; the paper's error over ours, and when we reach it."""
    bests = [mean_of_best(search) for search in searches]
    goal = float(np.median([mean_of_best(search)[-1] for search in paper]))
    seconds = float(np.median([search[-1].seconds for search in paper]))
    reached = [first_at_most(best, goal) for best in bests]
    after = [at_seconds(search, seconds) for search in searches]
    row: dict[str, Any] = {"seeds": len(searches)}
    for mark in MARKS:
        row |= middle(f"error_{mark}_epochs", [best[min(mark, len(best)) - 1] for best in bests])
    row |= middle("any_models_error", [best_of_all(search[:BUDGET])[-1] for search in searches])
    row |= middle("error_in_papers_time", after)
    ours = np.median([best[min(BUDGET, len(best)) - 1] for best in bests])
    row["lower_than_papers_pct"] = round(100 * (1 - float(ours) / goal), 1)
    row["epochs_to_papers_error"] = float(np.median(reached))
    return row


def first_at_most(best: NDArray[np.float64], goal: float) -> float:
    """Epochs until the error is ``goal`` or less; infinite if it never is."""
    below = np.flatnonzero(best <= goal)
    return float(below[0] + 1) if len(below) else np.inf


def at_seconds(search: Sequence[Epoch], seconds: float) -> float:
    """Error of what a search has found after ``seconds``."""
    best = mean_of_best(search)
    ended = int(np.searchsorted([epoch.seconds for epoch in search], seconds, side="right"))
    return float(best[ended - 1]) if ended else 1.0


def middle(name: str, values: Sequence[float]) -> dict[str, float]:
    """The median under ``name``, and the ends of the middle half."""
    low, median, high = (round(float(q), 4) for q in np.quantile(values, [0.25, 0.5, 0.75]))
    return {name: median, f"{name}_q25": low, f"{name}_q75": high}


def shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row to read: the middle half in brackets behind its median."""
    found = dict(row)
    for name in COLUMNS:
        if f"{name}_q25" in row:
            found[name] = f"{row[name]:.3f} ({row[f'{name}_q25']:.3f} to {row[f'{name}_q75']:.3f})"
    if row.get("strategy") == PAPER:  # against its own median
        found |= {"lower_than_papers_pct": None, "epochs_to_papers_error": None}
    elif not np.isfinite(row["epochs_to_papers_error"]):
        found["epochs_to_papers_error"] = "not reached"
    return found


def settings(configurations: Sequence[Recorded], seeds: int) -> list[dict[str, Any]]:
    """Every combination of sampler, epochs of a trial, grace period and reduction factor, best first."""
    rows: list[dict[str, Any]] = []
    for sampler, epochs in itertools.product((Sampler.RANDOM, Sampler.TPE), (10, 20, 50)):
        for grace, reduction in [*itertools.product((1, 2, 3, 5), (2.0, 3.0, 4.0)), (epochs, 2.0)]:
            # TPE replays take a second each; its settings are told apart on fewer seeds.
            count = seeds if sampler is Sampler.RANDOM else min(seeds, 20)
            searches = replayed(configurations, Strategy("", sampler, epochs, grace, reduction), count)
            rows.append(settings_row(sampler, epochs, grace, reduction, searches))
    return sorted(rows, key=lambda row: row[f"error_{BUDGET}_epochs"])


def settings_row(sampler: Sampler, epochs: int, grace: int, reduction: float, searches: Searches) -> dict[str, Any]:
    """Median errors of one combination, and the standard error of the one that it is chosen by."""
    bests = [mean_of_best(search) for search in searches]
    return {
        "sampler": str(sampler),
        "epochs": epochs,
        "grace": grace if grace < epochs else "all",
        "reduction": reduction if grace < epochs else None,
        **{f"error_{mark}_epochs": round(float(np.median([b[mark - 1] for b in bests])), 4) for mark in MARKS},
        "se": round(1.253 * float(np.std([b[BUDGET - 1] for b in bests], ddof=1)) / np.sqrt(len(bests)), 4),
        "is_default": (sampler, epochs, grace, reduction) == (Plan.sampler, Plan.epochs, Plan.grace, Plan.reduction),
    }


def draw(searches: Mapping[str, Searches], path: Path) -> None:
    """Median and middle half of the error, against epochs and against seconds."""
    figure = new_figure(PAGE, 3.9)
    by_epochs, by_seconds = figure.subplots(1, 2, sharey=True)
    last = float(np.median([search[-1].seconds for search in searches[PAPER]]))
    times = np.linspace(0, 2 * last, 200)
    for (name, found), colour in zip(searches.items(), COLOURS, strict=True):
        bests = [mean_of_best(search) for search in found]
        epochs = np.arange(1, min(map(len, bests)) + 1)
        band(by_epochs, epochs, np.array([best[: len(epochs)] for best in bests]), name, colour)
        shown = times[times <= np.median([search[-1].seconds for search in found])]
        band(by_seconds, shown, np.array([[at_seconds(search, t) for t in shown] for search in found]), name, colour)
    dress(by_epochs, "epochs trained in all", "mean relative error of four models")
    dress(by_seconds, "seconds of training, one worker", "")
    by_epochs.axvline(BUDGET, color="0.6", linewidth=0.8, zorder=0)
    figure.legend(*by_epochs.get_legend_handles_labels(), loc="outside lower center", ncols=3, **LEGEND)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_figure(figure, path)


def band(axes: Axes, x: NDArray[Any], values: NDArray[np.float64], name: str, colour: str) -> None:
    """A line for the median, a pale band for the middle half."""
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75], axis=0)
    line, width = ((0, (4, 1.5)), 1.8) if name == PAPER else ("solid", 2.4 if name == DEFAULT.name else 1.3)
    axes.step(x, median, where="post", label=name, color=colour, linestyle=line, linewidth=width)
    axes.fill_between(x, low, high, step="post", color=colour, alpha=0.1, linewidth=0)


if __name__ == "__main__":
    run_script(main)
