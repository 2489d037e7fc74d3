import argparse
import json
import os
import shlex
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from functools import partial

import pytest
from test_openings import SEARCH

import core.keeper
import core.storage
from core import lease
from core.errors import UserError
from core.mirror import Mirror
from core.patience import Patience
from core.storage import Storage
from core.urls import below
from tune.options import add_place_options, storage_of


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(lease, "SETTLE_SECONDS", 0.05)
    monkeypatch.setattr(core.keeper, "SYNC_SECONDS", 0.1)


@pytest.fixture(params=["file", "s3"])
def place(request, tmp_path):
    if request.param == "file":
        return f"file://{tmp_path}/there"
    return below(request.getfixturevalue("s3"), tmp_path.name)


def begun(place, cache, name="a"):
    """A storage and a run in it, made as a search makes it."""
    storage = Storage(place, cache)
    run = storage.new_run(name, "x")
    run.path.mkdir(parents=True)
    run.write_search(SEARCH)
    return storage, run


def waited(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


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


def test_a_name_is_taken_wherever_its_run_was_begun(place, tmp_path):
    storage, run = begun(place, tmp_path / "one")
    with storage.held(run, print):
        pass
    other = Storage(place, tmp_path / "two")
    with pytest.raises(UserError, match=r"/a.* exists; choose another --name"):
        other.new_run("a", "x")
    assert other.new_run(None, "a").path.name == "a-2"


def test_a_name_stays_taken_where_its_run_was_begun_though_nothing_is_left_under_the_url(place, tmp_path):
    storage, run = begun(place, tmp_path / "one")
    with storage.held(run, print):
        pass
    for name in run.mirror.names():
        run.mirror.remove(name)
    assert storage.new_run(None, "a").path.name == "a-2"
    with pytest.raises(UserError, match="exists; choose another --name, or go on with it: --resume a"):
        storage.new_run("a", "x")


def test_a_new_run_does_not_go_on_with_one_that_somebody_began_in_the_meantime(place, tmp_path):
    (storage, run), (other, late) = begun(place, tmp_path / "one"), begun(place, tmp_path / "two")
    run.write_search(SEARCH | {"command": "the first"})
    with storage.held(run, print, new=True):
        pass
    rule = "exists; choose another --name, or go on with it"
    with pytest.raises(UserError, match=rule), other.held(late, print, new=True):
        pytest.fail("took it over")
    assert not late.search.exists()
    with other.held(other.run("a"), print):
        assert late.read_search()["command"] == "the first"


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
    monkeypatch.setattr(lease, "STALE_SECONDS", 0.0)
    with storage.held(storage.run("a"), print):
        pass


def test_a_driver_learns_that_its_run_was_taken_over(place, tmp_path, monkeypatch):
    storage, run = begun(place, tmp_path / "one")
    other = Storage(place, tmp_path / "two")

    def loses_it():
        with storage.held(run, print):
            monkeypatch.setattr(lease, "STALE_SECONDS", 0.0)
            monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
            taken = ExitStack()
            for _ in range(5):
                with suppress(UserError):  # a sign of life of the first one was under way
                    taken.enter_context(other.held(other.run("a"), print))
                    break
            with taken:
                waited(lambda: "taken this run over" in run.lost)
                (run.path / "trials.csv").write_text("of the one that lost it\n")

    with pytest.raises(UserError, match="another process has taken this run over"):
        loses_it()
    assert other.run("a").mirror.read("trials.csv") is None


def test_there_is_no_run_where_none_was_begun(place, tmp_path):
    storage = Storage(place, tmp_path / "one")
    with pytest.raises(UserError, match="no run here"), storage.held(storage.run("nothing"), print):
        pytest.fail("held nothing")
    assert not (tmp_path / "one").exists()


def test_storage_that_is_away_is_told_while_it_lasts_and_copied_to_afterwards(tmp_path, monkeypatch):
    storage, run = begun(f"file://{tmp_path}/there", tmp_path / "one")
    with storage.held(run, print):
        (tmp_path / "there").rename(tmp_path / "moved")
        (tmp_path / "there").touch()  # nothing can be written below a file
        waited(lambda: "storage away since" in run.trouble)
        (run.path / "trials.csv").write_text("kept here\n")
        (tmp_path / "there").unlink()
        (tmp_path / "moved").rename(tmp_path / "there")
        waited(lambda: not run.trouble)
    assert (tmp_path / "there" / "a" / "trials.csv").read_text() == "kept here\n"


def test_storage_that_stays_away_is_an_error_that_says_where_everything_is(tmp_path, monkeypatch):
    storage, run = begun(f"file://{tmp_path}/there", tmp_path / "one")
    monkeypatch.setattr(core.storage, "Patience", partial(Patience, seconds=0.3))

    def lose_storage():
        with storage.held(run, print):
            (tmp_path / "there").rename(tmp_path / "moved")
            (tmp_path / "there").touch()

    with pytest.raises(UserError, match=rf"everything is in {run.path}, and --resume a --storage .* copies it"):
        lose_storage()


PLACES = {
    (): "--resume a",
    ("--storage", "elsewhere/my runs"): "--resume a --storage 'elsewhere/my runs'",
    ("--storage", "s3://b/x?region=r&scheme=http"): "--resume a --storage 's3://b/x?region=r&scheme=http'",
    ("--cache", "/c"): "--resume a --cache /c",
}


@pytest.mark.parametrize(("words", "again"), PLACES.items())
def test_a_run_says_with_which_options_a_script_goes_on_with_it(words, again):
    parser = argparse.ArgumentParser(argument_default=argparse.SUPPRESS)
    add_place_options(parser, "x")
    run = storage_of(vars(parser.parse_args(words))).run("a")
    assert run.again == again
    assert run.step("table1").again == again  # a step of a replication is not resumed by itself
    given = vars(parser.parse_args(shlex.split(again)))
    assert storage_of(given).run(given["resume"]).path == run.path


@pytest.mark.parametrize("name", ["", "..", "a/b", "a b", ".hidden", "x" * 101])
def test_a_run_needs_a_plain_name(tmp_path, name):
    with pytest.raises(UserError, match="run name"):
        Storage(str(tmp_path), tmp_path).new_run(name, "x")


def test_a_folder_is_held_without_a_copy(tmp_path):
    storage, run = begun(str(tmp_path / "runs"), tmp_path / "cache")
    with storage.held(run, print):
        assert run.url("winners") is None
        with pytest.raises(UserError, match="another process is working on this run"), storage.held(run, print):
            pytest.fail("held twice")
    assert not (tmp_path / "cache").exists()
