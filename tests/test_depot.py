"""What a node fetches from the driver's machine, with a store in place of Ray's."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import ray

from core.patience import AwayError
from tune import depot
from tune.depot import Depot, Shelf


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A depot of one file of the driver's cache, which this node does not see."""
    source = tmp_path / "driver" / "activations-x" / "activations.npy"
    source.parent.mkdir(parents=True)
    source.write_bytes(bytes(range(256)) * 5)
    shelf = Shelf({"activations-x/activations.npy": source})
    remote = {name: SimpleNamespace(remote=getattr(shelf, name)) for name in ("size", "piece")}
    found = object.__new__(Depot)
    found.names = {"/elsewhere/activations.npy": "activations-x/activations.npy"}
    found.everywhere, found.shelf = tmp_path / "node", SimpleNamespace(**remote)
    monkeypatch.setattr(ray, "get", lambda value: value)
    monkeypatch.setattr(depot, "CHUNK", 100)
    return found, source


def test_a_file_is_fetched_piece_by_piece_once_and_kept(made, tmp_path):
    found, source = made
    target = found.local(Path("/elsewhere/activations.npy"))
    assert target == tmp_path / "node" / "fetched" / "activations-x" / "activations.npy"
    assert target.read_bytes() == source.read_bytes()
    source.unlink()
    assert found.local(Path("/elsewhere/activations.npy")) == target


def test_what_this_node_sees_is_not_fetched(made):
    found, source = made
    assert found.local(source) == source


def test_a_node_without_room_ends_no_trial_and_leaves_nothing_half_fetched(made, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tune.depot.reserve", full)
    with pytest.raises(AwayError, match=r"cannot be kept on node .*No space left on device.*--resume"):
        made[0].local(Path("/elsewhere/activations.npy"))
    assert [
        path.name for path in (tmp_path / "node" / "fetched" / "activations-x").iterdir() if path.suffix != ".lock"
    ] == []
