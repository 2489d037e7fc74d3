"""Whether a prior holds: the trials drawn around it against all others of their kinds, as they end."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tune.head_start import OF_PRIOR

LEAST = 4
"""Trials on each side before the prior may be forgotten."""
LEAST_PAIRS = 8
"""Of the same kind of model, likewise."""


@dataclass(frozen=True)
class Seen:
    """A trial that ended."""

    number: int
    kind: str
    costs: Sequence[float]
    """The objective by epoch, as a number to minimise; empty if it failed."""
    origin: str | None
    """What it was drawn from, if not by the sampler (``tune.head_start``)."""

    @property
    def of_prior(self) -> bool:
        """Whether it was drawn around the prior."""
        return self.origin == OF_PRIOR

    @property
    def free(self) -> bool:
        """Whether the sampler drew it; an earlier run's leaders say nothing of either side."""
        return self.origin is None


def better(one: Seen, other: Seen) -> float:
    """1 if ``one`` is better than ``other``, 0 if worse, 1/2 if neither: by the best of as many epochs as both had.

    One that was stopped early has had fewer epochs to become good in. One that failed is worse than any that did not.
    """
    epochs = min(len(one.costs), len(other.costs))
    if not epochs:
        return (1 + bool(one.costs) - bool(other.costs)) / 2
    ours, theirs = min(one.costs[:epochs]), min(other.costs[:epochs])
    return ((ours < theirs) + (ours <= theirs)) / 2


@dataclass
class Judge:
    """Hears of trials in the order of their numbers, so that what it says does not depend on which ended first.

    The prior is forgotten, for good, once its trials are no better than the others: of all pairs of one of its trials
    and another one of the same kind of model it wins half or fewer (the Mann-Whitney statistic, summed over kinds as
    by van Elteren, 1960).
    """

    heard: list[Seen] = field(default_factory=list)
    wins: float = 0.0
    pairs: int = 0
    forgotten: int | None = None
    """The number of the trial after which the prior was forgotten."""
    counted: tuple[float, int] = (0.0, 0)
    """Wins and pairs then."""

    def hear(self, seen: Seen) -> None:
        """One more trial ended."""
        for other in self.heard:
            if other.kind == seen.kind and ((seen.of_prior and other.free) or (seen.free and other.of_prior)):
                self.pairs += 1
                self.wins += better(seen, other) if seen.of_prior else better(other, seen)
        self.heard.append(seen)
        if self.forgotten is None and self._knows_enough() and self.wins <= self.pairs / 2:
            self.forgotten, self.counted = seen.number, (self.wins, self.pairs)

    def _knows_enough(self) -> bool:
        sides = (sum(one.of_prior for one in self.heard), sum(one.free for one in self.heard))
        return min(sides) >= LEAST and self.pairs >= LEAST_PAIRS

    def told(self) -> str:
        """How the prior did, in a sentence."""
        if not self._knows_enough():
            own, others = (sum(flags) for flags in ([s.of_prior for s in self.heard], [s.free for s in self.heard]))
            return f"the prior could not be judged: {own} trials were drawn around it and {others} were not"
        wins, pairs = (self.wins, self.pairs) if self.forgotten is None else self.counted
        found = f"its trials won {wins:g} of {pairs} comparisons with others of their kind"
        if self.forgotten is None:
            return f"the prior held: {found}"
        return f"the prior was forgotten after trial {self.forgotten}: {found}"
