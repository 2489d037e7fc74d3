import os
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from ray.exceptions import ActorDiedError, RayTaskError

from core.objective import Objective
from core.patience import AwayError
from search_spaces.catalogue import SPACES
from tune.ledger import REWRITE_SHARE, Ledger, Status
from tune.recorder import AWAY, LOSSES, FailureLimit, Recorder
from tune.silence import LATE_SECONDS, Silence
from tune.study import Sampler, Study


class NoBoard:
    def begin(self, entry):
        pass

    def epoch(self, entry):
        pass

    def end(self, entry, best):
        pass


@pytest.fixture
def recorder(tmp_path):
    ledger = Ledger(tmp_path / "trials.csv", tmp_path / "curves.csv", Objective("relative_error"))
    return Recorder(ledger, Study(tmp_path / "journal", SPACES["gender"], Sampler.RANDOM, 0), NoBoard(), 3)


def task_error(error, method="train"):
    """An error of an actor as Ray tells it: its traceback as text, and then what it says."""
    trace = f'ray::SearchTrial.{method}() (pid=1)\n  File "engine.py", line 3, in {method}\n'
    return RayTaskError(method, f"{trace}{type(error).__module__}.{type(error).__name__}: {error}", error)


def drawn(recorder, error=None):
    """A trial whose worker died, or failed with an error, as Ray leaves it."""
    number, parameters = recorder.study.ask()
    path = recorder.study.journal.with_name(f"error-{number}.txt")
    path.write_text(
        f"Failure # 1 (occurred at noon)\nan older one\nFailure # 2 (occurred at noon)\n{error or ActorDiedError()}\n"
    )
    config, metadata = {"number": number, "parameters": parameters}, SimpleNamespace(num_failures=2)
    return SimpleNamespace(config=config, error_file=str(path), run_metadata=metadata)


def epoch(number):
    return {"epoch": number, "train_loss": 1.0, "relative_error": 0.5, "seconds_per_epoch": 0.1}


def test_a_trial_lost_before_it_began_stays_open_a_few_times(recorder):
    trial = drawn(recorder)
    for _ in range(LOSSES):
        recorder.on_trial_error(0, [], trial)
        assert recorder.ledger.entries[0].status is Status.PENDING
    recorder.on_trial_error(0, [], trial)
    assert recorder.ledger.entries[0].status is Status.FAILED
    assert recorder.study.ended() == {
        0: ("failed", "its worker process died each time it was tried, as for want of memory or with its node")
    }


def test_a_trial_that_ran_and_lost_its_worker_too_often_fails_with_the_reason(recorder):
    told = "CUDA error: no kernel image\nCUDA kernel errors might be reported late"
    trial = drawn(recorder, task_error(RuntimeError(told)))
    recorder.on_trial_start(0, [], trial)
    recorder.on_trial_error(0, [], trial)
    assert recorder.ledger.entries[0].status is Status.FAILED
    assert recorder.ledger.entries[0].reason == "RuntimeError: CUDA error: no kernel image"


def test_a_worker_that_could_not_start_is_not_told_as_one_that_died_for_want_of_memory(recorder):
    trial = drawn(recorder, ActorDiedError(task_error(ImportError("no torch here"), "__init__")))
    recorder.on_trial_start(0, [], trial)
    recorder.on_trial_error(0, [], trial)
    assert recorder.ledger.entries[0].reason == "its worker could not start: ImportError: no torch here"


def test_a_trial_of_which_ray_kept_no_error_fails_and_says_so(recorder):
    trial = drawn(recorder)
    Path(trial.error_file).unlink()
    recorder.on_trial_start(0, [], trial)
    recorder.on_trial_error(0, [], trial)
    assert recorder.ledger.entries[0].status is Status.FAILED
    assert recorder.ledger.entries[0].reason.endswith("why was not kept")


def test_the_disk_holds_a_trials_epochs_before_the_journal_says_that_it_ended(recorder, monkeypatch):
    safe, told = {}, []
    tell = recorder.study.tell

    def flushed(handle, flush=os.fsync):
        flush(handle)
        safe[os.fstat(handle).st_ino] = os.fstat(handle).st_size

    def telling(*given):
        told.append(safe.get(recorder.ledger.curves_path.stat().st_ino))
        tell(*given)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(recorder.study, "tell", telling)
    for _ in range(2):
        trial = drawn(recorder)
        recorder.on_trial_start(0, [], trial)
        for number in (1, 2, 3):
            recorder.on_trial_result(0, [], trial, epoch(number))
        recorder.on_trial_complete(0, [], trial)
        assert told[-1] == recorder.ledger.curves_path.stat().st_size > 0


def test_a_trial_that_starts_over_forgets_its_epochs(recorder):
    trial, other = drawn(recorder), drawn(recorder)
    for one in (trial, other):
        recorder.on_trial_start(0, [], one)
        for number in (1, 2):
            recorder.on_trial_result(0, [], one, epoch(number))
    recorder.on_trial_start(0, [], trial)
    recorder.on_trial_result(0, [], trial, epoch(1))
    assert [row["epoch"] for row in recorder.ledger.entries[0].curve] == [1]
    rows = pd.read_csv(recorder.ledger.curves_path)
    assert list(zip(rows["trial"], rows["epoch"], strict=True)) == [(1, 1), (1, 2), (0, 1)]


@pytest.mark.parametrize(("epochs", "status"), [(3, Status.FINISHED), (2, Status.STOPPED)])
def test_a_trial_is_finished_only_with_all_its_epochs(recorder, epochs, status):
    trial = drawn(recorder)
    recorder.on_trial_start(0, [], trial)
    for number in range(1, epochs + 1):
        recorder.on_trial_result(0, [], trial, epoch(number))
    recorder.on_trial_complete(0, [], trial)
    assert recorder.ledger.entries[0].status is status


def test_failures_before_a_resume_do_not_count_against_the_limit(recorder):
    for _ in range(2):
        fail(recorder)
    assert recorder.ledger.count(Status.FAILED) == 2
    resumed = Recorder(recorder.ledger, recorder.study, recorder.board, recorder.epochs)
    limit = FailureLimit(resumed, 0)
    assert not limit.stop_all()
    fail(resumed)
    assert limit.stop_all()


def fail(recorder):
    trial = drawn(recorder)
    recorder.on_trial_start(0, [], trial)
    recorder.on_trial_result(0, [], trial, {"failure": "DivergedError: loss"})
    recorder.on_trial_complete(0, [], trial)


def test_a_trial_that_is_said_to_be_over_twice_fails_once(recorder):
    trial = drawn(recorder)
    recorder.on_trial_start(0, [], trial)
    recorder.on_trial_result(0, [], trial, {"failure": "DivergedError: loss"})
    recorder.on_trial_complete(0, [], trial)
    recorder.on_trial_error(0, [], trial)
    assert recorder.failures == 1


def test_trials_csv_is_rewritten_the_more_rarely_the_longer_that_takes(tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("tune.ledger.time.monotonic", lambda: clock[0])
    written = []

    def slow(path, text):
        written.append(clock[0])
        clock[0] += 0.5

    monkeypatch.setattr("tune.ledger.write_text", slow)
    ledger = Ledger(tmp_path / "trials.csv", tmp_path / "curves.csv", Objective("relative_error"))
    while clock[0] < 60:
        ledger.write()
        clock[0] += 0.1
    assert 0.5 * len(written) / 60 == pytest.approx(REWRITE_SHARE, abs=0.01)
    ledger.write(now=True)
    assert clock[0] - written[-1] == 0.5


def test_a_trial_that_hung_is_tried_once_more_and_then_given_up_with_the_reason(recorder, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("tune.silence.time.monotonic", lambda: clock[0])
    recorder.silence = Silence(60.0)
    trial = drawn(recorder)
    trial.num_failures, trial.max_failures = 1, 3
    recorder.on_trial_start(0, [], trial)
    clock[0] += 61
    recorder.on_trial_recover(0, [], trial)
    assert trial.max_failures == trial.num_failures  # Ray gives a trial up when it has failed more often than this
    recorder.on_trial_start(0, [], trial)
    clock[0] += 61
    recorder.on_trial_error(0, [], trial)
    assert recorder.ledger.entries[0].status is Status.FAILED
    assert recorder.ledger.entries[0].reason == "no epoch within --trial-timeout (60 s), twice"


def test_a_worker_that_died_within_the_timeout_did_not_hang(recorder, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("tune.silence.time.monotonic", lambda: clock[0])
    recorder.silence = Silence(60.0)
    trial = drawn(recorder)
    trial.num_failures, trial.max_failures = 1, 3
    recorder.on_trial_start(0, [], trial)
    clock[0] += 50
    recorder.on_trial_result(0, [], trial, epoch(1))
    clock[0] += 50
    recorder.on_trial_recover(0, [], trial)
    assert trial.max_failures == 3
    recorder.on_trial_error(0, [], trial)
    assert (
        recorder.ledger.entries[0].reason
        == "its worker process died each time it was tried, as for want of memory or with its node"
    )


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("tune.silence.time.monotonic", lambda: now[0])
    return now


def looked(silence, clock, seconds, step=1.0):
    """Look at one running trial for some seconds."""
    for _ in range(round(seconds / step)):
        clock[0] += step
        silence.look({0: "its trial"})


def test_a_worker_that_does_not_end_itself_in_time_is_ended(clock):
    ended = []
    silence = Silence(60.0, ended.append)
    silence.broken(0)
    looked(silence, clock, 60 + LATE_SECONDS)
    assert ended == []
    looked(silence, clock, 1)
    assert ended == ["its trial"]
    silence.broken(0)
    looked(silence, clock, 60)
    assert len(ended) == 1


def test_the_time_in_which_nobody_listened_does_not_count_as_silence(clock):
    ended = []
    silence = Silence(60.0, ended.append)
    silence.broken(0)
    looked(silence, clock, 10)
    looked(silence, clock, 300, step=300.0)  # the driver waited for its disk
    looked(silence, clock, 50 + LATE_SECONDS)
    assert ended == []
    looked(silence, clock, 1)
    assert ended == ["its trial"]


def test_without_a_timeout_no_worker_is_ended(clock):
    ended = []
    silence = Silence(None, ended.append)
    silence.broken(0)
    looked(silence, clock, 10_000, step=2.0)
    assert ended == []


def test_a_trial_whose_results_storage_does_not_take_stays_open(recorder):
    trial = drawn(recorder)
    recorder.on_trial_start(0, [], trial)
    with pytest.raises(AwayError, match="full for 300 s"):
        recorder.on_trial_result(0, [], trial, {AWAY: "full for 300 s", "done": True})
    assert recorder.ledger.entries[0].status is Status.RUNNING
    assert recorder.study.ended() == {}


def test_a_failure_is_said_at_once_with_its_reason_and_nothing_else_is(recorder):
    recorder.say = (heard := []).append
    for number, failure in enumerate(("out of memory", None)):
        trial = drawn(recorder)
        recorder.on_trial_start(0, [], trial)
        recorder.on_trial_result(0, [], trial, {"failure": failure} if failure else epoch(1))
        recorder.on_trial_complete(0, [], trial)
        assert heard == ["trial 0 failed: out of memory"], number


def test_the_epochs_left_are_foretold_from_the_trials_that_ended(tmp_path):
    ledger = Ledger(tmp_path / "trials.csv", tmp_path / "curves.csv", Objective("relative_error"))
    for count, status in ((2, "stopped"), (10, "finished"), (0, "failed"), (3, "running"), (7, "running")):
        entry = ledger.add(len(ledger.entries), {})
        entry.curve, entry.status = [epoch(number + 1) for number in range(count)], Status(status)
    assert ledger.epochs(*Status) == 22
    # One of two trials came beyond three and seven epochs, and had ten; a new one has six, the mean of both.
    assert ledger.epochs_left(7, most=12) == (10 - 3) + (10 - 7) + 2 * 6
    ledger.entries[4].curve = [epoch(number + 1) for number in range(11)]
    assert ledger.epochs_left(5, most=12) == (10 - 3) + (12 - 11)
