import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import ray

from core.errors import UserError
from tune.cluster import find_address, start_ray
from tune.machine import Growth, Machine, Node, Workers, plan_workers, read_growth, sharing, workers_again

ROOT = Path(__file__).parents[1]


def test_a_cluster_that_turns_us_away_is_one_line(monkeypatch):
    def init(**_):
        raise ray.exceptions.RayError("no token was found\nread how to set one")

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr("torch.set_num_threads", lambda _: None)  # they stay what they are for the other tests
    with pytest.raises(UserError, match=r"^--address 10\.0\.0\.1:6379: no Ray cluster there \(no token was found\)$"):
        start_ray("10.0.0.1:6379")
    monkeypatch.setattr("tune.cluster.find_address", lambda *_: "10.0.0.1:6379")
    with pytest.raises(
        UserError, match=r"\(no token was found\); it was found by itself, --address local does without it$"
    ):
        start_ray(None)


@pytest.mark.parametrize(
    ("asked", "machine", "expected"),
    [
        ((None, None), [(2, 0)], Workers(1, 2, 0)),
        ((None, None), [(16, 0)], Workers(4, 4, 0)),
        ((None, None), [(16, 2)], Workers(2, 8, 1)),
        ((4, 0.5), [(16, 2)], Workers(4, 4, 0.5)),
        ((None, 0.4), [(16, 2)], Workers(4, 4, 0.4)),
        ((None, 0.6), [(16, 4)], Workers(4, 4, 0.6)),  # a trial has its part of one GPU
        ((1, None), [(8, 0)] * 4, Workers(1, 8, 0)),
        ((None, None), [(2, 0)] * 3, Workers(3, 2, 0)),
        ((None, None), [(32, 0)] * 2, Workers(16, 4, 0)),
        ((None, None), [(64, 0), (8, 1)], Workers(1, 8, 1)),  # the 64 cores are not where the GPU is
        ((None, None), [(16, 4), (16, 1)], Workers(5, 4, 1)),
        ((None, None), [(2, 4), (16, 1)], Workers(3, 1, 1)),
        ((3, None), [(5, 0), (5, 0)], Workers(3, 2, 0)),
    ],
)
def test_workers_share_the_cores_and_each_has_room_on_a_node(asked, machine, expected):
    assert plan_workers(*asked, Machine(tuple(Node(*node) for node in machine))) == expected


@pytest.mark.parametrize(
    ("workers", "words"),
    [(Workers(1, 2, 0.0), "1 worker with 2 threads"), (Workers(2, 1, 0.5), "2 workers with 1 thread and 0.5 GPU")],
)
def test_workers_are_told_in_words(workers, words):
    assert workers.told() == words


@pytest.mark.parametrize(
    ("given", "before", "machine", "expected"),
    [
        ({}, {"count": 5, "gpus": 0.4}, [(16, 2)], Workers(4, 4, 0.4)),  # an older version counted five
        ({}, {"count": 2, "gpus": 1.0}, [(16, 4)], Workers(2, 8, 1)),
        ({}, {"count": 8, "gpus": 0}, [(2, 0)], Workers(2, 1, 0)),
        ({"workers": 1}, {"count": 8, "gpus": 0}, [(2, 0)], Workers(1, 2, 0)),
        ({"gpus_per_trial": 0.0}, {"count": 4, "gpus": 1.0}, [(2, 0)], Workers(2, 1, 0)),
    ],
)
def test_a_resumed_run_has_its_workers_again_as_far_as_there_is_room(given, before, machine, expected):
    said = []
    assert workers_again(given, before, Machine(tuple(Node(*node) for node in machine)), said.append) == expected
    fewer = "workers" not in given and expected.count < before["count"]
    note = (
        f"note: {expected.count} instead of the {before['count']} workers that this run had; there is no room for more"
    )
    assert said == [note] * fewer


def test_a_run_is_not_resumed_on_fewer_gpus_without_a_word():
    with pytest.raises(
        UserError, match="this run trains with 1 GPU a trial, and no node has that; --gpus-per-trial 0 goes on without"
    ):
        workers_again({}, {"count": 2, "gpus": 1.0}, Machine((Node(2, 0),)), print)


@pytest.mark.parametrize(("gpus", "trials"), [(0, 1), (0.25, 4), (0.4, 2), (0.5, 2), (0.6, 1), (1, 1)])
def test_trials_that_share_a_gpu_are_those_that_fit_on_it(gpus, trials):
    assert sharing(gpus) == trials
    assert Node(64, 1).room(1, gpus) == (trials if gpus else 64)


@pytest.mark.parametrize("asked", [(0, None), (3, None), (None, 1.0), (None, 2.0), (None, float("nan")), (None, -1.0)])
def test_workers_that_cannot_be_had_are_refused(asked):
    with pytest.raises(UserError, match=r"--workers|--gpus-per-trial"):
        plan_workers(*asked, Machine((Node(2, 0),)))


LISTENERS = """
import os, ray
from pathlib import Path
from tune.cluster import start_ray
start_ray(None)

@ray.remote
def pid():
    return os.getpid()

ray.get(pid.remote())
ours = {os.getpid()}
parents = {}
for entry in Path("/proc").glob("[0-9]*"):
    try:
        parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        pass  # it ended while we looked
for _ in parents:
    ours |= {child for child, parent in parents.items() if parent in ours}
sockets = set()
for process in ours:
    for link in Path(f"/proc/{process}/fd").glob("*"):
        try:
            sockets.add(os.readlink(link))
        except OSError:
            pass  # closed while we looked
for table in ("tcp", "tcp6"):
    for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
            print(fields[1].partition(":")[0])
"""
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}


@pytest.mark.slow
@pytest.mark.cluster
@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs Linux's table of sockets")
def test_a_private_ray_listens_on_loopback_alone():
    done = subprocess.run(
        [sys.executable, "-c", LISTENERS], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    addresses = done.stdout.split()
    assert addresses
    assert set(addresses) <= LOOPBACK


def test_what_the_user_says_goes_before_what_is_found(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "of-the-job:1")
    assert find_address(None, print) == "of-the-job:1"
    assert find_address("auto", print) == "of-the-job:1"
    assert find_address("local", print) is None
    assert find_address("mine:2", print) == "mine:2"


def test_a_cluster_that_was_started_here_is_joined_as_long_as_it_answers(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    said = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setattr("tune.cluster.find_bootstrap_address", lambda _: address)
        assert find_address(None, said.append) == address
        assert said == []
    assert find_address(None, said.append) is None
    assert said == [f"the Ray cluster that was started here, at {address}, is gone"]


def test_a_cluster_that_another_user_started_is_joined_only_when_asked_for(monkeypatch, tmp_path):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    file, said = tmp_path / "ray_current_cluster", []
    file.write_text("10.0.0.1:6379")
    monkeypatch.setattr("tune.cluster.get_ray_address_file", lambda _: str(file))
    monkeypatch.setattr("tune.cluster.find_bootstrap_address", lambda _: file.read_text())
    monkeypatch.setattr("tune.cluster._answers", lambda _: True)
    assert find_address(None, said.append) == "10.0.0.1:6379"
    monkeypatch.setattr("os.getuid", lambda: file.stat().st_uid + 1)
    assert said == []
    assert find_address(None, said.append) is None
    assert said == ["note: the Ray cluster on this machine is another user's; --address auto joins it"]
    assert find_address("auto", said.append) == "10.0.0.1:6379"
    monkeypatch.setenv("RAY_ADDRESS", "of-the-job:1")
    assert find_address(None, said.append) == "of-the-job:1"


def test_auto_wants_a_cluster(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr("tune.cluster.find_bootstrap_address", lambda _: None)
    assert find_address(None, print) is None
    with pytest.raises(UserError, match="--address auto: no Ray cluster was started on this machine"):
        find_address("auto", print)


def test_a_growing_cluster_counts_as_what_it_may_grow_to(tmp_path):
    path = tmp_path / "bootstrap"
    types = {
        "head": {"resources": {"CPU": 0}},
        "gpu": {"resources": {"CPU": 8, "GPU": 1}, "min_workers": 1, "max_workers": 6},
    }
    path.write_text(json.dumps({"available_node_types": types, "head_node_type": "head", "max_workers": 4}))
    growth = read_growth(path)
    assert growth == Growth(least_nodes=2, nodes=(Node(8, 1.0),) * 4)
    assert growth.machine(Machine((Node(1, 0),))) == Machine((Node(8, 1.0),) * 4, cluster=True)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"max_workers": 1}', '{"available_node_types": 3}'])
def test_a_launchers_file_of_another_form_counts_as_none(tmp_path, text):
    (tmp_path / "bootstrap").write_text(text)
    assert read_growth(tmp_path / "bootstrap") is None
    assert read_growth(tmp_path / "nothing") is None


ASKING = """
import os, ray
from pathlib import Path
from core.errors import run_script
from core.names import Precision
from tune.cluster import precision_of_workers

def half_where_there_is_a_gpu(device, cache):
    assigned = ray.get_runtime_context().get_accelerator_ids()["GPU"]
    return Precision.BF16 if device.type == "cuda" and len(assigned) == 1 and cache.name == "kept" else Precision.FP32

def without_cuda(device, cache):
    raise RuntimeError("No CUDA GPUs\\nare available")

def main():
    ray.init(num_cpus=1, num_gpus=1, include_dashboard=False)
    print("is", precision_of_workers(1, Path("kept"), print, half_where_there_is_a_gpu), flush=True)
    precision_of_workers(1, Path("kept"), print, without_cuda)

run_script(main)
"""


def without(name):
    return {key: value for key, value in os.environ.items() if key != name}


@pytest.mark.slow
@pytest.mark.cluster
def test_a_driver_without_a_gpu_asks_a_worker_that_has_one_for_its_precision():
    done = subprocess.run(
        [sys.executable, "-c", ASKING], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
        env=without("CUDA_VISIBLE_DEVICES") | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.stdout.splitlines()[:2] == ["asking a worker which precision suits its GPU", "is bf16"]
    assert done.returncode == 2
    assert (
        "error: a worker to which Ray gives 1 GPU cannot use it with torch: No CUDA GPUs are available" in done.stderr
    )
