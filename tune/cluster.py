"""Starting Ray on this machine, or joining a cluster."""

import logging
import os
import socket
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
import torch
from ray._common.utils import get_ray_address_file
from ray._private import ray_constants
from ray._private.services import find_bootstrap_address

from core.cores import cores
from core.device import best_precision, trouble_with_gpus
from core.errors import UserError, first_line
from core.names import Precision
from core.patience import Say, unheard
from tune.machine import Machine, Node, read_growth
from tune.nodes import REPEAT_SECONDS, living_nodes, wait_for_nodes

LOCAL, AUTO = "local", "auto"
BOOTSTRAP = Path("~/ray_bootstrap_config.yaml")  # JSON, for all its name
START_SECONDS = 600.0  # that a cluster's first nodes are waited for: theirs to install torch, too

# Gradients and optimiser temporaries of heads are tens of megabytes. By default glibc gives such blocks back to the
# kernel after each step and faults them in again page by page; keeping them makes a step 1.5 to 1.9 times faster.
WORKER_ENVIRONMENT = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**34)}

# Faces are memory-mapped files, not objects; what travels is the weights, 59 MB, or 537 MB with ImageNet's own head.
# Ray reserves this much, and takes memory only for what is in it.
OBJECT_STORE_BYTES = 1200 * 2**20


def start_ray(address: str | None, say: Say = unheard) -> Machine:
    """Start Ray here, or join a cluster: the one at ``address``, or one that was started on this machine.

    Of a cluster that grows and shrinks by itself, the machine is what it may grow to.

    Args:
        address: ``local`` starts Ray here in any case.

    Raises:
        UserError: no cluster there.
    """
    asked, address = address, find_address(address, say)
    for name in ("ray", "ray.tune", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what happens to trials is recorded with its reason
    warnings.filterwarnings("ignore", module=r"ray\..*")  # about Ray's own internals; users can't act on them
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        say("starting Ray on this machine")
        _start_private_ray(options, usable_gpus(say))
    else:
        say(f"joining the Ray cluster at {address}")
        torch.set_num_threads(cores())  # Ray's launcher tells every shell to use one
        _join_cluster(address, options, found=asked is None)
        growing = read_growth(BOOTSTRAP)
        if growing is not None:
            wait_for_nodes(growing.least_nodes, START_SECONDS, say)
            return growing.machine(_now())
    return _now(cluster=address is not None)


def _now(cluster: bool = True) -> Machine:
    return Machine(tuple(node for node in living_nodes() if node.cores) or (Node(1, 0.0),), cluster)


def find_address(given: str | None, say: Say) -> str | None:
    """Which cluster to join; None for a Ray of our own.

    What the user says goes first, then ``RAY_ADDRESS`` (which ``ray job submit`` sets), then the cluster that ``ray
    start`` or ``ray up`` has started on this machine. Rays that other programs started for themselves do not count;
    nor, unless ``auto`` is asked for, does one of another user, whose workers might see none of this user's files.
    """
    if given == LOCAL:
        return None
    if given not in (None, AUTO):
        return given
    if given is None and "RAY_ADDRESS" not in os.environ and _is_anothers(Path(get_ray_address_file(None))):
        say("note: the Ray cluster on this machine is another user's; --address auto joins it")
        return None
    found = os.environ.get("RAY_ADDRESS") or find_bootstrap_address(None)
    if found is None and given == AUTO:
        raise UserError("--address auto: no Ray cluster was started on this machine (ray start, ray up)")
    if found is None or given == AUTO or "RAY_ADDRESS" in os.environ or _answers(found):
        return found
    say(f"the Ray cluster that was started here, at {found}, is gone")
    return None


def _is_anothers(file: Path) -> bool:
    """Whether another user has started the cluster that a file of Ray's names."""
    try:
        return file.stat().st_uid != os.getuid()
    except OSError:  # there is none
        return False


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=3.0).close()
    except (OSError, ValueError):
        return False
    return True


def usable_gpus(say: Say) -> int:
    """How many GPUs torch can train on here; of others it is said why not."""
    trouble = trouble_with_gpus()
    if trouble:
        say(f"note: trials have no GPU: {trouble}")
    return 0 if trouble else torch.cuda.device_count()


def _start_private_ray(options: dict[str, Any], gpus: int) -> None:
    # Ray has a switch for systems without clusters that keeps it on 127.0.0.1, and it works on every system. Ray read
    # it when it was imported, so it is set there too; the processes that Ray starts read the environment.
    os.environ[ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR] = "0"
    ray_constants.ENABLE_RAY_CLUSTER = False
    # On loopback alone it needs no token in the user's home folder.
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    # Ray's own watch on memory would end the search with an error; the kernel's ends one worker, which is replaced.
    os.environ.setdefault("RAY_memory_monitor_refresh_ms", "0")
    ray.init(
        address="local",  # not any cluster that Ray finds on this machine
        num_cpus=cores(),
        num_gpus=gpus,
        include_dashboard=False,
        object_store_memory=OBJECT_STORE_BYTES,
        runtime_env={"env_vars": WORKER_ENVIRONMENT},
        **options,
    )


def _join_cluster(address: str, options: dict[str, Any], found: bool) -> None:
    if address.startswith("ray://"):
        raise UserError(f"--address {address}: run this on a node of the cluster with --address auto instead")
    try:
        ray.init(address=address, runtime_env={"env_vars": WORKER_ENVIRONMENT}, **options)
    except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:  # the last: no token
        way_on = "; it was found by itself, --address local does without it" if found else ""
        raise UserError(f"--address {address}: no Ray cluster there ({first_line(error)}){way_on}") from None


def precision_of_workers(
    gpus: float, cache: Path, say: Say, best: Callable[[torch.device, Path], Precision] = best_precision
) -> Precision:
    """What suits the workers' GPUs where the driver sees none: one worker is asked, and waited for if it must start.

    Args:
        gpus: of a trial.
        best: what it is asked.

    Raises:
        UserError: Ray knows of GPUs there, but torch sees none; or the worker died.
    """
    say("asking a worker which precision suits its GPU")
    answer = ray.remote(num_cpus=1, num_gpus=gpus)(best).remote(torch.device("cuda"), cache)
    while not ray.wait([answer], timeout=REPEAT_SECONDS)[0]:
        say("waiting for a node with a GPU that can train")
    try:
        return Precision(ray.get(answer))
    except ray.exceptions.WorkerCrashedError as error:
        raise UserError(f"a worker with a GPU cannot be asked: {first_line(error)}; try again") from None
    except ray.exceptions.RayTaskError as error:
        told = " ".join(str(error.cause).split())[:200]
        rule = "--gpus-per-trial 0 does without"
        raise UserError(f"a worker to which Ray gives {gpus:g} GPU cannot use it with torch: {told}; {rule}") from None
