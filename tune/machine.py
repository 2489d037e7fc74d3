"""What there is to train on, node by node, and how many workers share it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.json_text import read_json
from core.patience import Say


@dataclass(frozen=True)
class Node:
    """A machine, alone or of a cluster."""

    cores: int
    gpus: float

    def room(self, threads: int, gpus: float) -> int:
        """How many workers with so many threads and GPUs fit on it; one with less than a GPU has its part of one."""
        fitting = self.cores // threads
        if gpus == 0:
            return fitting
        return min(fitting, int(self.gpus) * sharing(gpus))


def sharing(gpus: float) -> int:
    """How many trials with so many GPUs each share one."""
    return int(1 / gpus + 1e-9) if 0 < gpus < 1 else 1


@dataclass(frozen=True)
class Machine:
    """What Ray has for trials."""

    nodes: tuple[Node, ...]
    """Those with cores."""
    cluster: bool = False
    """Whether there may be more nodes than the driver's."""

    @property
    def cores(self) -> int:
        """Of all nodes."""
        return sum(node.cores for node in self.nodes)

    @property
    def gpus(self) -> float:
        """Of all nodes."""
        return sum(node.gpus for node in self.nodes)

    def room(self, threads: int, gpus: float) -> int:
        """How many workers with so many threads and GPUs fit; each lives on one node."""
        return sum(node.room(threads, gpus) for node in self.nodes)


@dataclass(frozen=True)
class Workers:
    """How many trials run at once and what each has."""

    count: int
    threads: int
    gpus: float

    def told(self) -> str:
        """In words."""
        workers = f"{self.count} worker{'s' if self.count > 1 else ''}"
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        return f"{workers} with {threads}" + (f" and {self.gpus:g} GPU" if self.gpus else "")


def plan_workers(count: int | None, gpus_per_trial: float | None, machine: Machine) -> Workers:
    """Workers for a machine or cluster.

    By default one worker a GPU; without GPUs one worker for every four cores, because heads are bound by memory
    bandwidth, which more workers would only share, but at least one a node. Each has as many threads as leave room for
    all of them: a worker that no node has room for would be waited for without an end.

    Raises:
        UserError: more workers than there is room for, or more GPUs than there are.
    """
    cores, gpus = machine.cores, machine.gpus
    per_trial = (1.0 if gpus else 0.0) if gpus_per_trial is None else gpus_per_trial
    if not 0 <= per_trial <= 1:
        raise UserError(
            f"--gpus-per-trial must be a number from 0 to 1, as a trial trains on one GPU, got {per_trial:g}"
        )
    most = machine.room(1, per_trial)
    if not most:
        found = ", ".join(f"{node.gpus:g}" for node in machine.nodes)
        raise UserError(f"--gpus-per-trial {per_trial:g}: no node has so many GPUs ({found})")
    default = most if per_trial else max(1, min(len(machine.nodes), cores), cores // 4)
    chosen = default if count is None else count
    if not 1 <= chosen <= most:
        with_gpus = f"{cores} cores and {gpus:g} GPUs" + (f", {per_trial:g} a trial" if per_trial else "")
        raise UserError(f"--workers {chosen}: must be from 1 to {most} with {with_gpus}")
    threads = next(number for number in range(cores // chosen, 0, -1) if machine.room(number, per_trial) >= chosen)
    return Workers(chosen, threads, per_trial)


def workers_again(given: Mapping[str, Any], recorded: Mapping[str, Any], machine: Machine, say: Say) -> Workers:
    """Workers of a run that is resumed: as many as the user asks for, else as many as it had.

    Where the machine has no room for those that it had, it gets what there is room for, which is said.

    Raises:
        UserError: as of :func:`plan_workers`; no node has the GPUs that its trials had.
    """
    gpus, before = given.get("gpus_per_trial", recorded["gpus"]), recorded["count"]
    room = machine.room(1, gpus)
    if not room and "gpus_per_trial" not in given:
        raise UserError(
            f"this run trains with {gpus:g} GPU a trial, and no node has that; --gpus-per-trial 0 goes on without"
        )
    if "workers" not in given and 0 < room < before:
        say(f"note: {room} instead of the {before} workers that this run had; there is no room for more")
        return plan_workers(room, gpus, machine)
    return plan_workers(given.get("workers", before if room else None), gpus, machine)


@dataclass(frozen=True)
class Growth:
    """What a cluster that grows and shrinks by itself starts with and may grow to."""

    least_nodes: int
    nodes: tuple[Node, ...]
    """Those with cores."""

    def machine(self, now: Machine) -> Machine:
        """The whole cluster, of which some nodes may be there by ``now``."""
        return Machine(max(self.nodes, now.nodes, key=_size), cluster=True)


def _size(nodes: Sequence[Node]) -> tuple[float, int]:
    return sum(node.gpus for node in nodes), sum(node.cores for node in nodes)


def read_growth(path: Path) -> Growth | None:
    """What the cluster launcher left on the head node; None if it did not start this cluster.

    Node types whose cores are not known before they run count as nothing.
    """
    try:
        config = read_json(path.expanduser())
        types = config["available_node_types"]
        head, most = config["head_node_type"], int(config["max_workers"])
        least, nodes = 1, []
        for name, node in types.items():
            count = min(most, int(node.get("max_workers", 0))) + (name == head)
            resources = node.get("resources") or {}
            least += int(node.get("min_workers", 0))
            nodes += [Node(int(resources.get("CPU", 0)), float(resources.get("GPU", 0)))] * count
    except (UserError, ValueError, KeyError, TypeError, AttributeError, OverflowError, MemoryError):
        return None  # no such file, or of another form than we know
    return Growth(least, tuple(node for node in nodes if node.cores > 0))
