from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from real_search import COMMON, Running, assert_same_results, command, run

from core.config import config_from_flat
from core.errors import UserError
from core.folds import FoldedSession
from core.kept_predictions import read_predictions, write_predictions
from core.metrics import Predictions
from core.names import Architecture, Precision
from core.objective import Objective
from core.preparation import Part
from core.retraining import finished_record, write_record
from core.run_folder import RunFolder
from search_spaces.catalogue import SPACES
from tune.ledger import Ledger, Status
from tune.machine import Workers
from tune.plan import Plan
from tune.profile import Profile
from tune.race import Race
from tune.trainable import RaceTrial

LUCK = 4  # of what is drawn below
SIZES = (24, 20, 16, 22, 18)  # faces of each fold
FACE = np.array([[80, 100], [144, 100], [112, 140], [88, 170], [136, 170]], dtype=np.float32)


def part(count, shift=0.0):
    """As many faces, the last ones women, all further to the right than in another fold."""
    gender = (np.arange(count) < count // 3).astype(np.int64)
    return Part(np.arange(count), np.tile(FACE + shift, (count, 1, 1)), gender, np.arange(count))


def materials():
    shifts = (0.0, 5.0, 10.0, 15.0, 20.0)
    folds = tuple((part(40, 8.0), part(size, np.float32(shift))) for size, shift in zip(SIZES, shifts, strict=True))
    return SimpleNamespace(
        inputs={0: SimpleNamespace(folds=folds)},
        weights=SimpleNamespace(digest="0" * 64),
        precision=Precision.FP32,
        workers=Workers(1, 1, 0.0),
        trial_timeout=7.0,
        depot=None,
        cache_everywhere=None,
    )


def predicted(distance, noise, random):
    """Predictions whose landmarks are off by this many pixels, give or take the noise of each fold and face."""
    found = []
    for _, validation in materials().inputs[0].folds:
        off = distance + noise * (random.normal() + random.normal(size=len(validation.gender)))
        moved = validation.landmarks.copy()
        moved[..., 0] += off[:, None]
        found.append(moved)
    return Predictions(np.zeros((sum(SIZES), 2), np.float32), np.concatenate(found))


class Track:
    """In place of training: trials are as far off as ``distances`` say, in NME, each round by other faces' luck."""

    def __init__(self, monkeypatch, distances, noise=0.0, fails=()):
        self.rounds, self.fails = [], set(fails)
        self.distances, self.noise = distances, noise
        self.timeouts, self.seeds = [], []
        monkeypatch.setattr("tune.race.train_jobs", lambda work, jobs, _plan, run, _say: self.train(work, jobs, run))

    def train(self, work, jobs, run):
        self.timeouts.append(work.timeout)
        self.seeds.append({job["seed"] for job in jobs})
        self.rounds.append([job["record"]["trial"] for job in jobs])
        for job in jobs:
            trial, number = job["record"]["trial"], job["record"]["round"]
            if (trial, number) in self.fails:
                continue
            random = np.random.default_rng([LUCK, trial, number])
            folder = RunFolder(run.path).raced(trial, number)
            write_predictions(folder, predicted(self.distances[trial], self.noise, random))
            write_record(folder, job["record"], {"epoch": 2, "val_nme_pct": self.distances[trial]})


def race(tmp_path, trials, racers=3, rounds=4, space="multitask", top_k=1):
    """A race after a search in which trial k came in k-th."""
    plan = Plan(
        SPACES[space].to_json(), Profile.FAST, objective="val_nme_pct", race=racers, race_rounds=rounds, top_k=top_k
    )
    ledger = Ledger(tmp_path / "trials.csv", tmp_path / "curves.csv", plan.aim())
    for number in range(trials):
        entry = ledger.add(number, {"lr": 1e-4 * (1 + number)})
        entry.curve = [{"epoch": 1, "val_nme_pct": 10.0 + number, "seconds_per_epoch": 1.0}]
        entry.status = Status.FINISHED
    return Race(plan, RunFolder(tmp_path), materials(), ledger, lambda _: None)


def test_a_leader_that_is_clearly_better_is_found_in_one_round_though_the_search_ranked_it_last(tmp_path, monkeypatch):
    track = Track(monkeypatch, [5, 5.1, 2])
    candidates, decided = race(tmp_path, 3).go()
    assert track.rounds == [[0, 1, 2]]
    assert track.timeouts == [35.0]  # an epoch on five folds
    assert [one.trial for one in candidates] == [2]
    assert decided == [
        "race of 3 multitask trials: trial 2 is better than the 2 others with probability > 0.99 (1 round on 5 folds)"
    ]


def test_only_those_that_may_be_the_best_go_on_and_equals_end_in_a_tie(tmp_path, monkeypatch):
    track = Track(monkeypatch, [4.0, 4.0, 19.0], noise=1.0)
    candidates, [decided] = race(tmp_path, 3, rounds=3).go()
    assert track.rounds == [[0, 1, 2], [0, 1], [0, 1]]
    assert decided.startswith("race of 3 multitask trials: a tie; the best may be trial ")
    assert (
        "(3 rounds on 5 folds cannot tell; 1 dropped out earlier, in each round those with less than 0.05 together)"
        in decided
    )
    assert candidates[0].trial in (0, 1)
    table = pd.read_csv(tmp_path / "race.csv").set_index("trial")
    assert list(table["rounds"]) == [3, 3, 1]
    assert list(table["in_the_race"]) == [True, True, False]
    assert table.loc[[0, 1], "probability_in_race"].sum() == pytest.approx(1)


def test_of_many_equals_no_more_drop_out_than_are_together_hardly_the_best(tmp_path, monkeypatch):
    track = Track(monkeypatch, [4.0] * 30)
    race(tmp_path, 30, racers=30, rounds=2).go()
    assert 28 <= len(track.rounds[1]) <= 29


def test_more_rounds_tell_apart_what_one_cannot(tmp_path, monkeypatch):
    track = Track(monkeypatch, [4.0, 3.0], noise=1.5)
    candidates, [decided] = race(tmp_path, 2, racers=2, rounds=40).go()
    assert 1 < len(track.rounds) < 40
    assert all(len(seeds) == 1 for seeds in track.seeds)  # the same for all racers
    assert len(set.union(*track.seeds)) == len(track.rounds)  # another in each round
    assert "trial 1 is better than the other" in decided
    assert candidates[0].trial == 1
    assert 0.95 <= candidates[0].raced == pd.read_csv(tmp_path / "race.csv")["probability_in_race"][0]


def test_a_failed_racer_drops_out_and_the_others_go_on(tmp_path, monkeypatch):
    track = Track(monkeypatch, [2, 5, 5], fails={(0, 0)})
    candidates, [decided] = race(tmp_path, 3, rounds=2).go()
    assert track.rounds == [[0, 1, 2], [1, 2]]
    assert candidates[0].trial in (1, 2)
    assert decided.endswith("(2 rounds on 5 folds cannot tell; 1 failed)")


@pytest.mark.parametrize("round_number", [0, 1])
def test_the_only_one_that_did_not_fail_is_not_called_better(tmp_path, monkeypatch, round_number):
    Track(monkeypatch, [4.0, 4.0], noise=1.0, fails={(0, round_number)})
    candidates, decided = race(tmp_path, 2).go()
    assert candidates[0].trial == 1
    assert decided == ["race of 2 multitask trials: nothing was decided; 1 failed; left is trial 1"]
    chances = pd.read_csv(tmp_path / "race.csv").set_index("trial")["probability_in_race"]
    assert np.isnan(chances[0])


def test_if_all_fail_nothing_is_decided_and_the_searchs_own_order_stays(tmp_path, monkeypatch):
    Track(monkeypatch, [2, 5], fails={(0, 0), (1, 0)})
    candidates, decided = race(tmp_path, 2).go()
    assert candidates[0].trial == 0
    assert decided == ["race of 2 multitask trials: nothing was decided; 2 failed"]


def test_survivors_that_all_fail_later_leave_the_searchs_order_and_no_tie_of_those_that_dropped_out(
    tmp_path, monkeypatch
):
    Track(monkeypatch, [4.0, 4.0, 19.0, 19.0], noise=1.0, fails={(0, 1), (1, 1)})
    candidates, decided = race(tmp_path, 4, racers=4).go()
    assert candidates[0].trial == 0
    assert decided[0].startswith("race of 4 multitask trials: nothing was decided; ")
    assert decided[0].endswith("; 2 failed")


def test_each_folds_faces_are_put_to_what_was_predicted_for_them(tmp_path, monkeypatch):
    Track(monkeypatch, [5, 3])
    found = race(tmp_path, 2)
    found.go()
    for racer, distance in zip(found.kinds[Architecture.MULTITASK], (5, 3), strict=True):
        assert [len(errors.gender) for errors in racer.errors] == list(SIZES)
        for errors in racer.errors:  # eyes are 64 pixels apart
            np.testing.assert_allclose(errors.distance_pct, 100 * distance / 64, rtol=1e-5)


def test_who_came_second_is_retrained_second_and_who_did_not_race_comes_after(tmp_path, monkeypatch):
    Track(monkeypatch, [6, 5, 2])
    candidates, _ = race(tmp_path, 5, top_k=4).go()
    assert candidates[0].trial == 2
    assert {candidates[1].trial, candidates[2].trial} == {0, 1}
    assert candidates[3].trial == 3


def test_rounds_that_are_there_are_not_trained_again(tmp_path, monkeypatch):
    track = Track(monkeypatch, [4.0, 4.0], noise=1.0)
    first = race(tmp_path, 2, rounds=2).go()
    again = Track(monkeypatch, [0, 0])
    assert race(tmp_path, 2, rounds=2).go() == first
    assert len(track.rounds) == 2
    assert again.rounds == [[], []]


def test_a_lone_trial_of_its_kind_has_no_race(tmp_path, monkeypatch):
    track = Track(monkeypatch, [1])
    assert [one.trial for one in race(tmp_path, 1).go()[0]] == [0]
    assert track.rounds == []


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"race": 1}, "--race must be 0 or from 2"),
        ({"race": -1}, "--race must be from 0 to 1000"),
        ({"race": 3, "race_rounds": 0}, "--race-rounds must be from 1"),
        ({"race": 3, "objective": "val_loss"}, "--race: val_loss has another unit"),
    ],
)
def test_a_race_that_cannot_be_is_a_clear_error(options, rule):
    with pytest.raises(UserError, match=rule):
        Plan(SPACES["multitask"].to_json(), Profile.FAST, **options)


@pytest.mark.parametrize("remote", [False, True])
def test_what_a_racer_leaves_is_whole_in_a_folder_and_under_a_url(tmp_path, monkeypatch, weights, activations, remote):
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))
    run_folder, place = tmp_path / "run", tmp_path / "bucket" / "race"
    run_folder.mkdir()
    home = run_folder / "race"
    job = {
        "home": str(run_folder),
        "folder": str(home),
        "url": place.as_uri() if remote else None,
        "again": "--resume a",
    }
    job |= {"parameters": {}, "seed": 3, "record": {"trial": 7}}
    fixed = {"frozen_blocks": 5, "head_width": 8, "precision": "fp32", "lr": 1e-3}
    session = FoldedSession(config_from_flat(fixed), [activations] * 2, weights, 3, torch.device("cpu"), 3)
    trial = object.__new__(RaceTrial)
    workload = SimpleNamespace(
        objective=Objective("relative_error"), epochs=3, keep_predictions=True, cache=tmp_path / "cache"
    )
    trial.bench = SimpleNamespace(workload=workload, trial=lambda *_: session)  # as setup makes it
    trial.reset_config({"job": job})
    rows = [trial._epoch() for _ in range(3)]
    assert [row["done"] for row in rows] == [False, False, True]
    left = place if remote else home
    best = min(rows, key=lambda row: row["relative_error"])
    assert finished_record(left, {"trial": 7})["relative_error"] == best["relative_error"]
    assert read_predictions(left, 40).landmarks.shape == (40, 5, 2)
    assert home.exists() is not remote


@pytest.mark.slow
@pytest.mark.cluster
def test_a_race_killed_in_its_middle_ends_as_one_never_disturbed(tmp_path, cache):
    options = ["--space", "multitask", *COMMON, "--trials", "4", "--epochs", "2", "--grace", "2", "--race", "3"]
    options += ["--race-rounds", "2", "--retrain-epochs", "1", "--retrain-seeds", "1"]
    whole = run(command(tmp_path, cache, "--name", "whole", *options))
    assert whole.returncode == 0, whole.stderr
    assert "race of 3 multitask trials: " in whole.stdout
    killed = Running(command(tmp_path, cache, "--name", "killed", *options), tmp_path / "said")
    killed.until(lambda: len(list(tmp_path.glob("killed/race/*/*/config.json"))) >= 2)
    killed.kill()
    assert not (tmp_path / "killed" / "winners.csv").exists()
    resumed = run(command(tmp_path, cache, "--resume", "killed"))
    assert resumed.returncode == 0, resumed.stderr
    assert_same_results(tmp_path / "killed", tmp_path / "whole")
    one, other = (RunFolder(tmp_path / name) for name in ("whole", "killed"))
    pd.testing.assert_frame_equal(pd.read_csv(one.race), pd.read_csv(other.race))
    # Of every racer each round kept what was predicted for every face of train and validation.
    table, faces = pd.read_csv(one.race), pd.read_csv(one.split).query("split != 'test'")
    assert len(table) == 3
    for trial, rounds in zip(table["trial"], table["rounds"], strict=True):
        for number in range(rounds):
            assert read_predictions(one.raced(trial, number), len(faces)).landmarks.shape == (len(faces), 5, 2)
