"""A whole search for two goals on tiny drawn faces: cut off, gone on with, tested."""

import json
import os
import signal
import sys

import pandas as pd
import pytest
from real_search import COMMON, Running, assert_same_results, command, run
from safetensors.torch import save_file

from core.pareto import front_rank

LENGTH = ["--trials", "8", "--epochs", "4", "--grace", "1", "--retrain-epochs", "2", "--retrain-seeds", "2"]


@pytest.fixture(scope="module")
def options(tmp_path_factory, weights):
    path = tmp_path_factory.mktemp("weights") / "vgg16.safetensors"
    save_file(dict(weights.tensors), path)
    common = [str(path) if word == "random" else word for word in COMMON]
    return ["--objective", "pareto", "--seed", "3", *common, *LENGTH]


@pytest.mark.slow
@pytest.mark.cluster
def test_a_search_for_two_goals_leaves_its_front_and_a_killed_one_resumes_to_the_same(tmp_path, cache, options):
    done = run(command(tmp_path, cache, "--space", "multitask", "--name", "whole", *options))
    assert done.returncode == 0, done.stderr
    whole = tmp_path / "whole"
    trials, winners = pd.read_csv(whole / "trials.csv"), pd.read_csv(whole / "winners.csv")
    goals = trials[["val_gender_ce", "val_nme_pct"]].to_numpy()
    assert trials["front_rank"].tolist() == front_rank(goals).tolist()
    assert "stopped" in set(trials["status"])
    assert json.loads((whole / "search.json").read_text())["plan"]["top_k"] == 3
    front = set(trials.query("front_rank == 1")["trial"])
    retrained = winners["trial"].dropna().astype(int)
    assert set(retrained) <= front
    assert len(retrained) == min(3, len(front))
    assert trials.set_index("trial").loc[sorted(front), "relative_error"].idxmin() in set(retrained)
    assert (whole / "front.png").is_file()
    assert f"front of multitask: {len(front)} of 8 trials" in done.stdout

    words = command(tmp_path, cache, "--space", "multitask", "--name", "killed", *options)
    cut, curves = Running(words, tmp_path / "said"), tmp_path / "killed" / "curves.csv"
    cut.until(lambda: curves.exists() and len(curves.read_text().splitlines()) > 8)
    os.kill(cut.process.pid, signal.SIGKILL)
    cut.process.wait()
    assert not (tmp_path / "killed" / "winners.csv").exists()
    resumed = run(command(tmp_path, cache, "--resume", "killed"))
    assert resumed.returncode == 0, resumed.stderr
    assert_same_results(whole, tmp_path / "killed")

    tested = run([sys.executable, "scripts/final_test.py", str(whole), "--cache", str(cache)])
    assert tested.returncode == 0, tested.stderr
    page = (whole / "test" / "report.html").read_text()
    assert "<h2>Two goals</h2>" in page
    assert "paper: two single-task models (tables I, V)" in page
    assert (whole / "test" / "figures" / "front.png").is_file()


@pytest.mark.slow
@pytest.mark.cluster
def test_tpe_learns_from_both_goals_and_the_run_can_be_gone_on_with(tmp_path, cache, options):
    words = ["--space", "attention", "--name", "a", *options, "--sampler", "tpe", "--trials", "4", "--top-k", "1"]
    done = run(command(tmp_path, cache, *words))
    assert done.returncode == 0, done.stderr
    more = run(command(tmp_path, cache, "--resume", "a", "--trials", "6"))
    assert more.returncode == 0, more.stderr
    trials = pd.read_csv(tmp_path / "a" / "trials.csv")
    assert set(trials["status"]) <= {"finished", "stopped"}
    assert len(trials) == 6
    assert len(pd.read_csv(tmp_path / "a" / "winners.csv")) == 2
