import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tune import progress
from tune.progress import Counter, Progress, clock, say


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


def test_the_line_under_way_fits_into_a_row_of_the_terminal_and_the_last_one_is_whole(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((20, 24)))
    shown = []
    with Progress(lambda: shown.append(1) or "search 3/16 trials, 25 epochs"):
        while len(shown) < 2:  # by then the first has been printed
            time.sleep(0.05)
    *under_way, last = capsys.readouterr().out.split("\r\x1b[K")[1:]
    assert under_way == ["search 3/16 trials,"] * len(under_way)
    assert under_way
    assert last == "search 3/16 trials, 25 epochs\n"


def test_what_ends_work_stands_in_a_line_of_its_own(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    shown = []

    def damaged():
        with Progress(lambda: shown.append(1) or "checking weights, 2/6"):
            while not shown:
                time.sleep(0.05)
            raise ValueError("damaged")

    with pytest.raises(ValueError, match="damaged"):
        damaged()
    assert capsys.readouterr().out.endswith("checking weights, 2/6\n")


WORK = """
from core.errors import run_script
from tune.progress import say

def main():
    for number in range(20000):
        say(f"line {{number}}")
    open({done!r}, "w").write("done")
    {last}

run_script(main)
"""


BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device here that is always full")


@pytest.mark.parametrize(
    ("last", "code"),
    [
        ("pass", 0),
        ("print('x' * 10**6)", 0),
        pytest.param("open('/dev/full', 'w').write('x' * 10**6)", 2, marks=FULL),
    ],
)
def test_work_goes_on_when_nobody_reads_what_it_says_any_more(tmp_path, last, code):
    """As piped into head, or into tee when Ctrl-C ends both."""
    done = tmp_path / "done"
    script = WORK.format(done=str(done), last=last)
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"line 0\n"
        process.stdout.close()
        told = process.stderr.read()
        assert process.wait(60) == code
    assert done.read_text() == "done"
    assert b"Traceback" not in told


@FULL
def test_work_goes_on_where_what_it_says_finds_no_room(tmp_path):
    """As into the log of a batch job, on a disk that is full."""
    done = tmp_path / "done"
    script = WORK.format(done=str(done), last="pass")
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-c", script], stdout=full, stderr=subprocess.PIPE, timeout=60, check=False, env=BUFFERED
        )
    assert done.read_text() == "done"
    assert (ended.returncode, ended.stderr) == (2, b"error: No space left on device\n")  # as of any program


@FULL
@pytest.mark.parametrize(
    ("raised", "code", "told"),
    [("UserError('what: the rule')", 2, b"error: what: the rule\n"), ("KeyboardInterrupt", 130, b"interrupted\n")],
)
def test_an_end_is_told_though_nothing_more_can_be_said_on_stdout(raised, code, told):
    script = f"""
from core.errors import UserError, run_script
def main():
    print("half a line", end="")
    raise {raised}
run_script(main)
"""
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-c", script], stdout=full, stderr=subprocess.PIPE, timeout=60, check=False, env=BUFFERED
        )
    assert (ended.returncode, ended.stderr) == (code, told)


def test_a_script_that_prints_into_a_closed_pipe_ends_as_others_do_and_without_a_traceback():
    script = "from core.errors import run_script\nrun_script(lambda: [print('x' * 1000) for _ in range(10**5)])"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        told = process.stderr.read()
        assert process.wait(60) == 141
    assert told == b""
