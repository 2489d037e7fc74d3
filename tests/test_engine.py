import argparse
import json

import pytest

from benchmarks.bare_loop import sessions
from benchmarks.engine import check_same_work, difference, row_of
from benchmarks.engine_job import TRIALS, face_folder, write_job
from benchmarks.engine_ways import Timing, Way, _tandems
from benchmarks.peers.training import train
from core.config import config_from_flat
from core.errors import UserError
from core.objective import Objective
from core.run_folder import RunFolder
from search_spaces.catalogue import SPACES
from search_spaces.space import space_from_json
from tune.board import Board
from tune.ledger import Ledger
from tune.plan import Plan
from tune.profile import Profile
from tune.study import Sampler

SCORES = {"train_loss": 1.0, "val_loss": 2.0, "val_nme_pct": 8.0}


def timing(times, typed=100.0, seconds=1.0, **scores):
    trials = [[{"time": t, "seconds_per_epoch": seconds, **SCORES, **scores} for t in trial] for trial in times]
    return Timing(trials, typed)


def test_start_up_wall_time_and_gaps_follow_from_the_clock_at_the_epochs_ends():
    one = timing([[107.0, 108.0], [109.5, 110.5], [112.0, 113.0]])
    assert one.startup_s == 7.0
    assert one.wall_s == 6.0
    assert one.gaps_s() == pytest.approx([0.5, 0.5])


def test_a_row_tells_how_many_times_the_loop_it_took():
    loop = [timing([[101.0, 102.0]]), timing([[101.0, 103.0]]), timing([[101.0, 106.0]])]
    slow = timing([[101.0, 105.0]])
    assert row_of([slow], loop)["times_the_loop"] == 2.0
    assert row_of(loop, loop)["times_the_loop_max"] == 2.5


def test_the_difference_is_the_largest_relative_one_of_any_score():
    assert difference(timing([[1.0]]), timing([[1.0]]))[0] == 0
    apart, place = difference(timing([[1.0], [2.0, 3.0]], val_loss=2.1), timing([[1.0], [2.0, 3.0]]))
    assert apart == pytest.approx(0.05)
    assert place == "val_loss of trial 1 in epoch 2"
    assert difference(timing([[1.0]], val_loss=float("nan")), timing([[1.0]]))[0] == float("inf")


def test_other_work_makes_the_comparison_void():
    loop = timing([[1.0]])
    check_same_work(Way.TANDEM, timing([[2.0]]), loop)
    check_same_work(Way.RAY, timing([[3.0]], val_loss=2.002), loop)
    with pytest.raises(UserError, match="Tandem: val_loss of trial 0 in epoch 1 differs"):
        check_same_work(Way.TANDEM, timing([[2.0]], val_loss=2.0000001), loop)
    with pytest.raises(
        UserError, match=r"Ray tutorial: val_loss of trial 0 in epoch 1 differs from the loop's by 0\.25 of"
    ):
        check_same_work(Way.RAY, timing([[2.0]], val_loss=2.5), loop)


def test_the_clock_of_tandems_epochs_comes_from_its_tensorboard_events(tmp_path):
    run = RunFolder(tmp_path)
    ledger, board = Ledger(run.trials, run.curves, Objective("relative_error")), Board(run, SPACES["gender"])
    for number in range(len(TRIALS)):
        ledger.add(number, {})
        for epoch in (1, 2):
            row = {"epoch": epoch, "relative_error": 0.1 * number, "seconds_per_epoch": 0.5}
            ledger.record(number, row)
            board.epoch(ledger.entries[number])
    board.close()
    trials = _tandems(run, len(TRIALS))
    clocks = [epoch["time"] for trial in trials for epoch in trial]
    assert clocks == sorted(clocks)
    assert [trial[1]["relative_error"] for trial in trials] == pytest.approx([0.1 * i for i in range(len(TRIALS))])


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    home = tmp_path_factory.mktemp("engine")
    given = argparse.Namespace(data="drawn", weights="random", loader_processes=0)
    return write_job(home / "job", given, face_folder(given, 20, home / "faces"), blocks=5, epochs=2)


@pytest.mark.slow
def test_tandem_reads_the_trials_that_the_others_read(job):
    space = space_from_json(json.loads(job.space.read_text()))
    content = json.loads(job.file.read_text())
    assert list(space.cells) == content["trials"] == TRIALS
    assert {key: content["settings"][key] for key in space.fixed} == space.fixed
    assert config_from_flat(content["settings"]).model.frozen_blocks == 5
    plan = Plan(space.to_json(), Profile.FAST, sampler=Sampler.GRID, trials=16, epochs=2, grace=2)
    assert {plan.trial_seed(number) for number in range(16)} == {content["seed"]}


@pytest.mark.slow
def test_the_tutorials_training_gives_a_sessions_scores_to_rounding(job):
    content = json.loads(job.file.read_text())
    content["trials"] = [{"optimizer": "adamax", "lr": 1e-6}]
    ours = [row for session in sessions(content) for row in (session.run_epoch(), session.run_epoch())]
    theirs = list(train(content, "adamax", 1e-6))
    assert difference(Timing([theirs], 0.0), Timing([ours], 0.0))[0] < 1e-3
