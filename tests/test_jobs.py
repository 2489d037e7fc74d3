"""Trainings in a list, some of which are lost with their workers; a stand-in trains them, so that Ray is not needed."""

from pathlib import Path

import pytest

from core.run_folder import RunFolder
from search_spaces.catalogue import SPACES
from tune.jobs import Work, train_jobs
from tune.plan import Plan
from tune.profile import Profile

PLAN = Plan(SPACES["gender"].to_json(), Profile.FAST)


class Fate:
    """Trains jobs; ``tries`` says of each try which are lost before they began and which fail by themselves."""

    def __init__(self, *tries: tuple[set[int], set[int]]) -> None:
        self.tries = list(tries)
        self.asked: list[list[int]] = []

    def __call__(self, jobs, recorder, *_) -> None:
        self.asked.append([job["replicate"] for job in jobs])
        lost, failed = self.tries.pop(0)
        for number in self.asked[-1]:
            place = f"gender/seed-{number}"
            if number in lost:
                recorder.failures[place] = "its worker process died"
                recorder.lost.add(place)
            elif number in failed:
                recorder.failures[place] = "DivergedError: not finite"
            else:
                recorder.curves[place] = [{"epoch": 2}]


def trained(folder: Path, fate: Fate, count: int = 4) -> list[str]:
    """What is said of so many trainings."""
    jobs = [{"label": "gender", "replicate": number} for number in range(count)]
    said: list[str] = []
    train_jobs(Work("retraining", "winners", 2, None, fate), jobs, PLAN, RunFolder(folder), said.append)
    return said


def test_what_was_lost_before_it_began_is_tried_once_more_and_nothing_else_is(tmp_path: Path, capsys) -> None:
    fate = Fate(({1, 3}, {2}), (set(), set()))
    said = trained(tmp_path, fate)
    assert fate.asked == [[0, 1, 2, 3], [1, 3]]
    assert said == ["retraining gender/seed-2 failed: DivergedError: not finite"]
    assert capsys.readouterr().out.startswith("retraining 4 models: 6/8 epochs; 0:0")


def test_what_is_lost_again_failed_and_is_not_tried_a_third_time(tmp_path: Path) -> None:
    fate = Fate(({0, 1}, set()), ({1}, {0}))
    said = trained(tmp_path, fate)
    assert fate.asked == [[0, 1, 2, 3], [0, 1]]
    assert sorted(said) == [
        "retraining gender/seed-0 failed: DivergedError: not finite",
        "retraining gender/seed-1 failed: its worker process died",
    ]


@pytest.mark.parametrize(("count", "asked"), [(0, []), (1, [[0]])])
def test_where_nothing_is_lost_there_is_one_try_and_of_nothing_none(tmp_path: Path, count: int, asked) -> None:
    fate = Fate((set(), set()))
    assert trained(tmp_path, fate, count) == []
    assert fate.asked == asked


def test_whoever_asked_for_an_end_meanwhile_gets_it_before_the_second_try(tmp_path: Path) -> None:
    fate = Fate(({1}, set()))

    def interrupted(jobs, recorder, interrupt) -> None:
        fate(jobs, recorder)
        interrupt.asked = True

    jobs = [{"label": "gender", "replicate": number} for number in range(2)]
    with pytest.raises(KeyboardInterrupt):
        train_jobs(Work("race", "race", 2, None, interrupted), jobs, PLAN, RunFolder(tmp_path), lambda _: None)
    assert fate.asked == [[0, 1]]
