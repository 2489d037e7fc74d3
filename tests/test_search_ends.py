"""How a search ends and what a resume makes of it, with trials that cost nothing and without Ray."""

import errno
import json
from dataclasses import dataclass, replace
from types import SimpleNamespace

import pandas as pd
import pytest
from test_openings import SEARCH

from benchmarks.instant_trials import DrivenTrial, made_up_metrics
from benchmarks.scale_trials import PLAN, stand_in
from core.errors import UserError
from core.run_folder import RunFolder
from search_spaces.catalogue import SPACES
from tune import engine
from tune.machine import Workers
from tune.profile import Profile, settled_space
from tune.search import Search
from tune.study import Sampler


class KilledError(Exception):
    """The driver is gone."""


@pytest.fixture
def run(tmp_path):
    made = RunFolder(tmp_path / "run")
    made.path.mkdir()
    made.write_search(SEARCH)
    return made


class Ray:
    """In place of Ray's part of a search: trains some trials to the end, leaves others after some epochs, and ends."""

    def __init__(self, monkeypatch, whole, open_=0, seconds=0.0, error=None, begun=2):
        self.asked = []
        self.begun = begun
        self.given = []
        self.whole, self.open, self.seconds, self.error = whole, open_, seconds, error
        self.now = 1000.0
        monkeypatch.setattr("tune.search.time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr("tune.search.run_search", self)

    def __call__(self, workload, _workers, searcher, _scheduler, callback, _stopper, trials, seconds):
        self.asked.append(trials)
        self.given.append(seconds)
        whole = min(self.whole, trials)
        for number in range(whole + self.open):
            name = f"{len(self.asked)}-{number}"
            trial = DrivenTrial(name, searcher.suggest(name))
            callback.on_trial_start(0, (), trial)
            for epoch in range(1, 1 + (workload.epochs if number < whole else self.begun)):
                callback.on_trial_result(0, (), trial, made_up_metrics(trial.config["seed"], epoch))
            if number < whole:
                searcher.on_trial_complete(name, None)
                callback.on_trial_complete(0, (), trial)
        self.now += self.seconds
        if self.error is not None:
            raise self.error


class FailingRay(Ray):
    """One whose trials all fail in their first epoch, until the search has had enough."""

    def __call__(self, _workload, _workers, searcher, _scheduler, callback, stopper, trials, _seconds):
        for number in range(trials):
            if stopper.stop_all():
                break
            trial = DrivenTrial(str(number), searcher.suggest(str(number)))
            callback.on_trial_start(0, (), trial)
            callback.on_trial_result(0, (), trial, {"failure": f"RuntimeError: {trial.config['number']}"})
            searcher.on_trial_complete(str(number), None)
            callback.on_trial_complete(0, (), trial)


def search(run, say=print, **settings):
    return Search(replace(PLAN, **settings), run, stand_in(Workers(2, 1, 0.0)), say)


def trials(run):
    return pd.read_csv(run.trials)


def test_a_search_that_its_time_budget_ended_goes_on_only_with_more_of_it(run, monkeypatch):
    ray, said = Ray(monkeypatch, whole=2, open_=1, seconds=0.5), []
    search(run, trials=20, time_budget=0.3).go()
    before = trials(run)
    assert list(before["status"]) == ["finished", "finished", "stopped"]
    assert before["reason"][2] == "time budget"
    assert json.loads(run.search.read_text())["time_is_up"] == 0.3
    # The epochs' own seconds, 0.07 for each of two workers, would leave time for more.
    search(run, said.append, trials=20, time_budget=0.3).go()
    assert len(ray.asked) == 1
    assert "--time-budget 0.3 has ended this search; a larger one goes on with it" in said
    pd.testing.assert_frame_equal(trials(run), before)
    ray.open = 0
    search(run, trials=5, time_budget=60.0).go()
    assert ray.asked == [20, 2]
    assert ray.given[0] == pytest.approx(0.3)
    assert 55 < ray.given[1] < 60  # what is left of it
    assert list(trials(run)["status"]) == ["finished", "finished", "stopped", "finished", "finished"]


GRID = {
    "space": settled_space(SPACES["paper_gender"], Profile.FAST, {}).to_json(),
    "sampler": Sampler.GRID,
    "trials": 4,
}


@pytest.mark.parametrize(("begun", "settings"), [(2, GRID | {"grace": PLAN.epochs}), (0, {"trials": 3})])
def test_what_time_has_left_nothing_of_is_trained_by_a_larger_budget(run, monkeypatch, begun, settings):
    ray = Ray(monkeypatch, whole=2, open_=1, seconds=0.5, begun=begun)
    said = []
    search(run, said.append, time_budget=0.3, **settings).go()
    assert list(trials(run)["status"]) == ["finished", "finished", "running"]
    search(run, said.append, time_budget=0.3, **settings).go()
    assert len(ray.asked) == 1
    assert said[0] == said[2] == "note: trials that --time-budget has left open, for a larger one to go on with: 1"
    ray.whole, ray.open = 4, 0
    search(run, time_budget=60.0, **settings).go()
    assert list(trials(run)["status"]) == ["finished"] * settings["trials"]
    assert set(trials(run)["epochs"]) == {PLAN.epochs}


def test_a_budget_that_ended_a_search_without_trials_left_promises_nothing_of_a_larger_one(run, monkeypatch):
    Ray(monkeypatch, whole=2, open_=1, seconds=0.5)
    search(run, trials=3, time_budget=0.3).go()
    said = []
    search(run, said.append, trials=3, time_budget=0.3).go()
    assert said == []


def test_a_resume_with_fewer_trials_keeps_what_the_others_have_learned_and_says_why_they_ended(run, monkeypatch):
    Ray(monkeypatch, whole=2, open_=3, error=KilledError())
    with pytest.raises(KilledError):
        search(run, trials=8).go()
    ray = Ray(monkeypatch, whole=8)
    search(run, trials=3).go()
    assert ray.asked == [1]
    found = trials(run)
    assert list(found["status"]) == ["finished"] * 3 + ["stopped"] * 2
    assert list(found["epochs"]) == [6, 6, 6, 2, 2]
    assert list(found["reason"][3:]) == ["--trials was reached"] * 2
    assert len(pd.read_csv(run.curves)) == 22


def test_too_many_failed_trials_end_a_search_and_those_before_a_resume_do_not_count(run, monkeypatch):
    FailingRay(monkeypatch, whole=0)
    enough = (
        "3 trials failed, more than --max-failures 2; the last one: trial {0}, RuntimeError: {0}; once that is mended"
    )
    with pytest.raises(UserError, match=enough.format(2)):
        search(run, trials=8, max_failures=2).go()
    with pytest.raises(UserError, match=enough.format(5)):
        search(run, trials=8, max_failures=2).go()
    Ray(monkeypatch, whole=8)
    search(run, trials=8, max_failures=2).go()
    assert list(trials(run)["status"]) == ["failed"] * 6 + ["finished"] * 2


def test_rays_part_of_a_search_ends_when_the_time_it_was_given_does(monkeypatch):
    made = []
    monkeypatch.setattr(engine.ray_tune, "Tuner", lambda *_, tune_config, **__: made.append(tune_config) or NoTuner())
    monkeypatch.setattr(engine, "stored", lambda weights: weights)
    engine.run_search(Shared(), Workers(2, 1, 0.0), None, None, None, None, 7, 12.5)
    assert (made[0].time_budget_s, made[0].num_samples, made[0].max_concurrent_trials) == (12.5, 7, 2)


@dataclass
class Shared:
    """What workers share, of which nothing is looked at."""

    weights: None = None


class NoTuner:
    def fit(self):
        pass


def test_a_full_disk_of_ray_s_own_files_ends_a_search_in_one_line_that_says_how_to_go_on(monkeypatch, run):
    full = OSError(errno.ENOSPC, "No space left on device", "/tmp/tandem-ray-1/tandem/experiment_state.json")
    Ray(monkeypatch, 1, error=full)
    with pytest.raises(UserError) as told, run.resumable(print):
        search(run).go()
    reason = "experiment_state.json: No space left on device; nothing that ended is lost: go on with python scripts/search.py --resume run"
    assert reason in str(told.value)
    assert "\n" not in str(told.value)
