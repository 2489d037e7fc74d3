"""The whole road on tiny drawn faces: search, kill, resume, retrain, test."""

import json
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
from doors import in_process, without_ray
from real_search import COMMON, ROOT, assert_same_results, command, run, workers_below
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

SMALL = ["--trials", "4", "--epochs", "3", "--retrain-epochs", "2", "--retrain-seeds", "2"]
SEEDED = ["--space", "multitask", "--seed", "5", *COMMON, *SMALL, "--trials", "8"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, cache):
    """The folder of a search that nobody disturbed."""
    storage = tmp_path_factory.mktemp("whole")
    done = run(command(storage, cache, "--name", "whole", *SEEDED))
    assert done.returncode == 0, done.stderr
    return storage / "whole"


@pytest.mark.slow
@pytest.mark.cluster
def test_search_then_final_test_leave_everything_that_is_promised(tmp_path, cache):
    done = run(command(tmp_path, cache, "--space", "joint", "--name", "a", *COMMON, *SMALL))
    assert done.returncode == 0, done.stderr
    assert "next: python scripts/final_test.py" in done.stdout
    assert "too few trials (4) to tell which choices matter" in done.stdout
    assert "Warning" not in done.stdout + done.stderr
    folder = tmp_path / "a"
    trials = pd.read_csv(folder / "trials.csv")
    assert list(trials["trial"]) == [0, 1, 2, 3]
    assert set(trials["status"]) <= {"finished", "stopped"}
    winners = pd.read_csv(folder / "winners.csv")
    assert winners["model"].iloc[-1] == "mean face / prior"
    assert (winners["seeds"].iloc[:-1] == 2).all()
    assert set(pd.read_csv(folder / "importance.csv")["verdict"]) == {"too few trials"}
    recorded = json.loads((folder / "search.json").read_text())
    assert recorded["plan"]["trials"] == 4
    assert recorded["weights"].startswith("random filters")
    events = EventAccumulator(str(folder / "trial-0000"))
    events.Reload()
    curve = pd.read_csv(folder / "curves.csv").query("trial == 0")
    assert [e.value for e in events.Scalars("relative_error")] == pytest.approx(list(curve["relative_error"]))
    tested = run([sys.executable, "scripts/final_test.py", str(folder), "--cache", str(cache)])
    assert tested.returncode == 0, tested.stderr
    scores = pd.read_csv(folder / "test" / "scores.csv").set_index("model")
    assert "mean face / prior" in scores.index
    for model in scores.index.drop("mean face / prior"):
        filled = scores.loc[model, ["test_gender_auc", "test_nme_pct"]].notna()
        assert list(filled) == [model != "landmarks", model != "gender"]
    page = (folder / "test" / "report.html").read_text()
    assert "Too few trials (4) to tell which choices matter" in page
    assert "http://" not in page
    assert "https://" not in page
    assert "data:image/png;base64," in page
    again = run([sys.executable, "scripts/final_test.py", str(folder), "--cache", str(cache)])
    assert "has been opened before" in again.stdout


@pytest.mark.slow
@pytest.mark.cluster
def test_the_same_seed_gives_the_same_trials(tmp_path, cache, whole):
    assert run(command(tmp_path, cache, "--name", "again", *SEEDED)).returncode == 0
    assert_same_results(whole, tmp_path / "again")


@pytest.mark.slow
@pytest.mark.cluster
def test_a_killed_driver_resumes_to_the_trials_of_an_undisturbed_search(tmp_path, cache, whole):
    words = command(tmp_path, cache, "--name", "killed", *SEEDED)
    driver = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    curves = tmp_path / "killed" / "curves.csv"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and (not curves.exists() or len(curves.read_text().splitlines()) < 5):
        time.sleep(0.05)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    resumed = run(command(tmp_path, cache, "--resume", "killed", "--workers", "1"))
    assert resumed.returncode == 0, resumed.stderr
    assert_same_results(whole, tmp_path / "killed")


@pytest.mark.slow
@pytest.mark.cluster
def test_a_killed_worker_costs_no_trial(tmp_path, cache):
    words = command(tmp_path, cache, "--space", "gender", "--name", "a", *COMMON, *SMALL)
    driver = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    curves = tmp_path / "a" / "curves.csv"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not curves.exists():
        time.sleep(0.05)
    victims = workers_below(driver.pid)
    assert victims
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    driver.communicate(timeout=240)
    assert driver.returncode == 0
    trials = pd.read_csv(tmp_path / "a/trials.csv")
    assert list(trials["trial"]) == [0, 1, 2, 3]
    assert set(trials["status"]) <= {"finished", "stopped"}


@pytest.mark.slow
@pytest.mark.cluster
def test_ctrl_c_ends_tidily_and_a_retraining_goes_on_where_it_was(tmp_path, cache):
    options = ["--trials", "2", "--epochs", "2", "--retrain-epochs", "60", "--retrain-seeds", "1"]
    words = command(tmp_path, cache, "--space", "gender", "--name", "whole", *COMMON, *options)
    assert run(words).returncode == 0
    words = command(tmp_path, cache, "--space", "gender", "--name", "cut", *COMMON, *options)
    # A shell's background job may ignore SIGINT, and its children would with it.
    driver = subprocess.Popen(
        words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    winner = tmp_path / "cut" / "winners" / "gender" / "seed-0"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not any(winner.glob("events*")):  # its first epoch has come
        time.sleep(0.02)
    os.killpg(driver.pid, signal.SIGINT)  # as a terminal does: to all processes of the job
    said, _ = driver.communicate(timeout=120)
    assert driver.returncode == 130
    assert "ending tidily" in said
    assert f"Go on with: --resume cut --storage {tmp_path} --cache {cache}\n" in said
    assert "Traceback" not in said
    assert (winner / "checkpoint.pt").is_file()
    resumed = run(command(tmp_path, cache, "--resume", "cut"))
    assert resumed.returncode == 0, resumed.stderr
    columns = ["epoch", "train_loss", "relative_error"]
    whole, cut = (pd.read_csv(tmp_path / name / "winners/gender/seed-0/curve.csv") for name in ("whole", "cut"))
    pd.testing.assert_frame_equal(whole[columns], cut[columns])


BAD = [
    (["--space", "everything"], "unknown space 'everything'"),
    (["--space", "multitask", "--set", "widht=3"], "unknown setting 'widht'"),
    (["--space", "attention", "--set", "d_k=0"], "d_k must be an integer from 1 to 4096, got '0'"),
    (["--space", "multitask", "--race-rounds", "2"], "--race-rounds: there is no race without --race N"),
    (["--space", "multitask", "--name", "../x"], "run name '../x'"),
    (["--space", "multitask", "--name", "taken"], "exists; choose another --name"),
    (["--resume", "nothing"], "no run here"),
    (["--resume", "taken", "--epochs", "3"], "--epochs cannot change it"),
    ([], "--space NAME is needed"),
    (["--space", "gender", "--data", "faces", "--drawn-faces", "40"], "--drawn-faces: there is nothing to draw"),
    (["--space", "multitask", "--storage", "nosuch://bucket/x"], "no file system for such a URL"),
    (["--space", "multitask", "--trial-timeout", "0"], "--trial-timeout must be seconds from 1"),
    (["--space", "multitask", "--warm-start", "nothing"], "no run of this name"),
    (["--space", "multitask", "--prior", "nothing"], "no run of this name"),
    (["--resume", "taken", "--prior", "paper"], "--prior cannot change it"),
]


@pytest.mark.parametrize(("words", "message"), BAD, ids=lambda x: " ".join(x) if isinstance(x, list) else "")
def test_bad_options_are_one_line_and_exit_code_2(tmp_path, words, message):
    (tmp_path / "taken").mkdir()
    storage = [] if "--storage" in words else ["--storage", str(tmp_path)]
    done = in_process("search.py", *words, *storage)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]


@pytest.mark.slow
@pytest.mark.cluster
def test_bad_options_of_a_real_process_are_one_line_too_before_and_after_ray_has_started(tmp_path, cache):
    for words, message in ((["--epochs", "3"], "--space NAME is needed"), (["--space", "gender"], "--workers 9999")):
        done = run(command(tmp_path, cache, *words, "--workers", "9999"))
        assert done.returncode == 2
        assert message in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
        assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "missing-folder"], "missing-folder"),
        (["--gpus-per-trial", "nan"], "--gpus-per-trial must be a number from 0"),
        (["--weights", "missing.pth"], "missing.pth: no such weights file"),
        (["--objective", "val_nme"], "--objective must be one of"),
        (["--trials", "0"], "--trials must be from 1"),
    ],
    ids=lambda x: " ".join(x) if isinstance(x, list) else "",
)
def test_bad_input_found_later_still_leaves_nothing(tmp_path, cache, words, message):
    drawn = [] if "--data" in words else ["--drawn-faces", "40"]
    done = without_ray("search.py", "--storage", tmp_path, "--cache", cache, "--space", "gender", *drawn, *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
