import math

import numpy as np
import pandas as pd
import pytest

from benchmarks.recorded import Recorded
from benchmarks.replay import KINDS, Epoch
from benchmarks.scale_replay import best_recorded, replay_rows, seconds_to


@pytest.fixture
def curves(tmp_path):
    """24 configurations, an epoch of a second each, and one paper's search that ends at 0.75 for each model."""
    random = np.random.default_rng(0)
    rows = [
        {"kind": "joint", "number": i, "architecture": KINDS[i % 4], "e": np.sort(random.random(10))[::-1]}
        for i in range(24)
    ]
    rows += [{"kind": "paper", "table": t, "architecture": kind, "e": [0.75]} for t, kind in enumerate(KINDS, 1)]
    table = [
        {"table": 0, "number": 0, "seed": 0, "seconds_per_epoch": 1.0, "config.lr": 1e-4}
        | {key: value for key, value in row.items() if key != "e"}
        | {f"e{i}": value for i, value in enumerate(row["e"], 1)}
        for row in rows
    ]
    pd.DataFrame(table).to_csv(tmp_path / "curves.csv", index=False)
    return tmp_path / "curves.csv"


def test_more_workers_find_as_much_sooner_and_never_more_than_is_recorded(curves):
    rows = replay_rows(curves, 3)
    assert [row["workers"] for row in rows] == [1, 8, 64, 512]
    assert [row["epochs"] for row in rows] == [100 * row["workers"] for row in rows]
    first = [row["error_after_10_s"] for row in rows]
    assert first == sorted(first, reverse=True)
    assert first[0] > first[-1]
    for row in rows:
        assert row["error_after_100_s_min"] >= row["recorded_best"] - 1e-12
    # Halving by the first two epochs may stop what would be the best by the tenth, however often that is tried.
    assert rows[-1]["error_after_100_s"] <= rows[0]["error_after_100_s_max"]


def test_an_error_that_is_never_reached_takes_for_ever():
    search = [Epoch(3.0, kind, 0.5) for kind in KINDS]
    assert seconds_to(search, 0.5) == 3.0
    assert seconds_to(search, 0.4) == math.inf


def test_the_best_recorded_counts_only_epochs_that_a_trial_has():
    curve = np.linspace(1.0, 0.5, 50)
    one = [Recorded({}, kind, 1.0, [curve]) for kind in KINDS]
    assert best_recorded(one) == pytest.approx(curve[9])
