"""Whole searches that keep their runs on S3: undisturbed, killed, and with storage that goes away for a while."""

import os
import re
import shlex
import shutil
import signal
import sys
import time

import pytest
from doors import in_process, without_ray
from outage import Door
from real_search import COMMON, Running, assert_same_results, command, epochs_of, hears_ctrl_c, run

from core.mirror import Mirror
from core.urls import below

pytestmark = [pytest.mark.slow, pytest.mark.cluster]
OPTIONS = ["--space", "gender", *COMMON, "--seed", "5", "--trials", "30", "--epochs", "6"]
OPTIONS += ["--retrain-epochs", "20", "--retrain-seeds", "1"]
AWAY_SECONDS = float(os.environ.get("TANDEM_AWAY_SECONDS", "3"))  # from when the search has noticed
NOTICED = ("storage away since", "; trying again for up to")


@pytest.fixture(scope="module")
def options(weights_file):
    return [*OPTIONS, "--weights", str(weights_file)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory, cache, options):
    """The folder of a search that nobody disturbed, on this machine's disk."""
    storage = tmp_path_factory.mktemp("alone")
    done = run(command(storage, cache, "--name", "a", *options))
    assert done.returncode == 0, done.stderr
    return storage / "a"


@pytest.fixture
def door(s3):
    """A door before the S3 server, and the URL that leads through it."""
    port = int(re.search(r"127\.0\.0\.1:(\d+)", s3).group(1))
    door = Door(port)
    yield door, s3.replace(f":{port}", f":{door.port}")
    door.shut()


def fetched(url, folder):
    """What storage has of a run."""
    mirror = Mirror(folder, below(url, "a"))
    mirror.pull()
    return folder


def copy(cache):
    """The working copy of the run in the driver's cache."""
    return next(iter(cache.glob("runs/*/a")), cache / "none")


def epochs(cache):
    return epochs_of(copy(cache))


def go_away(door, search):
    """Shut the door until the search has said so, and for a while longer: it looks only every few seconds."""
    before = len(search.said)
    door.shut()
    search.until(lambda: any(text in search.said[before:] for text in NOTICED))
    time.sleep(AWAY_SECONDS)
    door.unlock()


def own_cache(cache, folder):
    """A copy of the cache, as another machine would have it."""
    unwanted = re.compile("runs|random-filters-.*")
    return shutil.copytree(cache, folder, ignore=lambda _, names: filter(unwanted.fullmatch, names))


def nobody_else_works_on_it(place, cache, options):
    """A second search of the run's name, and a second resume, are refused in one line."""
    for words, reason in (
        (
            ["--name", "a", *options],
            "/a.* exists; choose another --name, or go on with it: python .*search.py --resume a --storage",
        ),
        (["--resume", "a"], "another process is working on this run"),
    ):
        second = without_ray("search.py", *command(place, cache, *words)[2:])
        assert second.returncode == 2
        assert re.search(reason, second.stderr)
        assert len(second.stderr.strip().splitlines()) == 1


def test_storage_that_goes_away_during_search_and_retraining_costs_nothing(tmp_path, cache, options, alone, door, s3):
    (door, url), here = door, own_cache(cache, tmp_path / "cache")
    place, plain = below(url, tmp_path.name), below(s3, tmp_path.name)
    search = Running(command(place, here, "--name", "a", *options), tmp_path / "said")
    search.until(lambda: epochs(here))
    nobody_else_works_on_it(plain, tmp_path / "other", options)
    search.until(lambda: epochs(here) >= 10)
    go_away(door, search)
    search.until(lambda: list(copy(here).glob("winners/gender/*")) or "retraining" in search.said)
    go_away(door, search)
    search.end()
    there = fetched(plain, tmp_path / "there")
    assert_same_results(there, alone)
    assert (there / "winners/gender/seed-0/config.json").is_file()
    tested = in_process("final_test.py", below(plain, "a"), "--cache", tmp_path / "elsewhere")
    assert tested.returncode == 0, tested.stderr
    assert Mirror(tmp_path, below(plain, "a")).read("test/report.html")


def test_a_search_on_s3_is_interrupted_gone_on_with_killed_and_gone_on_with_on_another_machine(
    tmp_path, cache, options, alone, s3
):
    here, place = own_cache(cache, tmp_path / "cache"), below(s3, tmp_path.name)
    words = command(place, here, "--name", "a", *options)
    search = Running(words, tmp_path / "said", preexec_fn=hears_ctrl_c)
    search.until(lambda: epochs(here) >= 10)
    os.killpg(search.process.pid, signal.SIGINT)
    said = search.end(130)
    again = shlex.split(re.search("Go on with: (.*)", said).group(1))
    assert again == ["python", "scripts/search.py", "--resume", "a", "--storage", place, "--cache", str(here)]

    before = epochs(here)
    search = Running([sys.executable, *again[1:]], tmp_path / "said again")
    search.until(lambda: epochs(here) >= before + 10)
    search.kill()
    assert epochs(here) < epochs_of(alone)
    other = own_cache(cache, tmp_path / "other")  # it does not have what was not copied yet, and trains that again
    resumed = run(command(place, other, "--resume", "a"))
    assert resumed.returncode == 0, resumed.stderr
    assert_same_results(fetched(place, tmp_path / "there"), alone)


def test_two_searches_begun_together_with_one_empty_cache_both_come_out_as_alone(tmp_path, options, alone):
    cache = tmp_path / "cache"
    pair = [
        Running(command(tmp_path / name, cache, "--name", "a", *options), tmp_path / f"said-{name}")
        for name in ("one", "two")
    ]
    for search in pair:
        search.end()
    for name in ("one", "two"):
        assert_same_results(tmp_path / name / "a", alone)
    kinds = [path.name.partition("-")[0] for path in cache.iterdir() if path.is_dir()]
    assert sorted(kinds) == ["activations", "faces"]  # one of each: the second search read what the first had made


def test_two_searches_begun_together_with_one_name_end_with_one_whole_run(tmp_path, cache, options, alone):
    words = command(tmp_path, cache, "--name", "a", *options)
    pair = [Running(words, tmp_path / f"said-{number}") for number in (1, 2)]
    codes = [search.process.wait(240) for search in pair]
    assert sorted(codes) == [0, 2], [search.said for search in pair]
    loser = pair[codes.index(2)].said
    assert "exists; choose another --name" in loser or "another process is working on this run" in loser
    assert "Traceback" not in loser
    assert_same_results(tmp_path / "a", alone)
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".partial")]
