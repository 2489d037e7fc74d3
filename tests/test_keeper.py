"""One driver at a time works on a run under a URL, and its working copy and what is there stay in step."""

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import pytest
from run_there import begun, hasten, waited

import core.keeper
import core.storage
from core import lease
from core.errors import UserError
from core.mirror import Mirror
from core.patience import Patience
from core.storage import Storage


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    hasten(monkeypatch)


def test_a_run_is_copied_while_it_goes_on_and_found_by_another_machine(place, tmp_path):
    storage, run = begun(place, tmp_path / "one")
    with storage.held(run, print):
        (run.path / "trials.csv").write_text("1\n")
        waited(lambda: run.mirror.read("trials.csv") == b"1\n")
        (run.path / "trials.csv").write_text("12\n")
    other = Storage(place, tmp_path / "two")
    again = other.run("a")
    with other.held(again, print):
        assert (again.path / "trials.csv").read_text() == "12\n"
        (again.path / "trials.csv").write_text("123\n")
    back = storage.run("a")
    with storage.held(back, print):  # the first machine's copy is the older one now
        assert (back.path / "trials.csv").read_text() == "123\n"


def test_two_drivers_cannot_hold_one_run(place, tmp_path):
    storage, run = begun(place, tmp_path / "one")
    other = Storage(place, tmp_path / "two")
    with (
        storage.held(run, print),
        pytest.raises(UserError, match=f"another process is working on this run .process {os.getpid()} on "),
        other.held(other.run("a"), print),
    ):
        pytest.fail("held twice")
    with other.held(other.run("a"), print):
        pass


def test_what_a_killed_driver_had_not_copied_is_kept_on_its_machine(place, tmp_path):
    storage, run = begun(place, tmp_path / "one")
    with storage.held(run, print):
        pass
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    holder = json.loads(run.mirror.read(lease.LEASE))
    killed = {**holder, "pid": ended.pid, "host": socket.gethostname(), "released": False}
    run.mirror.write(lease.LEASE, json.dumps(killed).encode())
    (run.path / "curves.csv").write_text("not copied yet\n")
    with storage.held(storage.run("a"), print):
        assert run.mirror.read("curves.csv") == b"not copied yet\n"


def test_what_a_machine_had_not_copied_before_another_went_on_is_set_aside(place, tmp_path):
    storage, run = begun(place, tmp_path / "one")
    said = []
    with storage.held(run, print):
        pass
    (run.path / "curves.csv").write_text("not copied yet\n")
    (run.path / ".ahead").touch()  # as after a crash
    other = Storage(place, tmp_path / "two")
    with other.held(other.run("a"), print):
        (other.run("a").path / "curves.csv").write_text("of the other one\n")
    with storage.held(storage.run("a"), said.append):
        assert (run.path / "curves.csv").read_text() == "of the other one\n"
    (aside,) = run.path.glob(".set-aside-*")
    assert [path.name for path in aside.iterdir()] == ["curves.csv"]
    assert (aside / "curves.csv").read_text() == "not copied yet\n"
    assert said == [
        f"{run.mirror.url}: another machine may have worked on it; what this one may not have copied is in {aside}"
    ]
    with other.held(other.run("a"), print):
        pass
    with storage.held(storage.run("a"), said.append):  # all was copied: nothing is set aside
        pass
    assert len(said) == 1


def test_a_lease_that_a_user_removed_costs_nothing_here_or_there(place, tmp_path):
    storage, run = begun(place, tmp_path / "one")
    with storage.held(run, print):
        (run.path / "curves.csv").write_text("one\n")
    other = Storage(place, tmp_path / "two")
    with other.held(other.run("a"), print):
        (other.run("a").path / "curves.csv").write_text("two\n")
    (run.path / "curves.csv").write_text("not copied yet\n")
    run.mirror.remove(lease.LEASE)
    with storage.held(storage.run("a"), print):
        assert (run.path / "curves.csv").read_text() == "two\n"
    assert run.mirror.read("curves.csv") == b"two\n"
    assert (next(run.path.glob(".set-aside-*")) / "curves.csv").read_text() == "not copied yet\n"


def test_what_a_killed_process_left_half_written_there_is_removed(tmp_path):
    storage, run = begun(f"file://{tmp_path}/there", tmp_path / "one")
    with storage.held(run, print):
        pass
    half = tmp_path / "there/a/winners/.weights.1-2.partial"
    half.parent.mkdir()
    half.write_text("ha")
    assert not [name for name in run.mirror.names() if "weights" in name]
    with storage.held(storage.run("a"), print):
        assert not half.exists()


def test_signs_of_life_go_on_until_all_is_copied_and_the_lease_is_left_after_that(place, tmp_path, monkeypatch):
    storage, run = begun(place, tmp_path / "one")
    renewed, upload, renew = [], Mirror._upload, lease.Lease.renew
    monkeypatch.setattr(lease.Lease, "renew", lambda self: renewed.append(1) or renew(self))

    def slow(self, name, size):
        before = len(renewed)
        waited(lambda: len(renewed) >= before + 3)
        upload(self, name, size)

    with monkeypatch.context() as patch, storage.held(run, print):
        patch.setattr(core.keeper, "SYNC_SECONDS", 0.1)
        patch.setattr(Mirror, "_upload", slow)
        (run.path / "trials.csv").write_text("last\n")
    assert run.mirror.read("trials.csv") == b"last\n"
    assert json.loads(run.mirror.read(lease.LEASE))["released"]


def test_an_attempt_cut_off_as_it_took_the_lease_costs_nothing(place, tmp_path, monkeypatch):
    storage, run = begun(place, tmp_path / "one")
    with storage.held(run, print):
        pass
    (run.path / "curves.csv").write_text("not copied yet\n")
    take = lease.Lease.take

    def cut_off(self):
        take(self)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(lease.Lease, "take", cut_off)
        with pytest.raises(KeyboardInterrupt), storage.held(storage.run("a"), print):
            pytest.fail("was not cut off")
    release(run)
    with storage.held(storage.run("a"), print):
        assert run.mirror.read("curves.csv") == b"not copied yet\n"


def release(run):
    """As if whoever holds the lease were dead."""
    holder = json.loads(run.mirror.read(lease.LEASE))
    run.mirror.write(lease.LEASE, json.dumps({**holder, "released": True}).encode())


def test_a_lease_is_kept_up_while_a_large_file_is_copied(place, tmp_path, monkeypatch):
    storage, run = begun(place, tmp_path / "one")
    renewed = []
    renew = lease.Lease.renew
    monkeypatch.setattr(lease.Lease, "renew", lambda self: renewed.append(1) or renew(self))
    upload = Mirror._upload

    def slow(self, name, size):
        before = len(renewed)
        waited(lambda: len(renewed) >= before + 3)
        upload(self, name, size)

    with storage.held(run, print), monkeypatch.context() as patch:
        patch.setattr(Mirror, "_upload", slow)
        (run.path / "trials.csv").write_text("large\n")
        waited(lambda: run.mirror.read("trials.csv") == b"large\n")


def test_nothing_is_copied_over_a_run_that_was_taken_over_at_the_last_moment(place, tmp_path, monkeypatch):
    storage, run = begun(place, tmp_path / "one")
    monkeypatch.setattr(core.keeper, "SYNC_SECONDS", 1000.0)

    def ends_too_late():
        with storage.held(run, print):
            holder = json.loads(run.mirror.read(lease.LEASE))
            run.mirror.write(lease.LEASE, json.dumps({**holder, "identity": "another's"}).encode())
            (run.path / "trials.csv").write_text("late\n")

    with pytest.raises(UserError, match="another process has taken this run over"):
        ends_too_late()
    assert run.mirror.read("trials.csv") is None


def test_predictions_half_way_are_not_kept_instead_of_final_ones_of_the_same_size(place, tmp_path):
    storage, run = begun(place, tmp_path / "one")
    with storage.held(run, print):
        pass
    worker = Mirror(tmp_path / "worker", run.mirror.url)
    path = worker.local / "trials/trial-0000/predictions.npz"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half-way")
    worker.push()
    other = Storage(place, tmp_path / "two")
    resumed = other.run("a")
    with other.held(resumed, print):
        path.write_bytes(b"finished")
        worker.push()
        resumed.fetch()
        assert (resumed.path / path.relative_to(worker.local)).read_bytes() == b"finished"


def test_a_driver_on_another_machine_counts_as_dead_after_a_while(place, tmp_path, monkeypatch):
    storage, run = begun(place, tmp_path / "one")
    with storage.held(run, print):
        pass
    holder = json.loads(run.mirror.read(lease.LEASE))
    run.mirror.write(lease.LEASE, json.dumps({**holder, "host": "elsewhere", "released": False}).encode())
    with pytest.raises(UserError, match="on elsewhere"), storage.held(storage.run("a"), print):
        pytest.fail("held twice")
    monkeypatch.setattr(lease, "STALE_SECONDS", 0.5)
    time.sleep(1.1)  # S3 tells whole seconds
    with storage.held(storage.run("a"), print):
        pass


def test_a_driver_learns_that_its_run_was_taken_over(place, tmp_path, monkeypatch):
    storage, run = begun(place, tmp_path / "one")
    other = Storage(place, tmp_path / "two")

    def loses_it():
        with storage.held(run, print):
            monkeypatch.setattr(lease, "STALE_SECONDS", 0.0)
            monkeypatch.setattr(lease, "SETTLE_SECONDS", 1.0)  # no sign of life may be under way for longer
            monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
            taken = ExitStack()

            def taken_over():
                with suppress(UserError):  # a sign of life of the first one was under way
                    taken.enter_context(other.held(other.run("a"), print))
                    return True
                return False

            waited(taken_over)
            with taken:
                waited(lambda: "taken this run over" in run.lost)
                (run.path / "trials.csv").write_text("of the one that lost it\n")

    with pytest.raises(UserError, match="another process has taken this run over"):
        loses_it()
    assert other.run("a").mirror.read("trials.csv") is None


FILE = Path(__file__)
"""Nothing can be read or written below a file."""


def points_to(link, target):
    """From one moment to the next, so that nobody finds that there is nothing."""
    link.with_name("next").symlink_to(target)
    link.with_name("next").replace(link)


def test_storage_that_is_away_is_told_while_it_lasts_and_copied_to_afterwards(tmp_path, monkeypatch):
    (tmp_path / "disk").mkdir()
    (tmp_path / "there").symlink_to(tmp_path / "disk")
    storage, run = begun(f"file://{tmp_path}/there", tmp_path / "one")
    with storage.held(run, print):
        points_to(tmp_path / "there", FILE)
        waited(lambda: "storage away since" in run.trouble)
        (run.path / "trials.csv").write_text("kept here\n")
        points_to(tmp_path / "there", tmp_path / "disk")
        waited(lambda: not run.trouble)
    assert (tmp_path / "there" / "a" / "trials.csv").read_text() == "kept here\n"


def test_storage_that_stays_away_is_an_error_that_says_where_everything_is(tmp_path, monkeypatch):
    (tmp_path / "disk").mkdir()
    (tmp_path / "there").symlink_to(tmp_path / "disk")
    storage, run = begun(f"file://{tmp_path}/there", tmp_path / "one")
    monkeypatch.setattr(core.storage, "Patience", partial(Patience, seconds=0.3))

    def lose_storage():
        with storage.held(run, print):
            points_to(tmp_path / "there", FILE)

    with pytest.raises(
        UserError,
        match=rf"everything is in {run.path}, and python scripts/search\.py --resume a --storage .* copies it",
    ):
        lose_storage()
