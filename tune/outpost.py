"""The folder that a worker fills for a run: the run's own, or, of a run under a URL, one that is copied there."""

import errno
import hashlib
import shutil
import socket
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from core.cache_folder import default_cache
from core.mirror import Mirror
from core.patience import Patience, unheard
from core.run_folder import RunFolder


def outpost_of(run: RunFolder, *names: str) -> dict[str, Any]:
    """What a job says of a folder of the run: ``home`` (the run's), ``folder``, ``url`` (or None), ``again``."""
    home = run.path.resolve()
    return {"home": str(home), "folder": str(home.joinpath(*names)), "url": run.url(*names), "again": run.again}


class Outpost:
    """One folder of a run, as a worker on any node writes it.

    Args:
        job: has what :func:`outpost_of` gives.
        cache: below which a run under a URL is copied; None for this node's default.

    Raises:
        AwayError: this node did not see the run for too long. That is no fault of the job, and of a node that fails at
            once the others would follow.
    """

    def __init__(self, job: Mapping[str, Any], cache: Path | None = None) -> None:
        self.path = Path(job["folder"])
        self.mirror: Mirror | None = None
        self.patience = Patience(unheard, after=f"; nothing that ended is lost: go on with {job['again']}")
        url = job["url"]
        if url is not None:
            self.path = (cache or default_cache()) / "outposts" / hashlib.sha256(url.encode()).hexdigest()[:16]
            self.mirror = Mirror(self.path, url)
            self.clear()  # an attempt before this one may have left it
        else:
            self.patience(partial(_see, Path(job["home"])), job["home"])

    def fetch(self) -> None:
        """Get what the folder holds.

        Raises:
            AwayError: storage was away for too long.
        """
        if self.mirror is not None:
            self.patience(self.mirror.pull, self.mirror.url)

    def send(self) -> float:
        """Let the run have what is new; how many seconds that took.

        Raises:
            AwayError: storage was away for too long.
        """
        start = time.monotonic()
        if self.mirror is not None:
            self.patience(self.mirror.push, self.mirror.url)
        return time.monotonic() - start

    def clear(self) -> None:
        """Remove the copy on this node."""
        if self.mirror is not None:
            shutil.rmtree(self.path, ignore_errors=True)  # most often it is not there


def _see(home: Path) -> None:
    if not home.is_dir():
        raise FileNotFoundError(
            errno.ENOENT, f"node {socket.gethostname()} does not see the run's folder: mount it there"
        )
