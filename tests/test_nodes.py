"""Looking at a cluster's nodes; tests/test_hosts.py does it on several hosts."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from ray.exceptions import GetTimeoutError, NodeDiedError, RayError, TaskUnschedulableError

import core
from core.errors import UserError
from core.mirror import Mirror
from core.urls import below
from tune import nodes
from tune.machine import Workers
from tune.nodes import _answer, can_train, look, own_code, wait_for_nodes


def test_a_node_that_sees_the_marker_has_no_problem_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / ".seen-1").touch()
    assert look(str(tmp_path), None, ".seen-1")["problem"] == ""
    assert [path.name for path in tmp_path.iterdir()] == [".seen-1"]


def test_a_node_without_the_marker_or_the_folder_says_so(tmp_path: Path) -> None:
    assert "does not see" in look(str(tmp_path), None, ".seen-1")["problem"]
    assert "does not see" in look(str(tmp_path / "none"), None, ".seen-1")["problem"]


def test_a_node_that_sees_the_marker_under_a_url_has_no_problem_and_leaves_nothing(tmp_path: Path, place: str) -> None:
    driver = Mirror(tmp_path / "driver", place)
    driver.write("run/.seen-1", b"by the driver")
    seen = look(str(tmp_path / "node"), below(place, "run"), ".seen-1")
    assert seen["problem"] == ""
    assert [driver.there.name_of(info) for info in driver.there.files("")] == ["run/.seen-1"]


def test_a_node_that_does_not_see_what_is_under_a_url_or_cannot_write_there_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    assert "does not see" in look(str(tmp_path / "node"), f"file://{tmp_path}/there", ".seen-1")["problem"]
    assert list((tmp_path / "there").iterdir()) == []
    problem = look(str(tmp_path / "node"), f"file://{tmp_path}/file/run", ".seen-1")["problem"]
    assert problem
    assert "does not see" not in problem
    assert "no file system" in look(str(tmp_path / "node"), "nonsense://bucket/run", ".seen-1")["problem"]


@pytest.mark.parametrize(
    ("there", "can"),
    [
        ([], False),
        ([(True, {"CPU": 8.0})], False),  # the head, without a GPU
        ([(True, {"CPU": 8.0}), (True, {"CPU": 8.0, "GPU": 1.0})], True),
        ([(True, {"CPU": 8.0}), (False, {"CPU": 8.0, "GPU": 1.0})], False),
        ([(True, {"CPU": 2.0, "GPU": 1.0})], False),
    ],
)
def test_whether_a_node_is_there_on_which_a_worker_fits(monkeypatch: pytest.MonkeyPatch, there, can) -> None:
    found = [{"Alive": alive, "Resources": has} for alive, has in there]
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


NODE = {"NodeID": "b", "Alive": True, "NodeManagerHostname": "worker-1", "NodeManagerAddress": "10.0.0.2"}
DRIVER = {"NodeID": "a", "Alive": True}


def answered(monkeypatch: pytest.MonkeyPatch, get, alive=(DRIVER, NODE)) -> dict[str, str] | None:
    """What comes of a node whose task ``get`` gets or not, in a cluster that has these nodes by then."""
    gone = {"NodeID": "c", "Alive": False}
    monkeypatch.setattr(nodes, "ray", SimpleNamespace(get=get, nodes=lambda: [*alive, gone]))
    return _answer(NODE, "task")


def raises(error: Exception):
    def get(*_: object, **__: object) -> None:
        raise error

    return get


def test_a_node_is_given_two_minutes_to_say_what_it_has_to_say(monkeypatch) -> None:
    found = {"versions": "v", "problem": ""}
    asked = []
    assert answered(monkeypatch, lambda task, timeout: asked.append((task, timeout)) or found) == found
    assert asked == [("task", 120.0)]


@pytest.mark.parametrize("error", [TaskUnschedulableError("no such node"), NodeDiedError("it died")], ids=repr)
def test_a_node_that_was_lost_is_no_error(monkeypatch, error: Exception) -> None:
    assert answered(monkeypatch, raises(error)) is None


def test_a_node_that_does_not_answer_in_time_is_named_unless_it_was_lost_meanwhile(monkeypatch) -> None:
    late = raises(GetTimeoutError("too long"))
    with pytest.raises(UserError, match=r"^node worker-1 \(10\.0\.0\.2\): must answer within 120 s, it did not$"):
        answered(monkeypatch, late)
    assert answered(monkeypatch, late, alive=[DRIVER]) is None
    assert answered(monkeypatch, late, alive=[DRIVER, NODE | {"Alive": False}]) is None


def test_a_node_without_tandem_is_named_with_the_last_line_of_what_went_wrong(monkeypatch) -> None:
    error = RayError("ray::look()\n  File ...\nModuleNotFoundError: No module named 'tune'\n\n")
    with pytest.raises(UserError) as told:
        answered(monkeypatch, raises(error))
    assert str(told.value) == (
        "node worker-1 (10.0.0.2): Tandem must be installed there as it is here "
        "(ModuleNotFoundError: No module named 'tune')"
    )


def waited(monkeypatch: pytest.MonkeyPatch, alive_after: dict[int, int], least: int, seconds: float):
    """What is said, and how long it took, where so many nodes are alive from each of these seconds on."""
    clock = SimpleNamespace(now=100.0)
    clock.monotonic = lambda: clock.now
    clock.sleep = lambda seconds: setattr(clock, "now", clock.now + seconds)

    def alive() -> list[dict[str, bool]]:
        count = max((second, n) for second, n in alive_after.items() if second <= clock.now - 100)[1]
        return [{"Alive": True}] * count + [{"Alive": False}] * 5

    monkeypatch.setattr(nodes, "time", clock)
    monkeypatch.setattr(nodes, "ray", SimpleNamespace(nodes=alive))
    said: list[str] = []
    wait_for_nodes(least, seconds, said.append)
    return said, clock.now - 100


def test_a_cluster_that_is_being_started_is_waited_for_and_each_change_is_said(monkeypatch) -> None:
    said, took = waited(monkeypatch, {0: 1, 3: 2, 5: 4}, 4, 60)
    assert said == ["waiting for nodes: 1 of 4 are there", "waiting for nodes: 2 of 4 are there; 3 of at most 60 s"]
    assert took == 5


def test_where_nodes_do_not_come_it_is_said_again_now_and_then_and_gone_on_without_them(monkeypatch) -> None:
    said, took = waited(monkeypatch, {0: 1}, 3, 40)
    waiting = "waiting for nodes: 1 of 3 are there"
    again = [f"{waiting}; 15 of at most 40 s", f"{waiting}; 30 of at most 40 s"]
    assert said == [waiting, *again, "going on with 1 of 3 nodes"]
    assert took == 40


def test_a_cluster_that_is_there_is_not_waited_for(monkeypatch) -> None:
    assert waited(monkeypatch, {0: 3}, 3, 60) == ([], 0)
