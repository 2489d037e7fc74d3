"""Searches on tiny drawn faces that begin with what an earlier one has found."""

import json
import shutil

import pandas as pd
import pytest
from doors import without_ray
from real_search import COMMON, Running, assert_same_results, command, epochs_of, run

SMALL = ["--epochs", "1", "--grace", "1", "--retrain-epochs", "1", "--retrain-seeds", "1"]


@pytest.mark.slow
@pytest.mark.cluster
def test_a_killed_search_that_knew_earlier_runs_goes_on_without_them_as_an_undisturbed_one(tmp_path, cache):
    first = run(command(tmp_path, cache, "--space", "gender", "--name", "first", "--trials", "4", *SMALL, *COMMON))
    assert first.returncode == 0, first.stderr
    options = ["--space", "gender", "--warm-start", "first", "--prior", "first", "--seed", "3", "--trials", "10"]
    whole = run(command(tmp_path, cache, "--name", "whole", *options, *SMALL, *COMMON))
    assert whole.returncode == 0, whole.stderr
    assert "warm start from first: 4 of 4 trials are used, 0 left out" in whole.stdout
    assert "prior first: values for " in whole.stdout
    assert "\nthe prior " in whole.stdout
    known = json.loads((tmp_path / "whole/head_start.json").read_text())
    trials = pd.read_csv(tmp_path / "whole/trials.csv")
    assert list(trials["trial"]) == list(range(10))  # its own alone
    assert list(trials["config.lr"][: len(known["leaders"])]) == [one["lr"] for one in known["leaders"]]

    words = command(tmp_path, cache, "--name", "cut", *options, *SMALL, *COMMON)
    driver = Running(words, tmp_path / "said")
    driver.until(lambda: epochs_of(tmp_path / "cut") >= 4)
    driver.kill()
    assert not (tmp_path / "cut/winners.csv").exists()
    shutil.rmtree(tmp_path / "first")
    resumed = run(command(tmp_path, cache, "--resume", "cut", "--workers", "1"))
    assert resumed.returncode == 0, resumed.stderr
    assert_same_results(tmp_path / "whole", tmp_path / "cut")
    told = [line for line in whole.stdout.splitlines() if line.startswith("the prior ")]
    assert [line for line in resumed.stdout.splitlines() if line.startswith("the prior ")] == told

    (tmp_path / "cut/head_start.json").unlink()
    again = without_ray("search.py", *command(tmp_path, cache, "--resume", "cut", "--workers", "1")[2:])
    assert again.returncode == 2
    assert "head_start.json" in again.stderr
