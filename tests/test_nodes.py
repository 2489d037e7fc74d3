"""Looking at a cluster's nodes; tests/test_hosts.py does it on several hosts."""

from pathlib import Path

import pytest

import core
from tune.machine import Workers
from tune.nodes import can_train, look, own_code


def test_a_node_that_sees_the_marker_has_no_problem_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / ".seen-1").touch()
    assert look(str(tmp_path), None, ".seen-1")["problem"] == ""
    assert [path.name for path in tmp_path.iterdir()] == [".seen-1"]


def test_a_node_without_the_marker_or_the_folder_says_so(tmp_path: Path) -> None:
    assert "does not see" in look(str(tmp_path), None, ".seen-1")["problem"]
    assert "does not see" in look(str(tmp_path / "none"), None, ".seen-1")["problem"]


@pytest.mark.parametrize(
    ("nodes", "can"),
    [
        ([], False),
        ([(True, {"CPU": 8.0})], False),  # the head, without a GPU
        ([(True, {"CPU": 8.0}), (True, {"CPU": 8.0, "GPU": 1.0})], True),
        ([(True, {"CPU": 8.0}), (False, {"CPU": 8.0, "GPU": 1.0})], False),
        ([(True, {"CPU": 2.0, "GPU": 1.0})], False),
    ],
)
def test_whether_a_node_is_there_on_which_a_worker_fits(monkeypatch: pytest.MonkeyPatch, nodes, can) -> None:
    found = [{"Alive": alive, "Resources": has} for alive, has in nodes]
    monkeypatch.setattr("tune.nodes.ray.nodes", lambda: found)
    assert can_train(Workers(4, 4, 1.0)) is can


def test_a_changed_line_changes_the_digest_of_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = own_code()
    copy = tmp_path / "core"
    copy.mkdir()
    for path in Path(core.__path__[0]).glob("*.py"):
        (copy / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(core, "__path__", [str(copy)])
    assert own_code() == before
    (copy / "losses.py").write_text((copy / "losses.py").read_text() + "\n")
    assert own_code() != before
