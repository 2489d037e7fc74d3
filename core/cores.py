"""How many cores this process may use."""

import math
import os
from pathlib import Path

QUOTAS = (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"))
"""Files of a container's limit, microseconds of processor time and of the clock: cgroups version 2, version 1."""


def cores(groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Fewer than the machine has where a batch system bound the process to some, or a container has a limit."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(bound, math.ceil(_limit(groups))))


def _limit(groups: Path) -> float:
    """The cores' worth of time that a container gets; more than there can be where nothing says so."""
    for names in QUOTAS:
        try:
            quota, period = (int(word) for word in " ".join((groups / name).read_text() for name in names).split())
        except (OSError, ValueError):  # it is not there, or says "max"
            continue
        if quota > 0 and period > 0:
            return quota / period
    return 2.0**20
