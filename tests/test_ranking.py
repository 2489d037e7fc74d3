import numpy as np
import pandas as pd
import pytest

from benchmarks.fold_scores import FOLDS, HALVES, columns, halves_of, known, write
from benchmarks.ranking import WAYS, Comparison, by_folds, by_one_part, by_race, outcomes, play, read_scores, table
from core.errors import UserError
from core.examples import Examples


def made_up(configurations=30, seeds=10, part_luck=0.0, seed_luck=0.0, gap=0.01):
    """Configurations that get worse by ``gap``, with luck of each part (of each configuration) and of each seed."""
    random = np.random.default_rng(0)
    truth = 0.3 + gap * np.arange(configurations)
    part = random.normal(0, 1, (configurations, 1, 1, FOLDS, HALVES))
    part -= part.mean(axis=(3, 4), keepdims=True)
    seed = random.normal(0, seed_luck, (configurations, seeds, 1, FOLDS, HALVES))
    return truth[:, None, None, None, None] + part_luck * part + seed


def test_without_luck_every_way_is_always_right():
    for found in outcomes(made_up(), 10).values():
        assert (found["wrong_pct"], found["lost_pct"]) == (0, pytest.approx(0, abs=1e-9))


def test_seeds_do_not_help_against_the_luck_of_one_part_but_folds_and_races_do():
    found = outcomes(made_up(part_luck=0.05), 80)
    assert found["one part"]["wrong_pct"] > 30
    assert found["one part, 5 seeds"]["wrong_pct"] == found["one part"]["wrong_pct"]
    assert found["5 folds"]["wrong_pct"] == 0
    assert 0 < found["race, 2 rounds"]["wrong_against_one_part"] < 0.7
    assert found["race, 3 rounds"]["lost_against_one_part"] < 0.7


def test_what_each_way_trains_is_counted():
    found = outcomes(made_up(part_luck=0.05, seed_luck=0.2), 10)
    trainings = {way: one["trainings"] for way, one in found.items()}
    assert (trainings["one part"], trainings["one part, 5 seeds"], trainings["5 folds"]) == (10, 50, 50)
    assert 30 <= trainings["race, 2 rounds"] <= 50 < trainings["race, 3 rounds"] <= 70


def test_truth_is_of_seeds_that_no_way_of_judging_has_used():
    scores = made_up(configurations=10)
    for index in range(20):
        comparison = Comparison(scores.copy(), np.random.default_rng(index))
        unused = comparison.order[-5:]
        comparison.scores[:, unused] = np.nan
        for way in WAYS.values():
            way(comparison)
        assert np.isnan(comparison.truth()).all()
        comparison.scores[:, comparison.order[:5]] = np.nan
        comparison.scores[:, unused] = 1.0
        assert comparison.truth().tolist() == [1.0] * 10


def test_a_training_counts_at_its_best_epoch_and_one_that_diverged_never_wins():
    scores = np.full((3, 10, 2, FOLDS, HALVES), 0.5)
    scores[1, :, 0] = 0.4
    scores[2, :, 0], scores[2, :, 1] = 0.3, np.inf
    scores[2, 3:] = np.inf
    comparison = Comparison(scores, np.random.default_rng(0))
    comparison.order = np.arange(9, -1, -1)
    assert by_one_part(comparison) == by_folds(comparison) == by_race(comparison, 2) == 1


def test_halves_of_folds_are_disjoint_whole_and_alike_in_their_share_of_women():
    def part(women, men):
        gender = np.random.default_rng(0).permutation(np.repeat([0, 1], [women, men]))
        count = len(gender)
        return Examples(np.zeros((count, 1)), np.arange(count), np.zeros((count, 5, 2), np.float32), gender)

    parts = [part(45, 45), part(11, 9), part(8, 7)]
    halves = halves_of(parts)
    assert sorted(np.concatenate(halves).tolist()) == list(range(90 + 20 + 15))
    gender = np.concatenate([one.gender for one in parts])
    counts = [np.bincount(gender[half]).tolist() for half in halves]
    assert all(abs(a[0] - b[0]) <= 1 and abs(a[1] - b[1]) <= 1 for a, b in zip(counts[::2], counts[1::2], strict=True))
    assert [len(half) for half in halves] == [45, 45, 10, 10, 7, 8]


def test_recorded_lines_are_known_again_and_read_as_they_were_written(tmp_path):
    path = tmp_path / "scores.csv"
    header = ["number", "seed", "config.lr", *columns(2)]
    random = np.random.default_rng(0)
    expected = random.random((20, 10, 2, FOLDS, HALVES)).round(4)
    for number in range(20):
        for seed in range(10):
            values = expected[number, seed].ravel()[: 10 if (number, seed) == (3, 4) else None]
            write(
                path,
                header,
                {"number": number, "seed": seed, "config.lr": 0.1} | dict(zip(columns(2), values, strict=False)),
            )
    with path.open("a") as file:
        file.write("20,0,0.1,0.5")
    assert known(path, header) == {(number, seed) for number in range(20) for seed in range(10)}
    found = read_scores(path)
    assert np.isinf(found[3, 4, 1]).all()
    found[3, 4, 1] = expected[3, 4, 1]
    assert np.array_equal(found, expected)
    with pytest.raises(UserError, match="not a file of these scores"):
        known(path, header[:-1])


def test_too_little_to_compare_is_an_error(tmp_path):
    pd.DataFrame({"number": [0], "seed": [0], "e1.f1a": [0.5]}).to_csv(tmp_path / "few.csv", index=False)
    with pytest.raises(UserError, match="must have at least 20 configurations with 10 seeds, has 1 with 1"):
        read_scores(tmp_path / "few.csv")
    with pytest.raises(UserError, match="no scores here"):
        read_scores(tmp_path / "none.csv")


def test_the_table_has_intervals_around_what_was_found():
    rows = table(made_up(part_luck=0.05, seed_luck=0.05), 150)
    assert [row["way"] for row in rows] == list(WAYS)
    for row in rows[1:]:
        assert row["wrong_pct_min"] < row["wrong_pct"] < row["wrong_pct_max"]


def test_intervals_hold_as_often_as_they_should_where_configurations_are_drawn_anew(monkeypatch):
    """What is missed is the share of wrong choices among the configurations that these are drawn from."""
    monkeypatch.setattr("benchmarks.ranking.WAYS", {"one part": by_one_part})
    everything = made_up(configurations=600, part_luck=0.02, gap=0.0)
    everything += np.random.default_rng(1).uniform(0, 0.05, (600, 1, 1, 1, 1))
    true = 100 * np.mean([play(everything, index)[1][0][0] for index in range(1500)])
    held = 0
    for number in range(12):
        some = np.random.default_rng(number).choice(600, 40, replace=False)
        row = table(everything[some], 250)[0]
        held += row["wrong_pct_min"] < true < row["wrong_pct_max"]
    assert held >= 9


def test_a_race_that_is_decided_is_told_apart_from_one_that_is_not():
    sure = outcomes(made_up(gap=0.05), 5)["race, 2 rounds"]
    assert (sure["decided_pct"], sure["wrong_if_sure_pct"]) == (100, 0)
    unsure = outcomes(made_up(gap=1e-6, seed_luck=0.1), 20)["race, 2 rounds"]
    assert unsure["decided_pct"] < 50
    assert np.isnan(outcomes(made_up(), 3)["5 folds"]["wrong_if_sure_pct"])
