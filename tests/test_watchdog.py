import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYTHON = "import time; from tune.watchdog import watched\nwith watched({seconds}): {work}\nprint('went on')"
HOLDS_THE_LOCK = "__import__('re').match('(a+)+$', 'a' * 40 + 'b')"  # minutes within one call that lets nobody else run


def run(seconds, work):
    words = [sys.executable, "-c", PYTHON.format(seconds=seconds, work=work)]
    start = time.monotonic()
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    return done, time.monotonic() - start


@pytest.mark.parametrize("work", ["time.sleep(50)", HOLDS_THE_LOCK], ids=["sleeps", "holds Python's lock"])
def test_a_process_that_hangs_ends_and_says_where(work):
    done, seconds = run(1, work)
    assert done.returncode == 1
    assert "went on" not in done.stdout
    assert "Timeout" in done.stderr
    assert seconds < 30


@pytest.mark.parametrize("seconds", [5, None])
def test_work_that_ends_in_time_is_not_disturbed(seconds):
    done, _ = run(seconds, "time.sleep(0.1)")
    assert (done.returncode, done.stdout, done.stderr) == (0, "went on\n", "")


def test_the_watch_ends_with_the_block():
    done, _ = run(1, "pass\ntime.sleep(1.5)")
    assert (done.returncode, done.stdout) == (0, "went on\n")
