"""A whole search for two goals on tiny drawn faces: cut off, gone on with, tested."""

import json

import pandas as pd
import pytest
from doors import in_process
from real_search import COMMON, Running, assert_same_results, command, epochs_of, run

from core.pareto import front_rank

LENGTH = ["--trials", "14", "--epochs", "4", "--grace", "1", "--retrain-epochs", "2", "--retrain-seeds", "2"]


@pytest.fixture(scope="module")
def options(weights_file):
    common = [str(weights_file) if word == "random" else word for word in COMMON]
    return ["--objective", "pareto", "--sampler", "tpe", "--seed", "3", *common, *LENGTH]


@pytest.mark.slow
@pytest.mark.cluster
def test_a_search_for_two_goals_by_tpe_leaves_its_front_and_a_killed_one_resumes_to_the_same_and_goes_on(
    tmp_path, cache, options
):
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
    assert f"front of multitask: {len(front)} of 14 trials" in done.stdout

    words = command(tmp_path, cache, "--space", "multitask", "--name", "killed", *options)
    cut = Running(words, tmp_path / "said")
    cut.until(lambda: epochs_of(tmp_path / "killed") > 8)
    cut.kill()
    assert not (tmp_path / "killed" / "winners.csv").exists()
    resumed = run(command(tmp_path, cache, "--resume", "killed"))
    assert resumed.returncode == 0, resumed.stderr
    assert_same_results(whole, tmp_path / "killed")

    tested = in_process("final_test.py", whole, "--cache", cache)
    assert tested.returncode == 0, tested.stderr
    page = (whole / "test" / "report.html").read_text()
    assert "<h2>Two goals</h2>" in page
    assert "paper: two single-task models (tables I, V)" in page
    assert (whole / "test" / "figures" / "front.png").is_file()

    more = run(command(tmp_path, cache, "--resume", "killed", "--trials", "16"))
    assert more.returncode == 0, more.stderr
    longer = pd.read_csv(tmp_path / "killed" / "trials.csv")
    assert set(longer["status"]) <= {"finished", "stopped"}
    assert longer["config.lr"].tolist()[:14] == trials["config.lr"].tolist()
    assert len(longer) == 16
