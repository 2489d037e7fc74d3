"""Between Ray and the study: hands out unfinished trials first, then new ones."""

from collections.abc import Callable, Sequence
from typing import Any

from ray.tune.search import Searcher

from tune.study import Study


class StudySearcher(Searcher):
    """Gives Ray the configurations of a :class:`Study`, each with its trial number.

    How trials end is told to the study where it is recorded (``tune.recorder``), once.
    """

    def __init__(
        self,
        study: Study,
        unfinished: Sequence[tuple[int, dict[str, Any]]],
        more: Callable[[int], dict[str, Any]],
    ) -> None:
        super().__init__()
        self.study = study
        self.more = more
        self.unfinished = list(unfinished)

    def suggest(self, trial_id: str) -> dict[str, Any]:
        """``{"number": ..., "parameters": {...}}`` of the next trial, and what ``more`` gives for its number."""
        number, parameters = self.unfinished.pop(0) if self.unfinished else self.study.ask()
        return {"number": number, "parameters": parameters, **self.more(number)}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Nothing: the recorder tells the study."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the journal is the searcher's memory."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: see :meth:`save`."""
