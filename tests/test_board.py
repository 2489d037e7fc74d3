"""What TensorBoard is given of trials, read back with its own reader."""

import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2
from tensorboard.summary.writer import event_file_writer
from torch.utils.tensorboard import SummaryWriter

from core.run_folder import RunFolder
from search_spaces.catalogue import SPACES
from tune.board import Board
from tune.ledger import Entry

SPACE = SPACES["landmarks"]


@pytest.fixture(autouse=True)
def counted_from_0(monkeypatch):
    """Files of one second are read in the order of their numbers' digits, in which 10 comes before 9."""
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(0))


def epoch(number, error):
    return {"epoch": number, "train_loss": 2 * error, "relative_error": error, "val_nme_pct": 40 * error, "trial": 0}


def entry(number, errors, **config):
    return Entry(number, config, curve=[epoch(at, error) for at, error in enumerate(errors, 1)])


def read(folder):
    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def points(events, name):
    return [(event.step, event.value) for event in events.Scalars(name)]


def said_of_parameters(events):
    content = events.PluginTagToContent("hparams")
    return {name: plugin_data_pb2.HParamsPluginData.FromString(text) for name, text in content.items()}


@pytest.fixture
def run(tmp_path):
    made = RunFolder(tmp_path / "run")
    made.path.mkdir()
    return made


def test_every_parameter_stands_beside_the_metrics_it_gave_also_one_that_the_first_trial_lacks(run):
    board = Board(run, SPACE)
    board.describe()
    trials = [
        entry(0, [0.9, 0.7], optimizer="adam", lr=1e-4, landmark_loss="l1"),
        entry(1, [0.5, 0.6], optimizer="adam", lr=3e-4, landmark_loss="wing", wing_w=0.1, wing_epsilon=0.01),
    ]
    for one in trials:
        board.epoch(one)
        board.end(one, min(one.curve, key=lambda row: row["relative_error"]))
    board.close()
    (announced,) = said_of_parameters(read(run.path)).values()
    assert {info.name for info in announced.experiment.hparam_infos} == set(SPACE.parameters)
    for one, best, at in zip(trials, (0.7, 0.5), (2, 1), strict=True):
        events = read(run.trial(one.number))
        started = next(
            data.session_start_info for data in said_of_parameters(events).values() if data.session_start_info.hparams
        )
        given = {name: value.string_value or value.number_value for name, value in started.hparams.items()}
        assert given == one.config
        assert points(events, "best/relative_error") == [(at, pytest.approx(best))]
        assert points(events, "relative_error") == [
            (k, pytest.approx(row["relative_error"])) for k, row in enumerate(one.curve, 1)
        ]


def test_what_storage_does_not_take_is_written_whole_when_it_takes_the_next_thing(run, monkeypatch):
    board, flush, away = Board(run, SPACE), SummaryWriter.flush, [False]

    def flushed(self):
        if away[0]:
            raise OSError(28, "No space left on device")
        flush(self)

    monkeypatch.setattr(SummaryWriter, "flush", flushed)
    one, errors = Entry(0, {"lr": 1e-4}), [0.9, 0.8, 0.7, 0.6]
    for number, error in enumerate(errors, 1):
        away[0] = number in (2, 3)
        one.curve.append(epoch(number, error))
        board.epoch(one)
        assert bool(board.owed) is away[0]
    board.end(one, one.curve[-1])
    found = points(read(run.trial(0)), "relative_error")
    assert found == [(number, pytest.approx(error)) for number, error in enumerate(errors, 1)]


def test_a_trial_that_starts_over_leaves_no_epochs_of_its_first_attempt(run):
    board, one = Board(run, SPACE), entry(0, [0.9, 0.8, 0.7], lr=1e-4)
    for length in (1, 2, 3):
        board.epoch(Entry(0, one.config, curve=one.curve[:length]))
    board.close()
    again = Board(run, SPACE)
    for length in (1, 2):
        again.epoch(Entry(0, one.config, curve=[epoch(1, 0.95), epoch(2, 0.85)][:length]))
    again.close()
    curve = pd.DataFrame(points(read(run.trial(0)), "relative_error"), columns=["epoch", "error"])
    assert curve["epoch"].tolist() == [1, 2]
    assert curve["error"].tolist() == pytest.approx([0.95, 0.85])


def test_a_trial_begun_again_by_the_same_search_leaves_no_epochs_of_before(run):
    board = Board(run, SPACE)
    for curve in ([0.9, 0.8, 0.7], [0.95, 0.85]):
        board.begin(Entry(0, {}))
        for length in range(1, len(curve) + 1):
            board.epoch(entry(0, curve[:length]))
    board.close()
    found = points(read(run.trial(0)), "relative_error")
    assert found == [(1, pytest.approx(0.95)), (2, pytest.approx(0.85))]


def test_a_winner_gone_on_with_by_the_same_search_leaves_no_epochs_behind_its_checkpoint(run):
    board, folder = Board(run, SPACE), str(run.path / "winners" / "gender" / "seed-0")
    for first, errors in ((1, [0.9, 0.8, 0.7]), (2, [0.85, 0.75])):
        board.winner_begin(folder)
        curve = [epoch(at, error) for at, error in enumerate(errors, first)]
        for length in range(1, len(curve) + 1):
            board.winner_epoch(folder, curve[:length])
    board.close()
    found = points(read(folder), "relative_error")
    assert found == [(1, pytest.approx(0.9)), (2, pytest.approx(0.85)), (3, pytest.approx(0.75))]
