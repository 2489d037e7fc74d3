import argparse
import shlex

import pytest
from run_there import begun, hasten
from test_openings import SEARCH

from core.errors import UserError
from core.run_folder import RunFolder
from core.storage import Storage, run_at
from tune.options import add_place_options, run_to_resume, storage_of


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    hasten(monkeypatch)


def test_a_name_is_taken_wherever_its_run_was_begun(place, tmp_path):
    storage, run = begun(place, tmp_path / "one")
    with storage.held(run, print):
        pass
    other = Storage(place, tmp_path / "two")
    with pytest.raises(UserError, match=r"/a.* exists; choose another --name"):
        other.new_run("a", "x")
    assert other.new_run(None, "a").path.name == "a-2"


def test_a_folder_that_is_no_run_is_not_offered_to_go_on_with(tmp_path):
    (tmp_path / "runs" / "a").mkdir(parents=True)
    with pytest.raises(UserError, match=r"/a exists and is no run; choose another --name$"):
        Storage(str(tmp_path / "runs"), tmp_path / "cache").new_run("a", "x")


def test_a_name_stays_taken_where_its_run_was_begun_though_nothing_is_left_under_the_url(place, tmp_path):
    storage, run = begun(place, tmp_path / "one")
    with storage.held(run, print):
        pass
    for name in run.mirror.names():
        run.mirror.remove(name)
    assert storage.new_run(None, "a").path.name == "a-2"
    with pytest.raises(
        UserError, match=r"exists; choose another --name, or go on with it: python scripts/search\.py --resume a"
    ):
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


def test_there_is_no_run_where_none_was_begun(place, tmp_path):
    storage = Storage(place, tmp_path / "one")
    with pytest.raises(UserError, match="no run here"), storage.held(storage.run("nothing"), print):
        pytest.fail("held nothing")
    assert not (tmp_path / "one").exists()


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
    assert run.again == f"python scripts/search.py {again}"
    given = vars(parser.parse_args(shlex.split(again)))
    assert storage_of(given).run(given["resume"]).path == run.path


@pytest.mark.parametrize("plan", [{"paper": {}}, {"space": {}}])
def test_each_run_and_step_is_gone_on_with_by_the_script_that_made_it(place, tmp_path, plan):
    script = "paper" if "paper" in plan else "search"
    storage, run = begun(place, tmp_path / "one")
    run.write_search({**SEARCH, "plan": plan})
    step = run.step("table1")
    step.path.mkdir()
    step.write_search({**SEARCH, "plan": {"space": {}}})  # a step of a replication is not resumed by itself
    assert run.again == step.again == f"python scripts/{script}.py {storage.options('a')}"
    with storage.held(run, print):
        pass
    assert Storage(place, tmp_path / "two").run("a").again.startswith(f"python scripts/{script}.py --resume a ")


def test_the_way_on_is_by_a_script_beside_the_one_that_was_started(monkeypatch, tmp_path):
    scripts = tmp_path / "my tandem" / "scripts"
    scripts.mkdir(parents=True)
    (scripts / "search.py").touch()
    for folder, started, script in (
        ("/", scripts / "final_test.py", f"'{scripts}/search.py'"),
        (scripts, "search.py", "search.py"),
        (scripts.parent, "/usr/bin/pytest", "scripts/search.py"),
    ):
        monkeypatch.chdir(folder)
        started = str(started)
        monkeypatch.setattr("sys.argv", [started])
        assert RunFolder(tmp_path / "a").again == f"python {script} --resume a --storage {tmp_path}"


def test_a_search_that_somebody_keeps_within_a_replication_is_no_step_of_it(tmp_path):
    (tmp_path / "paper").mkdir()
    RunFolder(tmp_path / "paper").write_search({**SEARCH, "plan": {"paper": {}}})
    storage = Storage(str(tmp_path / "paper"), tmp_path / "cache")
    for name, script in (("mine", "search"), ("table1", "paper")):
        run = storage.run(name)
        assert (run.whole is run, f"scripts/{script}.py " in run.again) == (name == "mine", True)


def test_a_run_is_found_by_its_name_among_the_runs_of_this_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "a").mkdir(parents=True)
    assert run_at("a", tmp_path / "cache")[1].path == tmp_path / "runs" / "a"
    (tmp_path / "a").mkdir()  # what stands there goes first
    assert run_at("a", tmp_path / "cache")[1].path == tmp_path / "a"
    assert run_at("b", tmp_path / "cache")[1].path == tmp_path / "b"


def test_a_run_is_resumed_by_its_folder_or_url_as_well_as_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for place in ("elsewhere/a", "runs/a", "a"):
        RunFolder(tmp_path / place).path.mkdir(parents=True)
        RunFolder(tmp_path / place).write_search(SEARCH)
    cache = {"cache": tmp_path / "cache"}
    for word, path in {
        "a": "runs/a",
        "./a": "a",
        "runs/a/": "runs/a",
        f"{tmp_path}/elsewhere/a": "elsewhere/a",
    }.items():
        assert run_to_resume({"resume": word, **cache})[1].path.resolve() == tmp_path / path
    for storage, word in (
        (tmp_path / "elsewhere", "elsewhere/a"),
        ("elsewhere", "a"),
        ("elsewhere", f"{tmp_path}/elsewhere/a"),
    ):
        found = run_to_resume({"resume": word, "storage": str(storage), **cache})[1]
        assert found.path.resolve() == tmp_path / "elsewhere/a"
    for storage, word in (("runs", "elsewhere/a"), ("s3://b/runs", "elsewhere/a"), ("elsewhere", "file:///b/c")):
        with pytest.raises(UserError, match=f"--storage {storage}: --resume {word} is not in it"):
            run_to_resume({"resume": word, "storage": storage, **cache})
    with pytest.raises(UserError, match=r"/elsewhere/b: no run here"):
        Storage.held(*run_to_resume({"resume": "elsewhere/b", **cache}), print).__enter__()
    monkeypatch.chdir(tmp_path / "a")
    assert run_to_resume({"resume": ".", **cache})[1].path == tmp_path / "a"
    assert run_to_resume({"resume": "file:///b/c", **cache})[1].mirror.url == "file:///b/c"


def test_the_copy_of_a_run_under_a_url_is_not_resumed_behind_its_back(tmp_path):
    cache = tmp_path / "cache"
    copy = run_to_resume({"resume": "file:///b/c", "cache": cache})[1]
    copy.path.mkdir(parents=True)
    copy.write_search(SEARCH)
    with pytest.raises(UserError, match="a copy of a run that is kept under a URL"):
        run_to_resume({"resume": str(copy.path), "cache": cache})


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
