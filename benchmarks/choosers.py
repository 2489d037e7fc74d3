"""Where the trials of a replay come from: recorded configurations, at random or as TPE asks for them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from benchmarks.recorded import Recorded, distance
from search_spaces.joint import JOINT
from tune.head_start import HeadStart
from tune.study import Sampler, Study


class Chooser(Protocol):
    """Gives one configuration after another, and hears what came of each."""

    def ask(self) -> Recorded:
        """The configuration of the next trial."""

    def tell(self, recorded: Recorded, seen: Sequence[float], finished: bool) -> None:
        """Its errors by epoch, and whether it was stopped by nothing but its end."""


class RandomChooser:
    """Recorded configurations in random order, and again when they are used up."""

    def __init__(self, configurations: Sequence[Recorded], random: np.random.Generator) -> None:
        self.configurations = configurations
        self.random = random
        self.left: list[int] = []

    def ask(self) -> Recorded:
        """The next configuration."""
        if not self.left:
            self.left = self.random.permutation(len(self.configurations)).tolist()
        return self.configurations[self.left.pop()]

    def nearest(self, parameters: Mapping[str, Any]) -> Recorded:
        """The unused configuration nearest to these parameters."""
        self.left = self.left or self.random.permutation(len(self.configurations)).tolist()
        unused = [self.configurations[index] for index in self.left]
        found = _nearest(unused if _has_kind(unused, parameters) else self.configurations, parameters)
        self.left = [index for index in self.left if self.configurations[index] is not found]
        return found

    def tell(self, recorded: Recorded, seen: Sequence[float], finished: bool) -> None:
        """Random search learns nothing."""


class TpeChooser:
    """Optuna's TPE as a search uses it, brought to the nearest recorded configuration."""

    def __init__(
        self, configurations: Sequence[Recorded], seed: int, folder: Path, head_start: HeadStart | None = None
    ) -> None:
        self.left = list(configurations)
        self.all = configurations
        self.study = Study(folder / "journal", JOINT, Sampler.TPE, seed, head_start=head_start)

    def ask(self) -> Recorded:
        """The unused configuration nearest to what TPE proposes."""
        number, proposed = self.study.ask()
        self.study.tell(number, "failed", None, 0, "only proposed")  # TPE leaves failed trials out
        return self.nearest(proposed)

    def nearest(self, parameters: Mapping[str, Any]) -> Recorded:
        """The unused configuration nearest to these parameters."""
        if not _has_kind(self.left, parameters):
            self.left += [r for r in self.all if r.architecture == parameters["architecture"]]
        nearest = _nearest(self.left, parameters)
        self.left.remove(nearest)
        return nearest

    def tell(self, recorded: Recorded, seen: Sequence[float], finished: bool) -> None:
        """What came of a trial."""
        cost = min(seen) if seen else None
        self.study.add(recorded.parameters, "finished" if finished else "stopped", cost, len(seen))


def _has_kind(configurations: Sequence[Recorded], parameters: Mapping[str, Any]) -> bool:
    return any(recorded.architecture == parameters["architecture"] for recorded in configurations)


def _nearest(configurations: Sequence[Recorded], parameters: Mapping[str, Any]) -> Recorded:
    return min(configurations, key=lambda recorded: distance(parameters, recorded.parameters))
