"""Where things lie unless the user says otherwise."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RUNS = "runs"
"""The folder of runs, in the folder where a script is started."""

_WHERE = "(default: $TANDEM_CACHE, or tandem in $XDG_CACHE_HOME or ~/.cache)"
CACHE_HELP = f"decoded faces, random filters and activations {_WHERE}"
COPIES_HELP = f"where copies of runs under URLs are kept {_WHERE}"


def default_cache() -> Path:
    """``$TANDEM_CACHE``, or ``tandem`` in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return cache_folder(os.environ.get("TANDEM_CACHE") or Path(base) / "tandem")


def cache_folder(named: str | Path) -> Path:
    """A cache folder that somebody names, absolute, as workers are started in other folders; where its links lead is
    for each node to say.
    """
    home = os.path.expanduser(named)  # noqa: PTH111 - pathlib's raises where there is no such user
    return Path(os.path.abspath(home))  # noqa: PTH100 - pathlib's follows links


def kept_cache(recorded: Mapping[str, Any]) -> Path | None:
    """The cache folder that a run was begun with, by its ``search.json``: None if none was named, or it is not here,
    or is somebody else's.
    """
    named = recorded.get("cache")
    return Path(named) if named is not None and os.access(named, os.R_OK | os.W_OK | os.X_OK) else None
