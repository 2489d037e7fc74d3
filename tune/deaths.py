"""Trials whose worker died: why Ray gave them up, and when earlier deaths no longer count."""

import re
from pathlib import Path
from typing import Any

WORKER_DEATHS = 3  # as often in a row a trial whose process died, without coming farther, starts over


class Deaths:
    """Lets a trial that came farther than ever before start over as often as one whose worker never died.

    Ray counts deaths over a trial's whole life, so that a long retraining on machines that are taken away now and then
    would fail however far it came each time. One that dies in the same epoch again and again still fails.
    """

    def __init__(self) -> None:
        self.farthest: dict[Any, int] = {}

    def hear(self, key: Any, epoch: int, trial: Any) -> None:
        """An epoch of the trial that is known by ``key``."""
        if epoch > self.farthest.get(key, 0):
            self.farthest[key] = epoch
            trial.run_metadata.num_failures = 0
            trial.max_failures = WORKER_DEATHS  # one that hung had but one more try


def reason_of(trial: Any) -> str:
    """Why Ray gave a trial up, in one line."""
    try:
        # Its own method looks where this file will be copied some seconds later; that beside it can hold any code.
        text = Path(trial.error_file).read_text(encoding="utf-8", errors="replace").rpartition("Failure #")[2]
    except (OSError, TypeError):  # the second where Ray has named no file
        return "its worker failed each time it was tried; why was not kept"
    raised = re.findall(r"^(?:\w+\.)*(\w+(?:Error|Exception)): *(.*)$", text, re.MULTILINE)
    starting = "creation task" in text
    if not raised or ("The actor died" in text and not starting):
        return "its worker process died each time it was tried, as for want of memory or with its node"
    name, words = raised[-1]  # the last of a chain
    return f"{'its worker could not start: ' if starting else ''}{name}: {words}"[:200]
