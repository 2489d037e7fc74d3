"""Real searches on tiny drawn faces, for tests that do something to them."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

ROOT = Path(__file__).parents[1]
COMMON = ["--drawn-faces", "40", "--weights", "random", "--workers", "1", "--set", "head_width=8", "frozen_blocks=5"]
COMMON += ["precision=fp32"]  # each new cache would time this CPU, beside others maybe
RUNS_TRIALS = re.compile("ray::(SearchTrial|ResourceTrainable|RetrainTrial)")


def command(storage: object, cache: object, *words: str) -> list[str]:
    return [sys.executable, "scripts/search.py", "--storage", str(storage), "--cache", str(cache), *words]


def run(words: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False, **options)


class Running:
    """A search under way; what it says is kept in a file, so that a test can read it as it comes."""

    def __init__(self, words: list[str], said: Path, **options: Any) -> None:
        self.path = said
        with said.open("w") as out:
            self.process = subprocess.Popen(
                words, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, text=True, start_new_session=True, **options
            )

    @property
    def said(self) -> str:
        return self.path.read_text()

    def until(self, condition: Callable[[], object], seconds: float = 120) -> None:
        """Wait for something that happens while the search runs."""
        deadline = time.monotonic() + seconds
        while not condition():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise AssertionError(f"exit code {self.process.poll()}: {self.said}")
            time.sleep(0.02)

    def end(self, code: int = 0, seconds: float = 240) -> str:
        """Wait for its end; what it said."""
        try:
            found = self.process.wait(seconds)
        finally:
            self.stop()
        assert found == code, self.said
        assert "Traceback" not in self.said, self.said
        return self.said

    def kill(self) -> None:
        """End it in its middle, as no program can prevent.

        Raises:
            AssertionError: it had ended by itself.
        """
        assert self.process.poll() is None, self.said
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Leave no process behind."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def epochs_of(folder: Path) -> int:
    """Epochs of a run that have been written down."""
    curves = folder / "curves.csv"
    return max(0, len(curves.read_text().splitlines()) - 1) if curves.exists() else 0


def hears_ctrl_c() -> None:
    """For a new process: a shell's background job may ignore SIGINT, and its children would with it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def without_times(path: Path) -> pd.DataFrame:
    return pd.read_csv(path).drop(columns="seconds")


def assert_same_results(one: Path, other: Path) -> None:
    """Two runs have the same trials and winners, but for the time that they took."""
    pd.testing.assert_frame_equal(without_times(one / "trials.csv"), without_times(other / "trials.csv"))
    pd.testing.assert_frame_equal(pd.read_csv(one / "winners.csv"), pd.read_csv(other / "winners.csv"))


def processes_below(driver: int) -> dict[int, str]:
    """Number and command line of every process that this one started, and they in turn."""
    parents, names = {}, {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            stat = (entry / "stat").read_text()
            names[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
        except OSError:  # it ended while we looked
            continue
        parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])

    def below(pid: int) -> bool:
        while pid in parents:
            pid = parents[pid]
            if pid == driver:
                return True
        return False

    return {pid: name for pid, name in names.items() if below(pid)}


def workers_below(driver: int) -> list[int]:
    """Processes of this driver's private Ray that run trials."""
    return [pid for pid, name in processes_below(driver).items() if RUNS_TRIALS.search(name)]
