"""Starting Ray on this machine, or joining a cluster."""

import logging
import math
import os
import socket
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import torch
from ray._private import ray_constants
from ray._private.services import find_bootstrap_address

from core.device import best_precision
from core.errors import UserError
from core.json_text import read_json
from core.names import Precision
from core.patience import Say, unheard
from tune.nodes import wait_for_nodes

LOCAL, AUTO = "local", "auto"
BOOTSTRAP = Path("~/ray_bootstrap_config.yaml")  # JSON, for all its name
START_SECONDS = 600.0  # that a cluster's first nodes are waited for: theirs to install torch, too

# Gradients and optimiser temporaries of heads are tens of megabytes. By default glibc gives such blocks back to the
# kernel after each step and faults them in again page by page; keeping them makes a step 1.5 to 1.9 times faster.
WORKER_ENVIRONMENT = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**34)}

# Faces are memory-mapped files, not objects; what travels is the weights, 59 MB, or 537 MB with ImageNet's own head.
# Ray reserves this much, and takes memory only for what is in it.
OBJECT_STORE_BYTES = 1200 * 2**20


@dataclass(frozen=True)
class Machine:
    """What Ray has: cores and GPUs of all nodes, and the cores of the largest one."""

    cores: int
    gpus: float
    node_cores: int
    cluster: bool = False
    """Whether there may be more nodes than the driver's."""
    nodes: int = 1
    """That have cores for trials."""


@dataclass(frozen=True)
class Workers:
    """How many trials run at once and what each has."""

    count: int
    threads: int
    gpus: float


def plan_workers(count: int | None, gpus_per_trial: float | None, machine: Machine) -> Workers:
    """Workers for a machine or cluster.

    By default one worker a GPU; without GPUs one worker for every four cores, because heads are bound by memory
    bandwidth, which more workers would only share, but at least one a node.

    Raises:
        UserError: more workers than cores, or more GPUs than there are.
    """
    cores, gpus = machine.cores, machine.gpus
    per_trial = (1.0 if gpus else 0.0) if gpus_per_trial is None else gpus_per_trial
    if not 0 <= per_trial < math.inf:
        raise UserError(f"--gpus-per-trial must be a number from 0, got {per_trial:g}")
    if per_trial > gpus:
        raise UserError(f"--gpus-per-trial {per_trial:g}: this machine or cluster has {gpus:g} GPUs")
    most = cores if per_trial == 0 else min(cores, int(gpus / per_trial + 1e-9))
    default = most if per_trial else max(1, min(machine.nodes, cores), cores // 4)
    chosen = default if count is None else count
    if not 1 <= chosen <= most:
        raise UserError(f"--workers {chosen}: must be from 1 to {most} with {cores} cores and {gpus:g} GPUs")
    # A worker lives on one node; asking for more cores than the largest has would wait for ever.
    return Workers(chosen, max(1, min(cores // chosen, machine.node_cores)), per_trial)


def start_ray(address: str | None, say: Say = unheard) -> Machine:
    """Start Ray here, or join a cluster: the one at ``address``, or one that was started on this machine.

    Of a cluster that grows and shrinks by itself, the machine is what it may grow to.

    Args:
        address: ``local`` starts Ray here in any case.

    Raises:
        UserError: no cluster there.
    """
    address = find_address(address, say)
    for name in ("ray", "ray.tune", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what happens to trials is recorded with its reason
    warnings.filterwarnings("ignore", module=r"ray\..*")  # about Ray's own internals; users can't act on them
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        say("starting Ray on this machine")
        _start_private_ray(options)
    else:
        say(f"joining the Ray cluster at {address}")
        torch.set_num_threads(os.cpu_count() or 1)  # Ray's launcher tells every shell to use one
        _join_cluster(address, options)
        growing = read_growth(BOOTSTRAP)
        if growing is not None:
            wait_for_nodes(growing.least_nodes, START_SECONDS, say)
            return growing.machine(_now())
    return _now(cluster=address is not None)


def _now(cluster: bool = True) -> Machine:
    total = ray.cluster_resources()
    cores = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    training = sum(count > 0 for count in cores)
    return Machine(int(total.get("CPU", 0)) or 1, float(total.get("GPU", 0)), max([1, *cores]), cluster, training)


def find_address(given: str | None, say: Say) -> str | None:
    """Which cluster to join; None for a Ray of our own.

    What the user says goes first, then ``RAY_ADDRESS`` (which ``ray job submit`` sets), then the cluster that ``ray
    start`` or ``ray up`` has started on this machine. Rays that other programs started for themselves do not count.
    """
    if given == LOCAL:
        return None
    if given not in (None, AUTO):
        return given
    found = os.environ.get("RAY_ADDRESS") or find_bootstrap_address(None)
    if found is None and given == AUTO:
        raise UserError("--address auto: no Ray cluster was started on this machine (ray start, ray up)")
    if found is None or given == AUTO or "RAY_ADDRESS" in os.environ or _answers(found):
        return found
    say(f"the Ray cluster that was started here, at {found}, is gone")
    return None


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=3.0).close()
    except (OSError, ValueError):
        return False
    return True


@dataclass(frozen=True)
class Growth:
    """What a cluster that grows and shrinks by itself starts with and may grow to."""

    least_nodes: int
    cores: int
    gpus: float
    node_cores: int
    nodes: int

    def machine(self, now: Machine) -> Machine:
        """The whole cluster, of which some nodes may be there by ``now``."""
        return Machine(
            max(self.cores, now.cores),
            max(self.gpus, now.gpus),
            max(self.node_cores, now.node_cores),
            cluster=True,
            nodes=max(self.nodes, now.nodes),
        )


def read_growth(path: Path) -> Growth | None:
    """What the cluster launcher left on the head node; None if it did not start this cluster.

    Node types whose cores are not known before they run count as nothing.
    """
    try:
        config = read_json(path.expanduser())
        types = config["available_node_types"]
        head, most = config["head_node_type"], int(config["max_workers"])
        least, cores, gpus, node_cores, nodes = 1, 0, 0.0, 0, 0
        for name, node in types.items():
            count = min(most, int(node.get("max_workers", 0))) + (name == head)
            resources = node.get("resources") or {}
            least += int(node.get("min_workers", 0))
            cores += count * int(resources.get("CPU", 0))
            gpus += count * float(resources.get("GPU", 0))
            node_cores = max(node_cores, int(resources.get("CPU", 0)))
            nodes += count * (int(resources.get("CPU", 0)) > 0)
    except (UserError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return None  # no such file, or of another form than we know
    return Growth(least, cores, gpus, node_cores, nodes)


def _start_private_ray(options: dict[str, Any]) -> None:
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
        num_cpus=os.cpu_count() or 1,
        num_gpus=torch.cuda.device_count(),
        include_dashboard=False,
        object_store_memory=OBJECT_STORE_BYTES,
        runtime_env={"env_vars": WORKER_ENVIRONMENT},
        **options,
    )


def _join_cluster(address: str, options: dict[str, Any]) -> None:
    if address.startswith("ray://"):
        raise UserError(f"--address {address}: run this on a node of the cluster with --address auto instead")
    try:
        ray.init(address=address, runtime_env={"env_vars": WORKER_ENVIRONMENT}, **options)
    except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:  # the last: no token
        raise UserError(f"--address {address}: no Ray cluster there ({str(error).splitlines()[0][:150]})") from None


def precision_of_workers(
    gpus: float, cache: Path, say: Say, best: Callable[[torch.device, Path], Precision] = best_precision
) -> Precision:
    """What suits the workers' GPUs where the driver sees none: one worker is asked, and waited for if it must start.

    Args:
        gpus: of a trial.
        best: what it is asked.

    Raises:
        UserError: Ray knows of GPUs there, but torch sees none.
    """
    say("asking a worker which precision suits its GPU")
    answer = ray.remote(num_cpus=1, num_gpus=gpus)(best).remote(torch.device("cuda"), cache)
    try:
        return Precision(ray.get(answer))
    except ray.exceptions.RayTaskError as error:
        told = " ".join(str(error.cause).split())[:200]
        raise UserError(f"a worker to which Ray gives {gpus:g} GPU cannot use it with torch: {told}") from None
