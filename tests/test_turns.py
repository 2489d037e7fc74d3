"""Of processes that want the same thing made one makes it, and the others say that they wait."""

import threading
from pathlib import Path

from core import turns
from core.faces import load_drawn_faces
from core.turns import alone
from tune.progress import Counter


def test_who_waits_says_so_until_the_other_is_done(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(turns, "LOOK_SECONDS", 0.02)
    heard, inside, enough = [], threading.Event(), threading.Event()

    def other() -> None:
        with alone(tmp_path / "lock"):
            inside.set()
            assert enough.wait(10)

    def hear(done: int, total: int) -> None:
        heard.append((done, total))
        if len(heard) == 3:
            enough.set()

    holder = threading.Thread(target=other)
    holder.start()
    assert inside.wait(10)
    with alone(tmp_path / "lock", hear):
        holder.join(10)
    assert set(heard) == {(0, 0)}
    assert len(heard) >= 3


def test_who_need_not_wait_says_nothing(tmp_path: Path) -> None:
    heard = []
    with alone(tmp_path / "lock", lambda *counts: heard.append(counts)):
        pass
    assert heard == []


def test_a_lock_is_let_go_when_the_work_fails(tmp_path: Path) -> None:
    for _ in range(2):
        try:
            with alone(tmp_path / "lock"):
                raise KeyError
        except KeyError:
            pass


def test_faces_that_another_process_draws_are_waited_for_aloud(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(turns, "LOOK_SECONDS", 0.02)
    heard = []
    load_drawn_faces(20, 1, tmp_path / "other")
    [lock] = (tmp_path / "other").glob("*.lock")
    (tmp_path / "cache").mkdir()
    held, done = threading.Event(), threading.Event()

    def other() -> None:
        with alone(tmp_path / "cache" / lock.name):
            held.set()
            done.wait(10)

    threading.Thread(target=other).start()
    assert held.wait(10)

    def hear(count: int, total: int) -> None:
        heard.append((count, total))
        done.set()

    assert len(load_drawn_faces(20, 1, tmp_path / "cache", hear)) == 20
    assert heard[0] == (0, 0)
    assert heard[-1] == (20, 20)


def test_a_counter_tells_it_in_words_and_not_each_second(monkeypatch, capsys) -> None:
    now = [0.0]
    monkeypatch.setattr("tune.progress.time.monotonic", lambda: now[0])
    counter = Counter("decoding faces")
    for second in range(12):
        now[0] = float(second)
        counter(0, 0)
    assert capsys.readouterr().out.splitlines() == [
        "decoding faces: another process is at it, 0:01",
        "decoding faces: another process is at it, 0:06",
        "decoding faces: another process is at it, 0:11",
    ]
