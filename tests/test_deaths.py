"""When a worker's death counts."""

from types import SimpleNamespace

from tune.deaths import WORKER_DEATHS, Deaths
from tune.silence import Silence


def lived(*lives, most=WORKER_DEATHS):
    """How many lives a trial has, each of which reaches these epochs and then dies, before Ray gives it up."""
    deaths, trial = Deaths(), SimpleNamespace(run_metadata=SimpleNamespace(num_failures=0))
    for number, epochs in enumerate(lives, 1):
        for epoch in epochs:
            deaths.hear("trial", epoch, trial)
        trial.run_metadata.num_failures += 1  # as Ray counts
        if trial.run_metadata.num_failures > most:
            return number
    return None


def test_a_trial_that_comes_farther_each_time_may_die_as_often_as_machines_are_taken_away():
    assert lived(*[range(5 * life - 4, 5 * life + 1) for life in range(1, 11)]) is None


def test_one_that_dies_in_the_same_epoch_again_and_again_is_given_up():
    assert lived(*[range(1, 6)] * 10) == 4  # from the start each time
    assert lived(*[range(4, 6)] * 10) == 4  # from a checkpoint
    assert lived(*[[]] * 10) == 4  # before its first epoch


def test_one_that_hung_and_then_came_farther_may_die_as_often_again():
    trial = SimpleNamespace(run_metadata=SimpleNamespace(num_failures=1), num_failures=1, max_failures=3)
    Silence(60.0).last_try(trial)
    assert trial.max_failures == 1
    Deaths().hear("trial", 5, trial)
    assert (trial.run_metadata.num_failures, trial.max_failures) == (0, WORKER_DEATHS)


def test_trials_are_told_apart():
    deaths = Deaths()
    one, other = (SimpleNamespace(run_metadata=SimpleNamespace(num_failures=2)) for _ in range(2))
    deaths.hear(1, 5, one)
    deaths.hear(2, 1, other)
    assert (one.run_metadata.num_failures, other.run_metadata.num_failures) == (0, 0)
    other.run_metadata.num_failures = 1
    deaths.hear(2, 1, other)
    assert other.run_metadata.num_failures == 1
