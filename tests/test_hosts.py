"""Clusters of several hosts, each with its own network address, processes, home and ssh; nothing is stood in for."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hosts import Network, missing_for_hosts, network
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

pytestmark = [
    pytest.mark.slow,
    pytest.mark.cluster,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(bool(missing_for_hosts()), reason=missing_for_hosts()),
]

ROOT = Path(__file__).parent.parent
TINY = "--drawn-faces 40 --weights random --trials 6 --epochs 2 --retrain-epochs 2 --retrain-seeds 2 --set head_width=8 frozen_blocks=5"
RUNGS = (1, 3, 9)
ENDED = ("finished", "stopped", "failed")
SETUP = " && ".join(yaml.safe_load((ROOT / "scripts" / "cluster" / "onprem.yaml").read_text())["setup_commands"])
INSTALLED = ("core", "search_spaces", "tune", "scripts", "pyproject.toml", "constraints.txt", "README.md", ".gitignore")


def documented(section: str) -> list[str]:
    """The commands of a section of docs/cluster.md, in its order."""
    text = (ROOT / "docs" / "cluster.md").read_text()
    part = text.split(f"\n## {section}\n")[1].split("\n## ")[0]
    return [
        line for block in re.findall(r"^```\n(.*?)^```$", part, re.DOTALL | re.MULTILINE) for line in block.splitlines()
    ]


def only(commands: list[str], start: str, *, having: str = "") -> str:
    [command] = [command for command in commands if command.startswith(start) and having in command]
    return command


def copy_tandem(folder: Path) -> None:
    """Everything that an installation needs; with the caches that Python leaves it would not be the same twice."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in INSTALLED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)


class Desk:
    """The machine of somebody who uses a cluster: a home, Tandem's folder, and a shell."""

    def __init__(self, folder: Path, hosts: Network) -> None:
        self.folder = folder / "tandem"
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        copy_tandem(self.folder)
        path = self.folder / "scripts" / "cluster" / "onprem.yaml"
        head, *workers = [host.address for host in hosts.hosts]
        filled = path.read_text().replace("HEAD\n", f"{head}\n").replace("WORKER_1, WORKER_2", ", ".join(workers))
        path.write_text(filled.replace("USER\n", "root\n").replace("~/.ssh/id_ed25519", str(hosts.key)))
        own = {"HOME": str(self.home), "TMPDIR": str(folder), "RAY_TMPDIR": str(folder)}
        self.environment = {**os.environ, **own, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        self.environment.pop("RAY_AUTH_MODE", None)  # the documented commands set it
        self.open: list[subprocess.Popen[str]] = []

    def shell(self, command: str, *more: str, seconds: float = 600) -> str:
        """What a command prints, which must end well."""
        words = f"export RAY_AUTH_MODE=token; {' '.join([command, *more])}"
        done = subprocess.run(
            ["bash", "-c", words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=seconds,
        )
        printed = done.stdout + done.stderr
        assert done.returncode == 0, f"{command}: {printed[-3000:]}"
        return printed

    def keep_open(self, command: str) -> None:
        """Run a command as in a terminal of its own."""
        self.open.append(
            subprocess.Popen(
                ["bash", "-c", f"exec {command}"], cwd=self.folder, env={**self.environment, "RAY_AUTH_MODE": "token"},
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
            )
        )  # fmt: skip

    def close(self) -> None:
        for process in self.open:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with network(tmp_path_factory.mktemp("hosts"), ["head", "worker-1", "worker-2"]) as made:
        yield made


@pytest.fixture(scope="module")
def desk(hosts: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    made = Desk(tmp_path_factory.mktemp("desk"), hosts)
    yield made
    made.close()


def fetched(url: str, token: str = "", seconds: float = 60) -> tuple[int, bytes]:
    """Status and body, once somebody answers."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, b""
        except OSError:
            assert time.monotonic() < deadline, f"{url} does not answer"
            time.sleep(0.5)


def on_host(hosts: Network, name: str, command: str) -> str:
    done = hosts.ssh(hosts[name], f"source ~/.bashrc; {command}")
    assert done.returncode == 0, done.stderr
    return done.stdout


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
    assert json.loads((run / "search.json").read_text())["workers"]["count"] == 2  # one a node that trains
    # The head trains nothing, and what trains fetched its inputs once: activations, not the faces that no trial reads.
    cached = [sorted(path.name for path in (host.home / ".cache" / "tandem").rglob("*.npy")) for host in hosts.hosts]
    assert {"activations.npy", "images.npy"} < set(cached[0])
    assert cached[1:] == [["activations.npy"]] * 2

    desk.keep_open(only(commands, "ray dashboard"))
    assert fetched("http://127.0.0.1:8265/api/version")[0] == 401
    assert fetched("http://127.0.0.1:8265/api/version", token)[0] == 200
    printed = desk.shell(only(commands, "ray job submit"), TINY)
    assert "succeeded" in printed
    assert len(pd.read_csv(hosts.shared / "runs" / "gender" / "trials.csv")) == 6

    desk.keep_open(only(commands, "ray exec"))
    assert "multitask/trial-0005" in json.loads(fetched("http://127.0.0.1:6006/data/runs")[1])

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


def install_by_hand(hosts: Network) -> None:
    """Hosts as after a power cut, with Tandem and a token."""
    for host in hosts.hosts:
        host.cut_power()
        host.boot()
        copy_tandem(host.home / "tandem")
        (host.home / ".ray").mkdir(exist_ok=True)
        (host.home / ".ray" / "auth_token").write_text("0123456789abcdef" * 4)
        on_host(hosts, host.name, SETUP)


def start_by_hand(hosts: Network) -> None:
    """A cluster without the launcher, whose autoscaler would look after lost nodes."""
    head = "ray start --head --port=6379 --num-cpus=0 --num-gpus=0 --include-dashboard=false --disable-usage-stats"
    on_host(hosts, "head", f"rm -f ~/ray_bootstrap_config.yaml; {head}")
    for name in ("worker-1", "worker-2"):
        on_host(hosts, name, f"ray start --address={hosts['head'].address}:6379 --disable-usage-stats")


def wait_for(run: Path, ended: int, driver: "subprocess.Popen[str]") -> None:
    """Until so many trials of a search have ended and another one is under way."""
    deadline = time.monotonic() + 240
    while True:
        if (run / "curves.csv").exists():
            trials, curves = pd.read_csv(run / "trials.csv"), pd.read_csv(run / "curves.csv")
            done = set(trials.loc[trials["status"].isin(ENDED), "trial"])
            if len(done) >= ended and (curves.loc[~curves["trial"].isin(done), "trial"].value_counts() > 1).any():
                return
        assert driver.poll() is None, driver.communicate()
        assert time.monotonic() < deadline, "the search does not come so far"
        time.sleep(0.02)


def reports(run: Path) -> pd.DataFrame:
    """Every epoch that any attempt at a trial reported, with its time, from TensorBoard's files."""
    rows = []
    for folder in sorted(run.glob("trial-*")):
        events = EventAccumulator(str(folder), purge_orphaned_data=False)
        events.Reload()
        rows += [(int(folder.name[6:]), e.step, e.value, e.wall_time) for e in events.Scalars("relative_error")]
    return pd.DataFrame(rows, columns=["trial", "epoch", "cost", "time"]).sort_values("time")


def best_until(curve: pd.DataFrame, epoch: int) -> float:
    return float(curve.loc[curve["epoch"] <= epoch, "cost"].min())


def test_a_lost_node_and_a_killed_driver_cost_no_trial_and_no_rung(hosts: Network) -> None:
    """24 trials on two workers: one loses power, the driver is killed, and the search resumed on what is left."""
    install_by_hand(hosts)
    start_by_hand(hosts)
    options = "--drawn-faces 40 --weights random --trials 24 --epochs 12 --grace 1 --seed 3 --retrain-epochs 2 --retrain-seeds 1"
    command = f"~/tandem/scripts/search.py --space multitask --name lost --storage /mnt/tandem/kills {options} --set head_width=1024 frozen_blocks=5"
    driver = hosts.open_ssh(hosts["head"], f"source ~/.bashrc; python {command}")
    run = hosts.shared / "kills" / "lost"
    wait_for(run, 5, driver)
    hosts["worker-2"].cut_power()
    wait_for(run, 12, driver)
    on_host(hosts, "head", "pkill -KILL -f '[s]earch.py --space'")
    driver.communicate()
    trials = pd.read_csv(run / "trials.csv")
    ended_before = set(trials.loc[trials["status"].isin(ENDED), "trial"])
    curves = pd.read_csv(run / "curves.csv").rename(columns={"relative_error": "cost"})
    before = curves[curves["trial"].isin(ended_before)]
    assert len(ended_before) < 24
    killed_at = time.time()

    printed = on_host(
        hosts, "head", "python ~/tandem/scripts/search.py --resume lost --storage /mnt/tandem/kills --workers 1"
    )
    assert "done in" in printed
    trials = pd.read_csv(run / "trials.csv").set_index("trial")
    assert list(trials.index) == list(range(24))
    assert set(trials["status"]) <= {"finished", "stopped"}
    curves = pd.read_csv(run / "curves.csv").rename(columns={"relative_error": "cost"})
    assert not curves.duplicated(["trial", "epoch"]).any()
    pd.testing.assert_frame_equal(curves[curves["trial"].isin(ended_before)], before)

    # Rungs at epochs 1, 3 and 9: after the resume, a trial goes on exactly if it is in the best third of all that the
    # search has seen there, before the kill or after it.
    seen = reports(run)
    after = seen[(seen["time"] > killed_at) & ~seen["trial"].isin(ended_before)]
    rungs = {
        epoch: [best_until(part, epoch) for _, part in before.groupby("trial") if part["epoch"].max() >= epoch]
        for epoch in RUNGS
    }
    judged = 0
    for row in after.itertuples():
        if row.epoch in rungs:
            cost = best_until(curves[curves["trial"] == row.trial], row.epoch)
            stopped = trials.loc[row.trial, "epochs"] == row.epoch
            assert stopped == (cost > np.percentile(rungs[row.epoch], 100 / 3)), (row, rungs)
            rungs[row.epoch].append(cost)
            judged += 1
    assert judged >= 24 - len(ended_before)
    again = len(seen) - len(curves)
    print(f"{len(ended_before)} trials had ended; {len(curves)} epochs, {again} of them computed twice")
    assert 0 < again <= 3 * 12  # what one worker had under way at the first loss and two at the second


def test_a_node_that_cannot_work_for_a_run_is_named_before_the_first_trial(hosts: Network) -> None:
    install_by_hand(hosts)
    start_by_hand(hosts)
    command = f"source ~/.bashrc; python ~/tandem/scripts/search.py --space gender {TINY}"

    done = hosts.ssh(hosts["head"], f"{command} --storage /mnt/home/own")  # a folder that every host has for itself
    assert done.returncode == 2
    assert re.search(
        r"^error: --storage: node worker-\d \S+ cannot use /mnt/home/own/gender \(", done.stderr, re.MULTILINE
    )

    site = next((hosts["worker-2"].home / "tandem-venv").glob("lib/python*/site-packages"))
    (site / "optuna-1.2.3.dist-info").mkdir()
    (site / "optuna-1.2.3.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: optuna\nVersion: 1.2.3\n")
    done = hosts.ssh(hosts["head"], f"{command} --storage /mnt/tandem/named")
    assert done.returncode == 2
    assert re.search(
        r"^error: node worker-2 \S+: must have the driver's versions, .*; it has .*optuna 1\.2\.3,",
        done.stderr,
        re.MULTILINE,
    )
    assert not list((hosts.shared / "named" / "gender").glob(".seen*"))
