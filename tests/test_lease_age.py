"""How old a lease is by the storage's clock, and from what age on its driver counts as dead."""

import json
import os
import socket
import subprocess
import sys
import time

import pytest

from core import lease
from core.errors import UserError
from core.lease import LEASE, Lease
from core.mirror import Mirror
from core.remote import Remote


@pytest.fixture
def mirror(tmp_path):
    return Mirror(tmp_path / "here", f"file://{tmp_path}/there")


def last_sign_of_life(mirror, there, seconds):
    """A lease of a driver on another machine, which renewed it so many seconds ago by the storage's clock."""
    content = {"identity": "theirs", "host": "elsewhere", "pid": 7, "released": False}
    mirror.write(LEASE, json.dumps(content).encode())
    then = (there / LEASE).stat().st_mtime - seconds
    os.utime(there / LEASE, (then, then))


def test_age_is_the_seconds_since_a_file_there_was_written(mirror, tmp_path):
    last_sign_of_life(mirror, tmp_path / "there", 100)
    assert 100 <= mirror.age(LEASE) < 110


@pytest.mark.parametrize("ahead", [-1000, 1000])
def test_it_is_the_same_whatever_this_machines_clock_says(mirror, tmp_path, monkeypatch, ahead):
    last_sign_of_life(mirror, tmp_path / "there", 100)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + ahead)
    assert 100 <= mirror.age(LEASE) < 110


@pytest.mark.parametrize("ahead", [-1000, 1000])
def test_it_is_the_same_whatever_the_storages_clock_says(mirror, tmp_path, monkeypatch, ahead):
    write = Remote.write

    def by_its_clock(self, name, content):
        write(self, name, content)
        now = time.time() + ahead
        os.utime(tmp_path / "there" / name, (now, now))

    monkeypatch.setattr(Remote, "write", by_its_clock)
    last_sign_of_life(mirror, tmp_path / "there", 100)
    assert 100 <= mirror.age(LEASE) < 110


@pytest.mark.parametrize("same", [True, False])
def test_a_process_that_is_gone_here_is_dead_but_one_of_another_machine_of_this_name_is_not(mirror, monkeypatch, same):
    monkeypatch.setattr(lease, "SETTLE_SECONDS", 0.0)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    where = {"host": socket.gethostname(), "machine": lease.machine() if same else "another boot and its processes"}
    mirror.write(LEASE, json.dumps({"identity": "theirs", **where, "pid": ended.pid, "released": False}).encode())
    if same:
        assert Lease(mirror).take() == "theirs"
    else:
        with pytest.raises(UserError, match=f"another process is working on this run .process {ended.pid} on "):
            Lease(mirror).take()


def test_a_run_is_taken_over_from_a_driver_silent_for_more_than_a_minute_and_a_half(mirror, tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "SETTLE_SECONDS", 0.0)
    last_sign_of_life(mirror, tmp_path / "there", 80)
    with pytest.raises(UserError, match=r"another process is working on this run \(process 7 on elsewhere"):
        Lease(mirror).take()
    last_sign_of_life(mirror, tmp_path / "there", 100)
    assert Lease(mirror).take() == "theirs"
