"""Clusters that lose nodes, or have nodes that cannot work; each host has its own address, processes, home and ssh."""

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from desk import ROOT, TINY, copy_tandem, on_host
from hosts import Network, missing_for_hosts, network
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

pytestmark = [
    pytest.mark.slow,
    pytest.mark.cluster,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(bool(missing_for_hosts()), reason=missing_for_hosts()),
]

RUNGS = (1, 3, 9)
ENDED = ("finished", "stopped", "failed")
SETUP = " && ".join(yaml.safe_load((ROOT / "scripts" / "cluster" / "onprem.yaml").read_text())["setup_commands"])


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with network(tmp_path_factory.mktemp("hosts"), ["head", "worker-1", "worker-2"]) as made:
        yield made


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
        files = [run / "trials.csv", run / "curves.csv"]
        if all(path.exists() and path.stat().st_size for path in files):
            trials, curves = map(pd.read_csv, files)
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


def curves_of(run: Path) -> pd.DataFrame:
    return pd.read_csv(run / "curves.csv").rename(columns={"relative_error": "cost"})


def process_of(*words: str) -> int:
    """The process, on whatever host, whose command begins with the first word and holds the others."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended by now
            command = path.read_bytes().decode().split("\0")
            if command[0].endswith(words[0]) and all(any(word in part for part in command) for word in words[1:]):
                return int(path.parent.name)
    raise AssertionError(f"no process {' '.join(words)}")


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
    os.kill(process_of("python", command.split()[0].removeprefix("~/"), "lost"), signal.SIGKILL)
    killed_at = time.time()
    driver.communicate()
    before = curves_of(run)

    printed = on_host(
        hosts, "head", "python ~/tandem/scripts/search.py --resume lost --storage /mnt/tandem/kills --workers 1"
    )
    assert "done in" in printed
    trials = pd.read_csv(run / "trials.csv").set_index("trial")
    assert list(trials.index) == list(range(24))
    assert set(trials["status"]) <= {"finished", "stopped"}
    curves, seen = curves_of(run), reports(run)
    assert not curves.duplicated(["trial", "epoch"]).any()
    # trials.csv is a moment behind, so what had ended is what nothing was heard of after the kill.
    after = seen[seen["time"] > killed_at]
    ended_before = set(before["trial"]) - set(after["trial"])
    assert 12 <= len(ended_before) < 24
    before, kept = (table[table["trial"].isin(ended_before)].reset_index(drop=True) for table in (before, curves))
    pd.testing.assert_frame_equal(kept, before)  # the lines of others, which began again, have left the file

    # Rungs at epochs 1, 3 and 9: after the resume, a trial goes on exactly if it is in the best third of all that the
    # search has seen there, before the kill or after it.
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


def test_a_node_that_cannot_work_for_a_run_is_named_before_a_run_is_made(hosts: Network) -> None:
    install_by_hand(hosts)
    start_by_hand(hosts)
    command = f"source ~/.bashrc; python ~/tandem/scripts/search.py --space gender {TINY}"

    done = hosts.ssh(hosts["head"], f"{command} --storage /mnt/home/own")  # a folder that every host has for itself
    assert done.returncode == 2
    assert re.search(r"^error: --storage: node worker-\d \S+ cannot use /mnt/home/own \(", done.stderr, re.MULTILINE)
    assert list((hosts["head"].home / "own").iterdir()) == []  # no run, and nothing of the looking

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
    assert list((hosts.shared / "named").iterdir()) == []
