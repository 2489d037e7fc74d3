import itertools
import math

import numpy as np
import pandas as pd
import pytest

from benchmarks.recorded import Recorded, distance, read_curves
from benchmarks.replay import (
    KINDS,
    Epoch,
    Strategy,
    best_of_all,
    mean_of_best,
    papers_search,
    replay,
)
from core.errors import UserError
from tune.study import Sampler

UNSTOPPED = Strategy("", grace=4, epochs=4)


def recorded(error, architecture="gender", seconds=1.0, epochs=4, **parameters):
    settings = {"architecture": architecture, "optimizer": "adam", "lr": 1e-4, **parameters}
    return Recorded(settings, architecture, seconds, [np.full(epochs, error)])


def test_every_configuration_trains_all_its_epochs_once_before_any_comes_again():
    pool = [recorded(0.1 * i) for i in range(5)]
    spent = replay(pool, UNSTOPPED, workers=1, epochs=40, seed=3)
    errors = [epoch.error for epoch in spent]
    runs = [errors[i : i + 4] for i in range(0, 40, 4)]
    assert all(len(set(run)) == 1 for run in runs)
    for lap in (runs[:5], runs[5:]):
        assert sorted(run[0] for run in lap) == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])


def test_the_same_seed_replays_the_same_search_and_another_seed_another():
    pool = [recorded(0.1 * i) for i in range(8)]
    one, again, other = (replay(pool, Strategy(""), 2, 30, seed) for seed in (0, 0, 1))
    assert one == again
    assert one != other


def test_workers_end_epochs_in_the_order_of_the_clock():
    pool = [recorded(0.1, seconds=1.0), recorded(0.9, seconds=2.5)]
    spent = replay(pool, UNSTOPPED, workers=2, epochs=5, seed=0)
    assert [(epoch.seconds, epoch.error) for epoch in spent] == [(1, 0.1), (2, 0.1), (2.5, 0.9), (3, 0.1), (4, 0.1)]


def test_halving_stops_the_worse_half_at_its_grace_period():
    pool = [recorded(0.1 * (i + 1), epochs=8) for i in range(20)]
    spent = replay(pool, Strategy("", epochs=8, grace=2, reduction=2.0), workers=1, epochs=65, seed=0)
    lengths = pd.Series([epoch.error for epoch in spent]).value_counts().sort_index()
    assert set(lengths.drop(spent[-1].error)) <= {2, 4, 8}  # its rungs; the last trial is cut off by the budget
    assert lengths.iloc[0] == 8
    assert (lengths == 2).sum() >= len(lengths) // 3


def test_architectures_are_halved_apart_unless_rungs_are_shared():
    pool = [recorded(0.1, epochs=8) for _ in range(10)] + [recorded(0.9, "attention", epochs=8) for _ in range(10)]
    asha = {"epochs": 8, "grace": 1, "reduction": 2.0}

    def most_epochs_of_attention(strategy):
        spent = replay(pool, strategy, workers=1, epochs=60, seed=1)
        runs = "".join("a" if epoch.architecture == "attention" else " " for epoch in spent).split()
        return max(map(len, runs))

    apart = most_epochs_of_attention(Strategy("", **asha))
    assert apart >= 8
    shared = [epoch.architecture for epoch in replay(pool, Strategy("", **asha, apart=False), 1, 60, 1)]
    assert shared.count("gender") > 2 * shared.count("attention")


def test_a_training_that_diverged_ends_there_and_the_next_begins():
    pool = [Recorded({"architecture": "gender"}, "gender", 1.0, [np.array([0.5])]), recorded(0.1)]
    errors = [epoch.error for epoch in replay(pool, UNSTOPPED, workers=1, epochs=12, seed=0)]
    runs = [(error, len(list(run))) for error, run in itertools.groupby(errors)]
    assert sorted(errors) == [0.1] * 8 + [0.5] * 4  # the epoch in which it diverges is spent too
    assert {length % (4 if error == 0.1 else 2) for error, length in runs} == {0}


def test_tpe_asks_for_recorded_configurations_only_and_learns_from_what_they_gave():
    rates = np.logspace(-4.99, -3.01, 60)
    pool = [recorded(abs(math.log10(lr) + 4), lr=lr) for lr in rates]
    pool += [recorded(3.0, "landmarks", lr=lr, landmark_loss="l1") for lr in rates]

    def late_errors(sampler):
        runs = [replay(pool, Strategy("", sampler, epochs=1, grace=1), 1, 45, seed) for seed in range(4)]
        assert {epoch.error for run in runs for epoch in run} <= {r.curves[0][0] for r in pool}
        return np.mean([epoch.error for run in runs for epoch in run[15:]])

    assert late_errors(Sampler.TPE) < 0.7 * late_errors(Sampler.RANDOM)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, 0.0),
        ({"lr": 1e-3}, 0.25),  # half of two decades, squared
        ({"optimizer": "adamax"}, 1.0),
        ({"architecture": "landmarks"}, math.inf),
        ({"landmark_loss": "l1"}, 1.0),
    ],
)
def test_distance_is_each_parameter_over_its_range(change, expected):
    here = {"architecture": "gender", "optimizer": "adam", "lr": 1e-4}
    assert distance(here, {**here, **change}) == pytest.approx(expected)


def test_the_mean_of_the_best_counts_an_untried_model_as_knowing_nothing():
    spent = [Epoch(1, "gender", 0.4), Epoch(2, "gender", 0.6), Epoch(3, "attention", 0.8), Epoch(4, "attention", 1.5)]
    assert len(KINDS) == 4
    assert mean_of_best(spent).tolist() == pytest.approx([0.85, 0.85, 0.80, 0.80])
    assert best_of_all(spent).tolist() == [0.4, 0.4, 0.4, 0.4]


def test_the_papers_search_takes_its_rows_one_after_another():
    rows = [recorded(0.5, seconds=2.0, epochs=2), recorded(0.25, "landmarks", seconds=3.0, epochs=1)]
    assert papers_search(rows) == [Epoch(2, "gender", 0.5), Epoch(4, "gender", 0.5), Epoch(7, "landmarks", 0.25)]


def written(folder, rows):
    base = {"table": 0, "number": 0, "seed": 0, "architecture": "attention", "seconds_per_epoch": 2.0}
    pd.DataFrame([{**base, **row} for row in rows]).to_csv(folder / "curves.csv", index=False)
    return folder / "curves.csv"


def test_curves_come_back_from_the_file_with_whole_numbers_whole(tmp_path):
    path = written(
        tmp_path,
        [
            {"kind": "joint", "seed": 1, "config.d_k": 64, "e1": 0.9, "e2": 0.8, "seconds_per_epoch": 4.0},
            {"kind": "joint", "config.d_k": 64, "e1": 0.7},
            {"kind": "joint", "number": 1, "architecture": "gender", "e1": 0.6, "e2": 0.5},
            {"kind": "paper", "table": 2, "seed": 3, "e1": 0.2},
            {"kind": "paper", "table": 1, "seed": 3, "number": 1, "e1": 0.3},
        ],
    )
    joint, paper = read_curves(path)
    assert [one.architecture for one in joint] == ["attention", "gender"]
    assert joint[0].parameters == {"d_k": 64}
    assert isinstance(joint[0].parameters["d_k"], int)
    assert joint[0].seconds == 2.0
    assert [curve.tolist() for curve in joint[0].curves] == [[0.9, 0.8], [0.7]]
    assert [row.curves[0].tolist() for row in paper[3]] == [[0.3], [0.2]]


def test_a_file_without_curves_is_refused(tmp_path):
    with pytest.raises(UserError, match="no curves here"):
        read_curves(tmp_path / "none.csv")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="not a file that benchmarks"):
        read_curves(tmp_path / "other.csv")
    with pytest.raises(UserError, match="must hold curves"):
        read_curves(written(tmp_path, [{"kind": "joint", "e1": 0.5}]))
