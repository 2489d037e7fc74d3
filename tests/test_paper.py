"""The paper's protocol on tiny drawn faces: whole, killed and resumed, and its forecast."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from doors import in_process, without_ray

from core.replication import CHOICES

ROOT = Path(__file__).parents[1]
TINY = ["--drawn-faces", "60", "--weights", "random", "--workers", "1", "--epochs", "2", "--final-epochs", "3"]
TINY += ["--set", "head_width=8", "frozen_blocks=5"]
FILES = (*(f"table{n}.csv" for n in CHOICES), "conclusions.csv")


def command(storage, cache, *words):
    return [sys.executable, "scripts/paper.py", "--storage", str(storage), "--cache", str(cache), *words]


def run(words):
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, cache):
    """A replication with two seeds that nobody disturbed."""
    storage = tmp_path_factory.mktemp("runs")
    done = run(command(storage, cache, "--name", "whole", "--seeds", "2", *TINY))
    assert done.returncode == 0, done.stderr
    return storage / "whole", done.stdout


@pytest.mark.slow
@pytest.mark.cluster
def test_all_tables_are_complete_and_the_winners_of_each_step_feed_the_next(whole):
    folder, printed = whole
    for number in range(1, 7):
        table = pd.read_csv(folder / f"table{number}.csv")
        assert (table["seeds"].iloc[:-1] == 2).all()
        assert table.iloc[-1, 0] == "mean face / prior"
    first = pd.read_csv(folder / "table1.csv").iloc[:-1].set_index("optimizer")
    chosen = first["loss"].idxmin()
    fixed = json.loads((folder / "table3" / "search.json").read_text())["plan"]["space"]["fixed"]
    assert fixed["optimizer"] == chosen
    second = pd.read_csv(folder / "table2.csv").iloc[:-1].set_index("landmark_loss")
    assert fixed["landmark_loss"] == second["nme_pct"].idxmin()
    assert f"table I: going on with optimizer={chosen}" in printed
    assert len(pd.read_csv(folder / "conclusions.csv")) == 8
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 10
    assert "http://" not in page
    assert "https://" not in page
    other = page.split("Not the paper's own protocol: ")[1].split("</p>")[0]
    for words in (
        "epochs 2 (paper: 10)",
        "head_width 8 (paper: 4096)",
        "drawn faces (paper: CelebA)",
        "random convolut",
    ):
        assert words in other
    for number in (3, 4):
        known = pd.read_csv(folder / f"table{number}.csv")["paper_loss_inside"].notna().any()
        search = json.loads((folder / f"table{number}" / "search.json").read_text())["plan"]["space"]["fixed"]
        same = search["landmark_loss"] == "l1" and (number == 3 or (search["lambda1"], search["lambda2"]) == (1, 20))
        assert known == same


@pytest.mark.slow
@pytest.mark.cluster
def test_finals_go_on_with_the_very_training_of_their_rows(whole):
    folder, _ = whole
    for number in (1, 2, 3, 4):
        run_folder = folder / f"table{number}"
        winners = pd.read_csv(run_folder / "winners.csv").iloc[0]
        curves = pd.read_csv(run_folder / "curves.csv")
        row = curves[curves["trial"] == winners["trial"]].reset_index(drop=True)
        final = pd.read_csv(run_folder / "winners" / winners["model"] / "seed-0" / "curve.csv")
        assert len(final) == (2 if number == 1 else 3)
        assert list(final["val_loss"][:2]) == list(row["val_loss"])


@pytest.mark.slow
@pytest.mark.cluster
def test_a_finished_replication_is_not_tested_again(whole, cache):
    folder, _ = whole
    opened = (folder / "test" / "opened.json").read_text()
    again = in_process("paper.py", *command(folder.parent, cache, "--resume", "whole")[2:])
    assert again.returncode == 0, again.stderr
    assert "is complete" in again.stdout
    assert (folder / "test" / "opened.json").read_text() == opened


@pytest.mark.slow
@pytest.mark.cluster
def test_killed_twice_and_resumed_it_makes_the_tables_of_an_undisturbed_one(whole, tmp_path, cache):
    folder, _ = whole
    words = command(tmp_path, cache, "--name", "killed", "--seeds", "2", *TINY)
    for awaited in ("table3/winners/backbone.safetensors", "test/measured.json"):
        process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True)
        deadline = time.monotonic() + 300
        while not (tmp_path / "killed" / awaited).exists():
            assert time.monotonic() < deadline
            assert process.poll() is None, "it ended before it was killed"
            time.sleep(0.2)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        words = command(tmp_path, cache, "--resume", "killed")
    done = run(words)
    assert done.returncode == 0, done.stderr
    assert len(json.loads((tmp_path / "killed/test/opened.json").read_text())) == 1
    for name in FILES:
        tables = [pd.read_csv(place / name).filter(regex="^(?!inference)") for place in (folder, tmp_path / "killed")]
        pd.testing.assert_frame_equal(*tables)


@pytest.mark.slow
def test_the_forecast_lists_every_run_with_what_it_takes_and_leaves_nothing(tmp_path, cache, monkeypatch):
    before = set(ROOT.glob("runs/*"))
    monkeypatch.setattr("tune.forecast.seconds_per_epoch", lambda *_: 2.0)
    words = command(tmp_path, cache, "--plan", "--seeds", "5", *TINY)
    at = words.index("--storage")
    done = without_ray("paper.py", *words[2:at], *words[at + 2 :])
    assert done.returncode == 0, done.stderr
    rows = [line.split()[-4:] for line in done.stdout.splitlines() if line.startswith(("table I", "  its winner"))]
    # Runs, epochs, seconds each, and with 5 s beside them the time; model 1 is not trained on.
    finals = [["5", "10", "2.00", "0:25"]] + [["5", "15", "2.00", "0:35"]] * 3
    tables = [["20", "40", "2.00", "1:25"]] + [["25", "50", "2.00", "1:45"]] * 3
    assert rows == [row for pair in zip(tables, finals, strict=True) for row in pair]
    assert "5 seeds, 1 at once: about 8:50 in all" in done.stdout
    assert set(ROOT.glob("runs/*")) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seeds", "0"], "--seeds must be from 1 to 1000, got 0"),
        (["--set", "d_k=64"], "--set d_k: this is what the paper varies"),
        (["--set", "depth=3"], "unknown setting 'depth'"),
        (["--weights", "nowhere.pth"], "nowhere.pth: no such weights file"),
        (["--data", "nowhere"], "--data nowhere: must be a folder"),
        (["--resume", "nothing"], "no run here"),
        (["--resume", "nothing", "--seeds", "2"], "--seeds cannot change it"),
        (["--plan"], "--plan makes no run, so it takes no --storage"),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, list) else "",
)
def test_bad_options_are_one_line_and_exit_code_2_before_ray_starts(tmp_path, words, message, monkeypatch):
    def start(*_):
        raise AssertionError("Ray is started for what can never be")

    monkeypatch.setattr("tune.cluster.start_ray", start)
    done = in_process("paper.py", "--storage", tmp_path, "--cache", tmp_path / "cache", *words)
    assert_refused(done, message, tmp_path)


def assert_refused(done, message, folder):
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(folder.rglob("search.json"))
