import time

import pytest

from tune import progress
from tune.progress import Counter, clock, say


class Clock:
    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def passing(monkeypatch):
    found = Clock()
    monkeypatch.setattr(time, "monotonic", found.monotonic)
    return found


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0:00"), (0.4, "0:00"), (65, "1:05"), (3599.6, "1:00:00"), (7389, "2:03:09")]
)
def test_a_clock_shows_minutes_and_seconds_and_hours_where_there_are_any(seconds, text):
    assert clock(seconds) == text


def test_counted_work_foretells_its_end_from_what_is_done_but_not_from_the_first_piece_alone(passing, capsys):
    count = Counter("faces")
    for second, done in ((102, 1), (104, 20), (110, 40), (112, 60), (116, 100)):
        passing.now = second
        count(done, 100)
    assert capsys.readouterr().out.splitlines() == [
        "faces: 1/100, 0:02",
        "faces: 40/100, about 0:15 left",
        "faces: 100/100, 0:16",
    ]


def test_counted_work_that_ends_within_a_second_says_nothing(passing, capsys):
    count = Counter("faces")
    passing.now += progress.EVERY_SECONDS / 10
    count(100, 100)
    assert capsys.readouterr().out == ""


def test_on_a_terminal_what_is_said_takes_the_place_of_the_line_under_way(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    say("trial 1 failed: why")
    assert capsys.readouterr().out == "\r\x1b[Ktrial 1 failed: why\n"


def test_elsewhere_what_is_said_is_a_plain_line(capsys):
    say("trial 1 failed: why")
    assert capsys.readouterr().out == "trial 1 failed: why\n"
