"""A terminal that goes away while it shows a search: ssh was cut off, or its window closed."""

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.run_folder import RunFolder

SCRIPT = Path(__file__).parents[1] / "scripts" / "search.py"
WORDS = ["--space", "multitask", "--drawn-faces", "40", "--trials", "60", "--epochs", "30", "--name", "a"]
WINNERS = ["--retrain-epochs", "1", "--retrain-seeds", "1"]


def processes_of(folder: Path) -> str:
    """Of this search, Ray's among them: all have its storage or its place in their environment."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if f"TANDEM_TEST={folder}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:80])
        except OSError:  # it has just ended
            continue
    return "\n".join(found)


@pytest.mark.slow
def test_a_search_whose_terminal_is_closed_ends_tidily_with_all_of_its_processes(
    tmp_path: Path, cache: Path, weights_file: Path
) -> None:
    place = ["--storage", str(tmp_path), "--cache", str(cache), "--weights", str(weights_file)]
    pid, terminal = pty.fork()
    if pid == 0:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may have been started with nohup
        words = [sys.executable, str(SCRIPT), *WORDS, *WINNERS, *place]
        os.execve(sys.executable, words, {**os.environ, "TANDEM_TEST": str(tmp_path)})
    shown = b""
    while b"2 epochs" not in shown and len(shown) < 100_000:
        shown += os.read(terminal, 4096)
    assert "search.py" in processes_of(tmp_path)
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 130
    deadline = time.monotonic() + 30
    while processes_of(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert processes_of(tmp_path) == ""
    run = RunFolder(tmp_path / "a")
    assert run.curves.read_text().count("\n") >= 2
    words = [sys.executable, str(SCRIPT), "--resume", "a", *place, "--trials", "1", "--address", "local"]
    again = subprocess.run([*words, "--time-budget", "1"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "run " in again.stdout, again.stderr
