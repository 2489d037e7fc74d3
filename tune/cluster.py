"""Starting Ray on this machine, or joining a cluster."""

import logging
import os
import warnings
from dataclasses import dataclass
from typing import Any

import ray
import torch

from core.errors import UserError

# Gradients and optimiser temporaries of heads are tens of megabytes. By default glibc gives such blocks back to the
# kernel after each step and faults them in again page by page; keeping them makes a step 1.5 to 1.9 times faster.
WORKER_ENVIRONMENT = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**34)}


@dataclass(frozen=True)
class Workers:
    """How many trials run at once and what each has."""

    count: int
    threads: int
    gpus: float


def plan_workers(count: int | None, gpus_per_trial: float | None, cores: int, gpus: float) -> Workers:
    """Workers for a machine or cluster with ``cores`` and ``gpus``.

    By default one worker a GPU; without GPUs one worker for every four cores, because heads are bound by memory
    bandwidth, which more workers would only share.

    Raises:
        UserError: more workers than cores, or more GPUs than there are.
    """
    per_trial = (1.0 if gpus else 0.0) if gpus_per_trial is None else gpus_per_trial
    if per_trial > gpus:
        raise UserError(f"--gpus-per-trial {per_trial:g}: this machine or cluster has {gpus:g} GPUs")
    most = cores if per_trial == 0 else min(cores, int(gpus / per_trial + 1e-9))
    default = most if per_trial else max(1, cores // 4)
    chosen = default if count is None else count
    if not 1 <= chosen <= most:
        raise UserError(f"--workers {chosen}: must be from 1 to {most} with {cores} cores and {gpus:g} GPUs")
    return Workers(chosen, max(1, cores // chosen), per_trial)


def start_ray(address: str | None) -> tuple[int, float]:
    """Start Ray here, or join the cluster at ``address``; the number of cores and of GPUs.

    Raises:
        UserError: no cluster there.
    """
    for name in ("ray", "ray.tune", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what happens to trials is recorded with its reason
    warnings.filterwarnings("ignore", module=r"ray\..*")  # about Ray's own internals; users can't act on them
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        os.environ.setdefault(
            "RAY_AUTH_MODE", "disabled"
        )  # a private instance on loopback; no token in the home folder
        cores, gpus = os.cpu_count() or 1, torch.cuda.device_count()
        ray.init(
            num_cpus=cores,
            num_gpus=gpus,
            include_dashboard=False,
            object_store_memory=200 * 2**20,  # faces are memory-mapped files, not objects
            runtime_env={"env_vars": WORKER_ENVIRONMENT},
            **options,
        )
    else:
        try:
            ray.init(address=address, runtime_env={"env_vars": WORKER_ENVIRONMENT}, **options)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UserError(f"--address {address}: no Ray cluster there ({str(error).splitlines()[0][:150]})") from None
    total = ray.cluster_resources()
    return int(total.get("CPU", 1)), float(total.get("GPU", 0))
