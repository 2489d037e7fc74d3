import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.errors import UserError
from tune.cluster import Machine, Workers, plan_workers

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("asked", "machine", "expected"),
    [
        ((None, None), Machine(2, 0, 2), Workers(1, 2, 0)),
        ((None, None), Machine(16, 0, 16), Workers(4, 4, 0)),
        ((None, None), Machine(16, 2, 16), Workers(2, 8, 1)),
        ((4, 0.5), Machine(16, 2, 16), Workers(4, 4, 0.5)),
        ((1, None), Machine(32, 0, 8), Workers(1, 8, 0)),
    ],
)
def test_workers_share_the_cores_and_never_ask_for_more_than_a_node_has(asked, machine, expected):
    assert plan_workers(*asked, machine) == expected


@pytest.mark.parametrize("asked", [(0, None), (3, None), (None, 1.0), (None, float("nan")), (None, -1.0)])
def test_workers_that_cannot_be_had_are_refused(asked):
    with pytest.raises(UserError, match=r"--workers|--gpus-per-trial"):
        plan_workers(*asked, Machine(2, 0, 2))


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
