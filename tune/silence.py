"""Trials of which nothing is heard: their workers are ended, and told from those that died."""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import ray

LATE_SECONDS = 10.0  # that a worker has for ending itself first, which tells its log where it stood
LOOK_SECONDS = 1.0
BUSY_SECONDS = 5.0  # between two looks: then it was this process that heard nothing


def kill(trial: Any) -> None:
    """End a trial's worker, whatever it is doing."""
    worker = trial.temporary_state.ray_actor
    if worker is not None:
        ray.kill(worker)


class Silence:
    """Tells a worker that was ended because its trial hung from one that died.

    Args:
        timeout: seconds after which a worker ends itself in an epoch (``--trial-timeout``); None for never.
        end: ends the worker of a trial that cannot end itself: it was stopped, or is deep in the kernel.
    """

    def __init__(self, timeout: float | None, end: Callable[[Any], None] = kill) -> None:
        self.timeout = timeout
        self.end = end
        self.since: dict[Any, float] = {}
        self.looked_at = -math.inf

    def broken(self, key: Any) -> None:
        """Something was heard of a trial."""
        self.since[key] = time.monotonic()

    def look(self, running: Mapping[Any, Any]) -> None:
        """End workers that are late; to be called again and again.

        Args:
            running: trials that have a worker, by the key under which they are heard of.
        """
        now = time.monotonic()
        gap = now - self.looked_at
        if self.timeout is None or gap < LOOK_SECONDS:
            return
        self.looked_at = now
        if BUSY_SECONDS < gap < math.inf:  # it waited for storage, say, and what workers sent lies unread
            self.since = {key: since + gap for key, since in self.since.items()}
        for key, trial in running.items():
            if now - self.since.get(key, math.inf) > self.timeout + LATE_SECONDS:
                self.end(trial)

    def reason(self, key: Any) -> str:
        """Why a trial whose worker is gone failed, if it hung; else nothing."""
        if self.timeout is None or time.monotonic() - self.since.get(key, math.inf) < self.timeout:
            return ""
        return f"no epoch within --trial-timeout ({self.timeout:g} s), twice"

    def last_try(self, trial: Any) -> None:
        """A trial that hung is tried once more, because storage or a GPU may have been away; then it is given up."""
        trial.max_failures = trial.num_failures
