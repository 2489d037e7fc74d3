"""What storage does not take when a trial ends, or a retraining writes a checkpoint, is not passed over."""

from types import SimpleNamespace

import pytest

from core.objective import Objective
from core.patience import AwayError
from search_spaces.catalogue import SPACES
from tune.ledger import Ledger, Status
from tune.recorder import NOTE, Recorder, RetrainRecorder
from tune.study import Sampler, Study

BOARD = SimpleNamespace(begin=lambda _: None, epoch=lambda _: None, end=lambda *_: None, winner_epoch=lambda *_: None)


@pytest.fixture
def recorder(tmp_path):
    ledger = Ledger(tmp_path / "trials.csv", tmp_path / "curves.csv", Objective("relative_error"))
    return Recorder(ledger, Study(tmp_path / "journal", SPACES["gender"], Sampler.RANDOM, 0), BOARD, 1)


def full(*_, **__):
    raise AwayError("trials.csv: No space left on device, for 300 s")


@pytest.mark.parametrize("part", ["study.tell", "ledger.settle", "ledger.write"])
@pytest.mark.parametrize("error", [False, True])
def test_an_end_that_cannot_be_written_ends_the_search_and_not_the_trial(recorder, monkeypatch, tmp_path, part, error):
    number, parameters = recorder.study.ask()
    trial = SimpleNamespace(config={"number": number, "parameters": parameters}, error_file=None, status="RUNNING")
    trial.run_metadata = SimpleNamespace(num_failures=0)
    recorder.on_trial_start(0, [], trial)
    epoch = {"epoch": 1, "train_loss": 1.0, "relative_error": 0.5, "seconds_per_epoch": 0.1}
    recorder.on_trial_result(0, [], trial, epoch)
    monkeypatch.setattr(f"tune.{part.replace('study', 'study.Study').replace('ledger', 'ledger.Ledger')}", full)
    # Ray would take what is raised here for a failure of the trial, and train it again.
    (recorder.on_trial_error if error else recorder.on_trial_complete)(0, [], trial)
    with pytest.raises(AwayError, match="No space left on device"):
        recorder.on_step_end(0, [trial])
    if part != "ledger.write":  # else the journal has it, and curves.csv its epochs
        assert recorder.study.ended() == {}


def test_nothing_is_raised_where_ends_are_written(recorder):
    number, parameters = recorder.study.ask()
    trial = SimpleNamespace(config={"number": number, "parameters": parameters}, status="RUNNING")
    recorder.on_trial_start(0, [], trial)
    recorder.on_trial_complete(0, [], trial)
    recorder.on_step_end(0, [trial])
    assert recorder.ledger.entries[0].status is Status.STOPPED


def test_that_no_checkpoint_is_kept_is_said_once_for_each_retraining():
    heard = []
    recorder = RetrainRecorder(BOARD, say=heard.append)
    for replicate in (0, 1):
        trial = SimpleNamespace(config={"job": {"label": "multitask", "replicate": replicate, "folder": "x"}})
        trial.run_metadata = SimpleNamespace(num_failures=0)
        for epoch in (1, 2, 3):
            recorder.on_trial_result(0, [], trial, {"epoch": epoch, NOTE: "" if epoch == 1 else "no checkpoint"})
    assert heard == [f"note: multitask/seed-{replicate}: no checkpoint" for replicate in (0, 1)]
    assert all(NOTE not in row for curve in recorder.curves.values() for row in curve)
