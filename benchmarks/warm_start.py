"""What does a search gain by what is known before it? Replayed from recorded learning curves, in a minute.

    python -m benchmarks.warm_start

Epochs until a search has found what one that starts cold has found after the paper's 170: with --warm-start from an
earlier search, and with a prior that is good (its winners), bad (its worst trials) or the paper's. The earlier search
met half of the recorded configurations, all of them with two seeds, and saw the first; the new one meets all
configurations and sees the last, so no curve is seen twice. Medians over replays with the middle half. Appends to
benchmarks/results/warm_start.csv.
"""

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.choosers import RandomChooser, TpeChooser
from benchmarks.learning_curves import CURVES
from benchmarks.material import RESULTS
from benchmarks.quality import BUDGET, MARKS, first_at_most, middle
from benchmarks.record import append_rows
from benchmarks.recorded import Recorded, read_curves
from benchmarks.replay import KINDS, Epoch, Strategy, mean_of_best, run_trials
from benchmarks.table import text_table
from core.errors import run_script
from core.names import RELATIVE_ERROR
from search_spaces.joint import JOINT
from search_spaces.prior import PAPER_PRIOR, centred
from tune.asha import Past
from tune.head_start import Earlier, HeadStart
from tune.judge import Judge, Seen
from tune.knowledge import Fitting, leaders_of
from tune.plan import Plan
from tune.study import Sampler

LAST = max(MARKS)
EARLIER = 1000  # from here on, the seeds of earlier searches
COLD = {Sampler.RANDOM: "cold", Sampler.TPE: "cold, TPE"}
COLUMNS = (
    "start",
    "seeds",
    "epochs_to_cold",
    *(f"error_{mark}_epochs" for mark in MARKS[:2]),
    "prior_trials",
    "forgotten_pct",
)
"""``epochs_to_cold``: until the median error of the cold search after 170 epochs is reached; 340, where replays end, if
it is not. ``prior_trials`` are those that were drawn around the prior."""


@dataclass
class KnowingChooser:
    """What a search with a head start asks for, one trial after another, brought to recorded configurations."""

    inner: RandomChooser | TpeChooser
    head_start: HeadStart
    seed: int
    judge: Judge = field(default_factory=Judge)
    origin: str | None = None
    told: list[tuple[Recorded, list[float]]] = field(default_factory=list)
    """Trials that ended, with their errors by epoch."""

    def ask(self) -> Recorded:
        """The configuration of the next trial."""
        holds = self.judge.forgotten is None
        self.origin, parameters = self.head_start.pick(len(self.told), JOINT, self.seed, lambda: holds)
        # A kind that is given alone need not be kept to: here all have a prior, and are drawn evenly.
        return self.inner.ask() if self.origin is None else self.inner.nearest(parameters)

    def tell(self, recorded: Recorded, seen: Sequence[float], finished: bool) -> None:
        """What came of it."""
        self.judge.hear(Seen(len(self.told), recorded.architecture, list(seen), self.origin))
        self.told.append((recorded, list(seen)))
        self.inner.tell(recorded, seen, finished)


@dataclass(frozen=True)
class Start:
    """How a new search begins."""

    name: str
    sampler: Sampler = Sampler.RANDOM
    warm: bool = False
    rungs: bool = True
    """Whether a warm start also fills ASHA's rungs."""
    prior: str | None = None
    """``winners`` or ``losers`` of the earlier search, or ``paper``."""

    def head_start(self, earlier: KnowingChooser) -> HeadStart:
        """What it knows of the earlier search."""
        trials = [Earlier(r.parameters, seen, ended(seen)) for r, seen in earlier.told if seen]
        best_first = sorted(
            (Fitting(one, str(one.parameters["architecture"]), frozenset(), {}) for one in trials),
            key=lambda one: min(one.trial.costs),
        )
        prior: Mapping[str, Mapping[str, Any]] = {}
        if self.prior == "paper":
            prior = PAPER_PRIOR
        elif self.prior is not None:
            order = best_first if self.prior == "winners" else best_first[::-1]
            prior = {kind: next(one.trial.parameters for one in order if one.kind == kind) for kind in KINDS}
        centres = {kind: dict(centred(JOINT, kind, values)[0]) for kind, values in prior.items()}
        return (
            HeadStart(leaders_of(best_first, len(trials)), trials, centres) if self.warm else HeadStart(prior=centres)
        )


STARTS = (
    Start(COLD[Sampler.RANDOM]),
    Start("warm", warm=True),
    Start("warm, rungs empty", warm=True, rungs=False),
    Start("prior: earlier winners", prior="winners"),
    Start("prior: the paper's", prior="paper"),
    Start("prior: earlier losers", prior="losers"),
    Start("warm, prior: earlier winners", warm=True, prior="winners"),
    Start(COLD[Sampler.TPE], Sampler.TPE),
    Start("warm, TPE", Sampler.TPE, warm=True),
    Start("prior: earlier winners, TPE", Sampler.TPE, prior="winners"),
    Start("prior: earlier losers, TPE", Sampler.TPE, prior="losers"),
)


def ended(seen: Sequence[float]) -> str:
    """How a trial with these errors ended."""
    return "finished" if len(seen) >= Plan.epochs else "stopped"


def main() -> None:
    """Parse, replay, print, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curves", type=Path, default=CURVES, metavar="FILE", help="(default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=20, help="of the replays (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR", help="(default: %(default)s)")
    given = parser.parse_args()
    configurations, _ = read_curves(given.curves)
    rows = compared(configurations, given.seeds)
    print(text_table([shown(row) for row in rows], COLUMNS))
    append_rows(given.out / "warm_start.csv", rows)


def halves(configurations: Sequence[Recorded], seed: int) -> tuple[list[Recorded], list[Recorded]]:
    """What the earlier search meets, and what the new one may meet; no curve is in both."""
    twice = [recorded for recorded in configurations if len(recorded.curves) > 1]
    # Not the new search's own random numbers, with which it would come first to what the earlier one has not met.
    chosen = np.random.default_rng([seed, 1]).permutation(len(twice))[: len(configurations) // 2]
    earlier = [replace(twice[index], curves=twice[index].curves[:1]) for index in chosen]
    return earlier, [replace(recorded, curves=recorded.curves[-1:]) for recorded in configurations]


def compared(configurations: Sequence[Recorded], seeds: int) -> list[dict[str, Any]]:
    """A row a start."""
    found: dict[Start, list[tuple[list[Epoch], KnowingChooser]]] = {start: [] for start in STARTS}
    for seed in range(seeds):
        before, after = halves(configurations, seed)
        _, earlier = search(before, Start("earlier"), HeadStart(), BUDGET, EARLIER + seed)
        for start, replays in found.items():
            replays.append(search(after, start, start.head_start(earlier), LAST, seed))
    cold = [mean_of_best(spent)[BUDGET - 1] for spent, _ in found[STARTS[0]]]
    return [row(start, replays, float(np.median(cold))) for start, replays in found.items()]


def search(
    configurations: Sequence[Recorded], start: Start, known: HeadStart, epochs: int, seed: int
) -> tuple[list[Epoch], KnowingChooser]:
    """One search on one worker."""
    random = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        inner: RandomChooser | TpeChooser = RandomChooser(configurations, random)
        if start.sampler is Sampler.TPE:
            inner = TpeChooser(configurations, seed, Path(folder), HeadStart(earlier=known.earlier))
        chooser = KnowingChooser(inner, known, seed)
        past = past_of(known) if start.rungs else ()
        spent = run_trials(chooser, Strategy(start.name, start.sampler, past=past), 1, epochs, np.inf, random)
    return spent, chooser


def past_of(known: HeadStart) -> Past:
    """The earlier trials as ASHA hears of them."""
    return [
        (one.parameters, [{"epoch": epoch, RELATIVE_ERROR: cost} for epoch, cost in enumerate(one.costs, 1)])
        for one in known.earlier
    ]


def row(start: Start, replays: Sequence[tuple[list[Epoch], KnowingChooser]], goal: float) -> dict[str, Any]:
    """Medians over replays, with the ends of the middle half."""
    bests = [mean_of_best(spent) for spent, _ in replays]
    told: dict[str, Any] = {"start": start.name, "seeds": len(replays)}
    told |= middle("epochs_to_cold", [min(first_at_most(best, goal), float(LAST)) for best in bests])
    for mark in MARKS:
        told |= middle(f"error_{mark}_epochs", [best[mark - 1] for best in bests])
    if start.prior is not None:
        judges = [chooser.judge for _, chooser in replays]
        told["prior_trials"] = float(np.median([sum(seen.of_prior for seen in judge.heard) for judge in judges]))
        told["forgotten_pct"] = round(100 * float(np.mean([judge.forgotten is not None for judge in judges])))
    return told


def shown(told: Mapping[str, Any]) -> dict[str, Any]:
    """A row to read: the middle half in brackets behind its median."""
    found = dict(told)
    for name in COLUMNS:
        if f"{name}_q25" in told:
            ends = [told[name], told[f"{name}_q25"], told[f"{name}_q75"]]
            found[name] = "{} ({} to {})".format(
                *(f"{end:.0f}" if "epochs_to" in name else f"{end:.3f}" for end in ends)
            )
    return found


if __name__ == "__main__":
    run_script(main)
