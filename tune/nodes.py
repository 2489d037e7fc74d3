"""The nodes of a cluster: waited for, and looked at before the first trial."""

import hashlib
import platform
import socket
import time
import uuid
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, NodeDiedError, RayError, TaskUnschedulableError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

import core
import search_spaces
import tune
from core.errors import UserError
from core.mirror import Mirror
from core.run_folder import RunFolder
from tune.machine import Node, Workers

LOOK_SECONDS = 120.0
PACKAGES = ("torch", "torchvision", "ray", "optuna", "numpy")


def look(folder: str, url: str | None, marker: str) -> dict[str, str]:
    """What a node says of itself; runs there.

    Args:
        folder: of the run, on storage that all nodes share, unless ``url`` is its place.
        marker: a file in it that the driver has written.

    Returns:
        ``versions``, and ``problem`` if the run's folder cannot be read and written.
    """
    found = {"versions": _versions(), "problem": ""}
    answer = f".{marker.lstrip('.')}-{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
    try:
        if url is not None:
            mirror = Mirror(Path(folder), url)
            if mirror.read(marker) is None:
                found["problem"] = "it does not see what the driver wrote there"
            mirror.write(answer, b"seen")
            mirror.remove(answer)
        elif not (Path(folder) / marker).is_file():
            found["problem"] = "it does not see what the driver wrote there"
        else:
            (Path(folder) / answer).write_bytes(b"seen")
            (Path(folder) / answer).unlink()
    except (OSError, UserError) as error:
        found["problem"] = str(error)
    return found


def check_nodes(run: RunFolder, say: Callable[[str], None]) -> None:
    """Let every node but the driver's own see whether it can work for this run, which may not have been made yet.

    Raises:
        UserError: a node has other versions, does not see the run's folder, or does not answer; it is named.
    """
    own = ray.get_runtime_context().get_node_id()
    others = [node for node in ray.nodes() if node["Alive"] and node["NodeID"] != own]
    if not others:
        return
    say(f"looking at {len(others)} other node{'s' if len(others) > 1 else ''}")
    marker = f".seen-{uuid.uuid4().hex[:8]}"
    if run.mirror is None and not run.path.is_dir():  # a URL takes files before anybody has made a folder there
        run = RunFolder(run.path.parent)
        run.path.mkdir(parents=True, exist_ok=True)
    place = run.url() or str(run.path)
    try:
        run.put(marker, b"by the driver")
        for node, task in [(node, _task(node, run, marker)) for node in others]:
            found = _answer(node, task)
            if found is None:
                say(f"node {_name(node)} is gone; going on without it")
            else:
                _judge(_name(node), place, found)
    finally:
        run.drop(marker)


def _task(node: dict[str, Any], run: RunFolder, marker: str) -> Any:
    there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
    remote = ray.remote(look).options(num_cpus=0, max_retries=0, scheduling_strategy=there)
    return remote.remote(str(run.path.resolve()), run.url(), marker)


def _answer(node: dict[str, Any], task: Any) -> dict[str, str] | None:
    """What the node says; None if it was lost, which the cluster may notice only now."""
    name = _name(node)
    try:
        found: dict[str, str] = ray.get(task, timeout=LOOK_SECONDS)
    except (TaskUnschedulableError, NodeDiedError):
        return None
    except GetTimeoutError:
        if node["NodeID"] not in {other["NodeID"] for other in ray.nodes() if other["Alive"]}:
            return None
        raise UserError(f"node {name}: must answer within {LOOK_SECONDS:.0f} s, it did not") from None
    except RayError as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise UserError(f"node {name}: Tandem must be installed there as it is here ({lines[-1][:200]})") from None
    return found


def _judge(name: str, place: str, found: dict[str, str]) -> None:
    if found["problem"]:
        raise UserError(
            f"--storage: node {name} cannot use {place} ({found['problem']}); "
            "name a folder that all nodes share, or a URL such as s3://BUCKET/runs"
        )
    if found["versions"] != _versions():
        raise UserError(f"node {name}: must have the driver's versions, {_versions()}; it has {found['versions']}")


def _versions() -> str:
    python = ".".join(platform.python_version_tuple()[:2])
    installed = [f"python {python}", *(f"{name} {version(name)}" for name in PACKAGES)]
    return ", ".join([*installed, f"Tandem's code {own_code()}"])


def own_code() -> str:
    """Eight hexadecimal digits that change with any line of Tandem's packages."""
    digest = hashlib.sha256()
    for package in (core, search_spaces, tune):
        [folder] = package.__path__
        for path in sorted(Path(folder).rglob("*.py")):
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:8]


def _name(node: dict[str, Any]) -> str:
    host, address = node.get("NodeManagerHostname", ""), node["NodeManagerAddress"]
    return address if host in ("", address) else f"{host} ({address})"


def can_train(workers: Workers) -> bool:
    """Whether a node of the cluster is there just now on which such a worker fits."""
    return any(node.room(workers.threads, workers.gpus) for node in living_nodes())


def living_nodes() -> list[Node]:
    """What each node has that is there just now."""
    living = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [Node(int(has.get("CPU", 0)), float(has.get("GPU", 0))) for has in living]


REPEAT_SECONDS = 15.0  # between two lines that say the same


def wait_for_nodes(least: int, seconds: float, say: Callable[[str], None]) -> None:
    """Wait until a cluster that is being started has ``least`` nodes, but no longer than ``seconds``."""
    start = time.monotonic()
    told, said_at = -1, 0.0
    while (alive := sum(node["Alive"] for node in ray.nodes())) < least:
        if time.monotonic() - start >= seconds:
            say(f"going on with {alive} of {least} nodes")
            return
        waited = time.monotonic() - start
        if alive != told or waited - said_at >= REPEAT_SECONDS:
            most = f"{waited:.0f} of at most {seconds:.0f} s"
            say(f"waiting for nodes: {alive} of {least} are there" + (f"; {most}" if waited >= 1 else ""))
            told, said_at = alive, waited
        time.sleep(1.0)
