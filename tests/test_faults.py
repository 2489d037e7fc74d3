"""Searches to which something happens; each must lose nothing that had ended, and come to the results of one alone."""

import json
import os
import re
import resource
import shlex
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pandas as pd
import pytest
from doors import without_ray
from real_search import (
    COMMON,
    ROOT,
    Running,
    assert_same_results,
    command,
    epochs_of,
    hears_ctrl_c,
    run,
    without_times,
    workers_below,
)

from search_spaces.parameter import Choice
from search_spaces.space import Space

pytestmark = [pytest.mark.slow, pytest.mark.cluster]
GRID = ["--space", "paper_gender", *COMMON, "--epochs", "3", "--retrain-epochs", "40", "--retrain-seeds", "2"]
"""Four trials, one an optimizer; none is stopped."""
MB = 2**20


@pytest.fixture(scope="module")
def new(cache, weights_file):
    """The command of a new search."""
    return lambda storage, *words: command(storage, cache, "--name", "a", *words, "--weights", str(weights_file))


@pytest.fixture(scope="module")
def alone(tmp_path_factory, new):
    """The folder of the search that nobody disturbed."""
    storage = tmp_path_factory.mktemp("alone")
    done = run(new(storage, *GRID))
    assert done.returncode == 0, done.stderr
    return storage / "a"


@contextmanager
def small_disk(folder, megabytes):
    """A file system of its own at ``folder``, which can be full without harm to others."""
    folder.mkdir()
    size = f"size={megabytes}m"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder)], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"mounting a small disk is not permitted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(path, leave=0):
    """A file of somebody else takes what room there is, but for ``leave`` bytes."""
    with path.open("wb", buffering=0) as file:
        for piece in (MB, 4096):  # the large ones soon, before what goes on meanwhile has ended
            with suppress(OSError):
                while True:
                    file.write(b"0" * piece)
        if leave:
            file.truncate(max(0, file.tell() - leave))


def changed(**variables):
    """The environment in which tests/faults changes what processes do."""
    path = os.pathsep.join([str(ROOT / "tests/faults"), str(ROOT), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, **variables}


def test_a_full_disk_is_waited_for_ends_the_search_if_it_stays_and_loses_nothing(tmp_path, new, cache, alone):
    with small_disk(tmp_path / "disk", 100) as disk:  # a run with its backbone takes 60 MB
        folder, filler = disk / "a", disk / "filler"
        hasty = Running(new(disk, *GRID), tmp_path / "hasty", env=changed(TANDEM_PATIENCE="3"))
        hasty.until(lambda: epochs_of(folder) >= 2)
        fill(filler)
        last = hasty.end(2).strip().splitlines()[-1]
        assert last.startswith(f"error: {folder}")
        assert "No space left on device, for" in last
        again = f"python scripts/search.py --resume a --storage {disk} --cache {cache}"
        assert last.endswith(f"nothing that ended is lost: go on with {again}")
        filler.unlink()

        here = epochs_of(folder)
        search = Running([sys.executable, *shlex.split(again)[1:]], tmp_path / "said")
        search.until(lambda: epochs_of(folder) >= here + 2)
        fill(filler)
        search.until(lambda: "storage is full" in search.said)
        before = pd.read_csv(folder / "curves.csv")
        time.sleep(3)
        filler.unlink()
        fill(filler, leave=20 * MB)  # room for all but the backbone
        search.until(lambda: re.search("backbone.safetensors: .*No space left on device.*; trying again", search.said))
        filler.unlink()
        seed = folder / "winners/gender/seed-0"
        search.until(lambda: any(seed.glob("events*")))  # its first epoch has come
        told = len(search.said)
        fill(filler)
        search.until(lambda: "storage is full" in search.said[told:])
        filler.unlink()
        said = search.end()
        assert said.count(": written after") == said.count("; trying again")
        after = pd.read_csv(folder / "curves.csv")
        pd.testing.assert_frame_equal(after.iloc[: len(before)], before)
        assert_same_results(folder, alone)
        assert not list(folder.rglob("*.partial"))


def test_a_disk_that_is_full_from_the_start_is_one_line_and_leaves_nothing(tmp_path, new, alone):
    with small_disk(tmp_path / "disk", 1) as disk:
        fill(disk / "filler")
        done = without_ray("search.py", *new(disk, *GRID)[2:])
        assert done.returncode == 2
        assert "No space left on device" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
        assert [path.name for path in disk.iterdir()] == ["filler"]


HANGS_AFTER = 12
"""Seconds that no epoch takes, however busy the machine; of each of two trials they pass twice."""
HUNG = f"no epoch within --trial-timeout ({HANGS_AFTER} s), twice"
FAULTS = {
    "adamax": ("cuda_error", "RuntimeError: CUDA error: no kernel image is available for execution on the device"),
    "adam": ("stopped", HUNG),
    "adagrad": ("holds_the_lock", HUNG),
}


def test_trials_that_hang_or_lose_their_gpu_fail_with_the_reason_and_the_other_is_right(tmp_path, new, alone):
    """The winner is retrained too."""
    words = new(tmp_path, *GRID, "--retrain-epochs", "2", "--retrain-seeds", "1", "--trial-timeout", str(HANGS_AFTER))
    told = " ".join(f"{optimizer} {kind}" for optimizer, (kind, _) in FAULTS.items())
    said = Running(words, tmp_path / "said", env=changed(TANDEM_FAULT=told)).end(seconds=400)
    trials, undisturbed = (without_times(folder / "trials.csv") for folder in (tmp_path / "a", alone))
    for optimizer, (_, reason) in FAULTS.items():
        (hit,) = trials[trials["config.optimizer"] == optimizer].to_dict("records")
        assert hit["status"] == "failed"
        assert hit["reason"].startswith(reason)
        assert f"trial {hit['trial']} failed: {reason}" in said
    other = ~trials["config.optimizer"].isin(FAULTS)
    assert other.sum() == 1
    pd.testing.assert_frame_equal(trials[other], undisturbed[other], check_dtype=False)
    assert ", 3 failed" in said
    assert "next: python scripts/final_test.py" in said


def heads(folder):
    """Options of a search over three heads, of which the second needs 4 GB, and the others next to nothing."""
    space = Space("heads", "three heads", {"head_width": Choice((8, 8192, 16))}, {}, {"architecture": "gender"})
    path = folder / "heads.json"
    path.write_text(json.dumps(space.to_json()))
    data = [*COMMON[: COMMON.index("--set")], "--set", "frozen_blocks=5"]
    return ["--space", str(path), "--sampler", "grid", *data, "--retrain-epochs", "2", "--retrain-seeds", "1"]


def only_the_second_failed(folder, reason):
    trials = pd.read_csv(folder / "trials.csv")
    assert list(trials["config.head_width"]) == [8, 8192, 16]
    assert list(trials["status"]) == ["finished", "failed", "finished"]
    assert reason in trials["reason"][1]


def test_a_trial_that_gets_no_more_memory_fails_with_the_reason_and_its_worker_lives_on(tmp_path, new):
    """A real limit: the address space of the worker may grow by 600 MB and no further."""
    words = new(tmp_path, *heads(tmp_path), "--epochs", "100")
    search = Running(words, tmp_path / "said")
    search.until(lambda: epochs_of(tmp_path / "a"))
    (worker,) = workers_below(search.process.pid)
    status = Path(f"/proc/{worker}/status").read_text()
    size = 1024 * int(re.search(r"VmSize:\s+(\d+) kB", status).group(1))
    resource.prlimit(worker, resource.RLIMIT_AS, (size + 600 * MB,) * 2)
    search.until(lambda: epochs_of(tmp_path / "a") > 150)  # the third trial is under way
    assert workers_below(search.process.pid) == [worker]
    search.end()
    only_the_second_failed(tmp_path / "a", "memory")


CGROUPS = Path("/sys/fs/cgroup")
UNIFIED = (CGROUPS / "cgroup.controllers").exists()  # the kernel's newer way


def limit_memory(group, size):
    """The bytes that the processes of a control group may have together."""
    (group / ("memory.max" if UNIFIED else "memory.limit_in_bytes")).write_text(str(size))
    swap = group / "memory.swap.max"
    if swap.exists():
        swap.write_text("0")  # or none of them would have to end


@contextmanager
def memory_group(megabytes):
    """A control group whose processes have so much memory together; the kernel ends one of them when it is spent."""
    folder = CGROUPS / ("" if UNIFIED else "memory") / f"tandem-test-{os.getpid()}"
    try:
        folder.mkdir()
        try:
            limit_memory(folder, megabytes * MB)
        except OSError:
            folder.rmdir()
            raise
    except OSError as error:
        pytest.skip(f"a memory limit for a group of processes is not permitted here: {error}")
    try:
        yield folder
    finally:
        deadline = time.monotonic() + 30
        while (folder / "cgroup.procs").read_text() and time.monotonic() < deadline:
            time.sleep(0.1)
        folder.rmdir()


def test_a_worker_that_the_kernel_ends_for_want_of_memory_costs_its_trial_alone(tmp_path, new, cache, alone):
    with memory_group(3500) as group:
        words = new(tmp_path, *heads(tmp_path), "--epochs", "3")
        shell = ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh", *words]
        Running(shell, tmp_path / "said").end()
    only_the_second_failed(
        tmp_path / "a", "its worker process died each time it was tried, as for want of memory or with its node"
    )


def test_a_trial_that_diverges_fails_with_the_reason_and_the_search_goes_on(tmp_path, new):
    space = Space("rates", "three rates", {"lr": Choice((1e-3, 10.0, 1e-4))}, {}, {"architecture": "landmarks"})
    (tmp_path / "rates.json").write_text(json.dumps(space.to_json()))
    settings = ["optimizer=rmsprop", "landmark_loss=l2", "head_width=64", "batch_size=8", "frozen_blocks=4"]
    words = ["--space", str(tmp_path / "rates.json"), "--sampler", "grid", *COMMON[: COMMON.index("--set")]]
    words += ["--set", *settings, "--epochs", "3", "--retrain-epochs", "2", "--retrain-seeds", "1"]
    search = Running(new(tmp_path, *words), tmp_path / "said")
    said = search.end()
    trials = pd.read_csv(tmp_path / "a/trials.csv")
    assert list(trials["status"]) == ["finished", "failed", "finished"]
    assert re.fullmatch(r"DivergedError: loss or score not finite in epoch \d+", trials["reason"][1])
    assert ", 1 failed" in said


def test_ctrl_c_twice_ends_a_search_at_once_and_once_a_retraining_tidily_and_both_are_gone_on_with(
    tmp_path, new, cache, alone
):
    search = Running(new(tmp_path, *GRID), tmp_path / "said", preexec_fn=hears_ctrl_c)
    search.until(lambda: epochs_of(tmp_path / "a") >= 2)
    os.killpg(search.process.pid, signal.SIGINT)
    search.until(lambda: "Ctrl-C again ends at once" in search.said)
    os.killpg(search.process.pid, signal.SIGINT)
    pressed = time.monotonic()
    said = search.end(130)
    assert time.monotonic() - pressed < 20
    again = f"python scripts/search.py --resume a --storage {tmp_path} --cache {cache}"
    assert f"Go on with: {again}\n" in said
    assert epochs_of(tmp_path / "a") < epochs_of(alone)

    words = [sys.executable, *shlex.split(again)[1:]]
    retraining = Running(words, tmp_path / "said again", preexec_fn=hears_ctrl_c)
    winner = tmp_path / "a/winners/gender/seed-0"
    retraining.until(lambda: any(winner.glob("events*")))  # its first epoch has come
    os.killpg(retraining.process.pid, signal.SIGINT)
    said = retraining.end(130)
    assert "ending tidily" in said
    assert f"Go on with: {again}\n" in said
    assert (winner / "checkpoint.pt").is_file()

    resumed = run(words)
    assert resumed.returncode == 0, resumed.stderr
    assert_same_results(tmp_path / "a", alone)
    columns = ["epoch", "train_loss", "relative_error"]
    cut, whole = (
        pd.read_csv(folder / "winners/gender/seed-0/curve.csv")[columns] for folder in (tmp_path / "a", alone)
    )
    pd.testing.assert_frame_equal(cut, whole)
