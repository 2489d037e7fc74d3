"""The guide to clusters, followed on hosts with their own address, processes, home and ssh; nothing is stood in for."""

import json
import os
import socket
from collections.abc import Iterator

import pandas as pd
import pytest
from desk import TINY, Desk, documented, fetched, on_host, only
from hosts import Network, missing_for_hosts, network
from run_there import waited

pytestmark = [
    pytest.mark.slow,
    pytest.mark.cluster,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(bool(missing_for_hosts()), reason=missing_for_hosts()),
]


PORTS = {8265: "Ray's dashboard", 6006: "TensorBoard"}
"""Of this machine, that the documented commands open."""


@pytest.fixture(scope="module")
def free_ports() -> None:
    for port, whose in PORTS.items():
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            pytest.skip(f"port {port}, which the guide gives to {whose}, is taken here")


@pytest.fixture(scope="module")
def hosts(free_ports: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with network(tmp_path_factory.mktemp("hosts"), ["head", "worker-1", "worker-2"]) as made:
        yield made


@pytest.fixture(scope="module")
def desk(hosts: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    made = Desk(tmp_path_factory.mktemp("desk"), hosts)
    yield made
    made.close()


def test_every_documented_command_works_on_hosts_of_ones_own(hosts: Network, desk: Desk) -> None:
    """docs/cluster.md from `ray up` to `ray down`; the searches are made small, and all else is run as it stands."""
    commands = documented("Hosts of your own")
    desk.shell(only(commands, "ray get-auth-token"))
    token = (desk.home / ".ray" / "auth_token").read_text()
    desk.shell(only(commands, "ray up"))
    printed = desk.shell(only(commands, "ray submit", having="search.py"), TINY)
    assert "joining the Ray cluster" in printed
    assert "looking at 2 other nodes" in printed
    run = hosts.shared / "runs" / "multitask"
    trials = pd.read_csv(run / "trials.csv")
    assert set(trials["status"]) <= {"finished", "stopped"}
    assert len(trials) == 6
    processes = max(2, 2 * (os.cpu_count() or 1) // 4)  # on two nodes, each with all of this machine's cores
    assert json.loads((run / "search.json").read_text())["workers"]["count"] == processes
    # The head trains nothing, and what trains fetched its inputs once: activations, not the faces that no trial reads.
    # A node whose process starts late may find that the other has trained all six by then.
    cached = [sorted(path.name for path in (host.home / ".cache" / "tandem").rglob("*.npy")) for host in hosts.hosts]
    assert {"activations.npy", "images.npy"} < set(cached[0])
    assert sorted(cached[1:]) in ([[], ["activations.npy"]], [["activations.npy"]] * 2)

    desk.keep_open(only(commands, "ray dashboard"))
    assert fetched("http://127.0.0.1:8265/api/version")[0] == 401
    assert fetched("http://127.0.0.1:8265/api/version", token)[0] == 200
    printed = desk.shell(only(commands, "ray job submit"), TINY)
    assert "succeeded" in printed
    assert len(pd.read_csv(hosts.shared / "runs" / "gender" / "trials.csv")) == 6

    desk.keep_open(only(commands, "ray exec"))
    # It answers before it has read the runs.
    waited(lambda: "multitask/trial-0005" in json.loads(fetched("http://127.0.0.1:6006/data/runs")[1]), seconds=60)

    assert "report" in desk.shell(only(commands, "ray submit", having="final_test.py"))
    desk.shell(f"{only(commands, 'mkdir')} && {only(commands, 'ray rsync-down')}")
    here = desk.folder / "runs" / "multitask"
    assert (here / "test" / "report.html").read_bytes() == (run / "test" / "report.html").read_bytes()
    assert sorted(path.name for path in here.iterdir() if path.name[0] != ".") == sorted(
        path.name for path in run.iterdir() if path.name[0] != "."
    )
    desk.close()
    desk.open.clear()
    desk.shell(only(commands, "ray down"))
    assert "gcs_server" not in on_host(hosts, "head", "ps ax")
