"""The whole road on tiny drawn faces: search, kill, resume, retrain, test."""

import json
import os
import re
import signal
import sys

import numpy as np
import pandas as pd
import pytest
from doors import in_process, without_ray
from real_search import COMMON, ROOT, Running, assert_same_results, command, epochs_of, run, workers_below
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_openings import SEARCH

from benchmarks.face_folder import write_face_folder
from core.faces import load_drawn_faces

SMALL = ["--trials", "4", "--epochs", "3", "--retrain-epochs", "2", "--retrain-seeds", "2"]
SEEDED = ["--space", "multitask", "--seed", "5", *COMMON, *SMALL, "--trials", "8", "--grace", "3"]
"""No trial is stopped: a trial whose worker is killed before it begins comes after the others, and who is stopped would
depend on that.
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory, cache):
    """The folder of a search that nobody disturbed."""
    storage = tmp_path_factory.mktemp("whole")
    done = run(command(storage, cache, "--name", "whole", *SEEDED))
    assert done.returncode == 0, done.stderr
    return storage / "whole"


def promised():
    """What the README says that any search and its final test leave, as patterns."""
    readme = (ROOT / "README.md").read_text()
    tree = re.search(r"^runs/NAME/(search.json.*?)^```", readme, re.DOTALL | re.MULTILINE).group(1)
    always = re.sub(r"^ +head_start.*$", "", re.sub(r"\(.*?\)", "", tree, flags=re.DOTALL), flags=re.MULTILINE)
    for word in re.findall(r"[^\s{]*{.*?}|[^\s.]\S+", always):
        place, _, names = word.rstrip("}").partition("{")
        for name in names.split(","):
            yield re.sub("<.*?>|0000", "*", place + name.strip()).replace("...", "*")


@pytest.fixture(scope="module")
def road(tmp_path_factory, cache):
    """A search on a CelebA folder, which is then moved, and the final test: the run's folder, and what was printed."""
    home = tmp_path_factory.mktemp("road")
    data = home / "celeba"
    write_face_folder(load_drawn_faces(40, 0, cache), 40, data, lambda *_: None)
    (data / "identity_CelebA.txt").unlink()
    words = [word for word in COMMON if word not in ("--drawn-faces", "40")]
    done = run(command(home, cache, "--space", "joint", "--name", "a", "--data", str(data), *words, *SMALL))
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stdout + done.stderr
    moved = str(data.rename(home / "moved"))
    tested = run([sys.executable, "scripts/final_test.py", str(home / "a"), "--cache", str(cache), "--data", moved])
    assert tested.returncode == 0, tested.stderr
    return home / "a", done.stdout


@pytest.mark.slow
@pytest.mark.cluster
def test_a_search_and_the_final_test_leave_everything_that_the_readme_promises(road):
    folder, printed = road
    assert "celeba has no identity file, so images of one person may be in several parts" in printed
    assert "next: python scripts/final_test.py" in printed
    assert "too few trials (4) to tell which choices matter" in printed
    missing = [name for name in promised() if not any(folder.glob(name))]
    assert missing == []
    recorded = json.loads((folder / "search.json").read_text())
    assert recorded["plan"]["trials"] == 4
    assert recorded["weights"].startswith("random filters")
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


@pytest.mark.slow
@pytest.mark.cluster
def test_tables_and_tensorboard_say_what_trials_and_seeds_came_to(road):
    folder, _ = road
    trials = pd.read_csv(folder / "trials.csv")
    assert list(trials["trial"]) == [0, 1, 2, 3]
    assert set(trials["status"]) <= {"finished", "stopped"}
    assert set(pd.read_csv(folder / "importance.csv")["verdict"]) == {"too few trials"}
    events = EventAccumulator(str(folder / "trial-0000"))
    events.Reload()
    curve = pd.read_csv(folder / "curves.csv").query("trial == 0")
    assert [e.value for e in events.Scalars("relative_error")] == pytest.approx(list(curve["relative_error"]))
    winners = pd.read_csv(folder / "winners.csv").set_index("model")
    assert winners.index[-1] == "mean face / prior"
    for label, row in winners.iloc[:-1].iterrows():
        paths = list(folder.glob(f"winners/{label}/seed-*/config.json"))
        seeds = [json.loads(path.read_text())["best"]["relative_error"] for path in paths]
        assert row["seeds"] == len(seeds) == 2
        assert row["relative_error"] == pytest.approx(np.mean(seeds))
        assert row["relative_error_sd"] == pytest.approx(np.std(seeds, ddof=1))


@pytest.mark.slow
@pytest.mark.cluster
def test_the_same_seed_gives_the_same_trials_though_a_worker_and_then_the_driver_are_killed(tmp_path, cache, whole):
    folder = tmp_path / "killed"
    search = Running(command(tmp_path, cache, "--name", "killed", *SEEDED), tmp_path / "said")
    search.until(lambda: epochs_of(folder))
    victims = workers_below(search.process.pid)
    assert victims
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    search.until(lambda: epochs_of(folder) >= 6 and set(workers_below(search.process.pid)) - set(victims))
    search.kill()
    assert not (folder / "winners.csv").exists()
    resumed = run(command(tmp_path, cache, "--resume", "killed", "--workers", "1"))
    assert resumed.returncode == 0, resumed.stderr
    assert_same_results(whole, folder)


BAD = [
    (["--space", "everything"], "unknown space 'everything'"),
    (["--space", "multitask", "--set", "widht=3"], "unknown setting 'widht'"),
    (["--space", "attention", "--set", "d_k=0"], "d_k must be an integer from 1 to 4096, got '0'"),
    (["--space", "multitask", "--race-rounds", "2"], "--race-rounds: there is no race without --race N"),
    (["--space", "multitask", "--name", "../x"], "run name '../x'"),
    (["--space", "multitask", "--name", "taken"], "exists and is no run; choose another --name"),
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


@pytest.mark.parametrize(
    "words",
    [
        ["--trials", "0"],
        ["--objective", "val_nme"],
        ["--weights", "missing.pth"],
        ["--data", "missing"],
        ["--vary", "d_v"],
        ["--reduction", "1"],
    ],
    ids=" ".join,
)
def test_what_no_machine_could_do_is_refused_before_ray_starts_or_a_face_is_drawn(tmp_path, monkeypatch, words):
    def start(*_):
        raise AssertionError("Ray was started")

    monkeypatch.setattr("tune.cluster.start_ray", start)
    done = in_process("search.py", "--storage", tmp_path, "--cache", tmp_path / "c", "--space", "gender", *words)
    assert (done.returncode, words[0] in done.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_a_step_of_a_replication_is_gone_on_with_by_the_whole_of_it(tmp_path):
    for folder, plan in ((tmp_path / "paper", {"paper": {}}), (tmp_path / "paper/table1", {"space": {}})):
        folder.mkdir()
        (folder / "search.json").write_text(json.dumps({**SEARCH, "plan": plan}))
    way_on = f"paper.py --resume paper --storage {tmp_path}\n"
    done = in_process("search.py", "--resume", tmp_path / "paper/table1")
    assert (done.returncode, done.stderr.endswith(way_on)) == (2, True)
    assert "a step of a replication of the paper; go on with it: python " in done.stderr
    done = in_process("final_test.py", tmp_path / "paper/table1")
    assert (done.returncode, done.stderr.endswith(way_on)) == (2, True)
    assert "no winners yet; finish the search first: python " in done.stderr


def test_a_run_of_another_script_is_sent_there(tmp_path):
    for name, plan, other in (("search.py", {"paper": {}}, "paper.py"), ("paper.py", {"space": {}}, "search.py")):
        folder = tmp_path / other
        folder.mkdir()
        (folder / "search.json").write_text(json.dumps({**SEARCH, "plan": plan}))
        done = in_process(name, "--resume", folder)
        assert done.returncode == 2
        assert done.stderr.endswith(f"/scripts/{other} --resume {other} --storage {tmp_path}\n")
