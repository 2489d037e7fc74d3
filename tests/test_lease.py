"""A lease stays its holder's though the file that says so is read while it is written."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from types import SimpleNamespace

import pytest

from core import lease
from core.errors import UserError
from core.lease import Lease
from core.mirror import Mirror


@pytest.fixture
def held(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(lease, "LOOK_SECONDS", 0.0)
    held = Lease(Mirror(tmp_path / "here", f"file://{tmp_path}/there"))
    held.take()
    return held


def half_written(monkeypatch, times):
    """As a folder shows a file that another process has just opened for writing."""
    read, looks = Mirror.read, []

    def first_empty(self, name):
        looks.append(name)
        return b"" if len(looks) <= times else read(self, name)

    monkeypatch.setattr(Mirror, "read", first_empty)


def test_threads_that_renew_a_lease_at_once_do_not_take_it_from_each_other(held, monkeypatch):
    read, write, writing = Mirror.read, Mirror.write, []

    def slowly(self, name, content):
        writing.append(name)
        time.sleep(0.001)
        write(self, name, content)
        writing.remove(name)

    def alone(self, name):
        assert not writing
        return read(self, name)

    monkeypatch.setattr(Mirror, "write", slowly)
    monkeypatch.setattr(Mirror, "read", alone)
    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(lambda _: held.renew(), range(100)))


def test_a_lease_that_is_being_written_is_read_again(held, tmp_path, monkeypatch):
    half_written(monkeypatch, times=2)
    with pytest.raises(UserError, match="another process is working on this run"):
        Lease(Mirror(tmp_path / "other", held.mirror.url)).take()


def test_a_lease_that_a_killed_process_left_half_written_is_nobodys(held, tmp_path):
    held.mirror.write(lease.LEASE, b"")
    other = Lease(Mirror(tmp_path / "other", held.mirror.url))
    assert other.take() == ""
    assert not held.renew()


def test_of_two_drivers_that_come_at_the_same_moment_only_the_later_one_has_the_run(tmp_path, monkeypatch):
    both, write, waits = Barrier(2, timeout=20), Mirror.write, []

    def when_both_have_looked(self, name, content):
        both.wait()
        write(self, name, content)

    def until_both_have_written(seconds):
        waits.append(seconds)
        both.wait()

    monkeypatch.setattr(Mirror, "write", when_both_have_looked)
    monkeypatch.setattr(lease, "time", SimpleNamespace(sleep=until_both_have_written))
    rivals = [Lease(Mirror(tmp_path / name, f"file://{tmp_path}/there")) for name in ("one", "two")]
    with ThreadPoolExecutor(2) as threads:
        errors = [taking.exception() for taking in [threads.submit(rival.take) for rival in rivals]]
    assert [error is None for error in errors] == [rival.is_ours() for rival in rivals]
    (lost,) = [error for error in errors if error]
    assert isinstance(lost, UserError)
    assert f"/there: another process has just taken this run (process {os.getpid()} on " in str(lost)
    assert waits == [lease.SETTLE_SECONDS] * 2 == [1, 1]


@pytest.mark.parametrize("content", [None, b"", b"?"])
def test_a_lease_that_names_nobody_any_more_becomes_its_holders_again(held, content):
    if content is None:
        held.mirror.remove(lease.LEASE)
    else:
        held.mirror.write(lease.LEASE, content)
    assert held.renew()
    assert held.is_ours()


def test_a_folder_that_holds_nothing_any_more_is_away_and_not_taken_over(held, tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "search.json").write_text("{}")
    held.mirror.push()
    (tmp_path / "there").rename(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="nothing is there any more"):
        held.renew()
    (tmp_path / "elsewhere").rename(tmp_path / "there")
    assert held.renew()
