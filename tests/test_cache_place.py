"""The cache folder is one place, whatever it is called and wherever a process stands."""

import argparse
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import ray
from doors import in_process
from finished_run import write_run
from ray.exceptions import RayTaskError

from core.cache_folder import cache_folder, default_cache, kept_cache
from core.faces import load_drawn_faces
from core.patience import AwayError
from core.splits import split_faces
from core.winner import read_winners
from search_spaces.catalogue import find_space
from tune import depot, engine
from tune.depot import Depot
from tune.options import add_place_options, kept_places, take_up
from tune.plan import Plan
from tune.profile import Profile, settled_space


@pytest.fixture
def no_ray(monkeypatch):
    """Ray's names that a depot needs, without a Ray."""
    context = SimpleNamespace(get_node_id=lambda: "a" * 56, get_job_id=lambda: "01000000")
    shelf = SimpleNamespace(options=lambda **_: SimpleNamespace(remote=lambda files: files))
    monkeypatch.setattr(ray, "get_runtime_context", lambda: context)
    monkeypatch.setattr(ray, "remote", lambda _: shelf)
    monkeypatch.setattr(depot, "NodeAffinitySchedulingStrategy", lambda *_, **__: None)
    return context


def mapped(cache: Path) -> Path:
    """A file of the cache by the name that numpy has for it."""
    folder = cache / "faces-1"
    folder.mkdir(parents=True)
    np.save(folder / "images.npy", np.zeros(3))
    return Path(np.load(folder / "images.npy", mmap_mode="r").filename)


def test_an_option_of_a_relative_folder_is_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    parser = argparse.ArgumentParser()
    add_place_options(parser, "x")
    assert parser.parse_args(["--cache", "data/cache"]).cache == Path.cwd() / "data" / "cache"


@pytest.mark.parametrize(
    ("named", "found"),
    [("cache", "HERE/cache"), ("a/../b", "HERE/b"), ("~/x", "HOME/x"), ("~nobody-here/x", "HERE/~nobody-here/x")],
)
def test_a_named_cache_is_absolute_and_its_links_are_for_each_node_to_follow(tmp_path, monkeypatch, named, found):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "cache").symlink_to(tmp_path / "scratch")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("TANDEM_CACHE", named)
    places = {"HERE": str(Path.cwd()), "HOME": str(tmp_path / "home")}
    for word, place in places.items():
        found = found.replace(word, place)
    assert default_cache() == cache_folder(named) == Path(found)


@pytest.mark.parametrize("way", ["plain", "relative", "link"])
def test_a_depot_knows_its_files_however_the_cache_is_named(tmp_path, monkeypatch, no_ray, way):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.chdir(tmp_path)
    cache = {"plain": tmp_path / "real", "relative": Path("real"), "link": tmp_path / "link"}[way]
    path = mapped(cache)
    found = Depot([path], cache, None)
    assert found.names == {str(path): "faces-1/images.npy"}
    assert found.local(path) == path


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PermissionError(13, "Permission denied"), "Permission denied.*: mend that, or leave that node out"),
        (OSError(28, "No space left on device"), "No space left.*: make room there"),
        (ray.exceptions.RayActorError(), "cannot be fetched from the driver's machine .*--resume the run"),
        (
            RayTaskError(
                "piece", "ray::Shelf.piece()\n  File x\nFileNotFoundError: images.npy", FileNotFoundError()
            ).as_instanceof_cause(),
            r"cannot be fetched from the driver's machine \(FileNotFoundError: images.npy\)",
        ),
    ],
)
def test_no_trial_is_to_blame_for_a_file_that_does_not_come(tmp_path, monkeypatch, no_ray, error, words):
    found = Depot([mapped(tmp_path / "cache")], tmp_path / "cache", tmp_path / "node")
    [name] = found.names
    Path(name).unlink()

    def fails(*_):
        raise error

    monkeypatch.setattr(found, "_fetch", fails)
    with pytest.raises(AwayError, match=words):
        found.local(Path(name))


def test_weights_are_put_into_rays_store_once_for_each_ray(monkeypatch, no_ray):
    put = []
    monkeypatch.setattr(engine, "_STORED", {})
    monkeypatch.setattr(ray, "put", lambda value: put.append(value) or f"place {len(put)}")
    first, second = object(), object()
    assert [engine.stored(one) for one in (first, first, second, first)] == ["place 1", "place 1", "place 2", "place 1"]
    no_ray.get_node_id = lambda: "b" * 56  # another Ray, whose store is empty
    assert engine.stored(first) == "place 3"
    assert put == [first, second, first]


def test_a_run_that_is_resumed_has_the_cache_that_it_was_begun_with_unless_told_otherwise(tmp_path):
    given = {"resume": "a", "trial_timeout": None}
    take_up(given, kept_places({"cache": tmp_path, "trial_timeout": 60.0}, {}))
    assert given["cache"] == tmp_path
    other = {"cache": tmp_path / "other"}
    take_up(other, kept_places({"cache": tmp_path, "trial_timeout": 60.0}, {}))
    assert other == {"cache": tmp_path / "other", "trial_timeout": 60.0}


def test_a_cache_that_was_not_named_or_is_not_here_is_each_machines_own(tmp_path):
    for recorded in ({}, {"cache": None}, {"cache": str(tmp_path / "on another machine")}):
        given = {}
        take_up(given, recorded)
        assert "cache" not in given


def test_a_final_test_reads_the_faces_that_its_search_has_decoded(tmp_path, weights, monkeypatch):
    faces = load_drawn_faces(40, 0, tmp_path / "scratch")
    split = split_faces(faces.gender, faces.identity, 0)
    space = settled_space(find_space("gender"), Profile.FAST, {}).to_json()
    plan = Plan(space=space, profile=Profile.FAST, drawn_faces=40).to_json()
    run = write_run(tmp_path / "runs" / "first", faces, split, weights, {"gender": "gender"}, plan)
    (read_winners(run)[0].folders[0] / "weights.safetensors").write_bytes(b"")  # so that it ends once faces are read
    recorded = json.loads(run.search.read_text())
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "own"))
    for cache, drawn_again in ((str(tmp_path / "scratch"), False), (None, True)):
        run.search.write_text(json.dumps({**recorded, "cache": cache}))
        assert in_process("final_test.py", run.path).returncode == 2
        assert (tmp_path / "own").exists() == drawn_again


def test_a_cache_that_is_away_while_a_run_is_resumed_is_not_forgotten(tmp_path):
    away = {"cache": str(tmp_path / "away"), "trial_timeout": None}
    given = {}
    take_up(given, away)
    assert kept_places(given, away)["cache"] == away["cache"]
    assert kept_places({"cache": tmp_path}, away)["cache"] == str(tmp_path)


def test_a_cache_that_cannot_be_written_is_left_to_its_owner(tmp_path, monkeypatch):
    assert kept_cache({"cache": str(tmp_path)}) == tmp_path
    monkeypatch.setattr("os.access", lambda *_: False)
    assert kept_cache({"cache": str(tmp_path)}) is None
