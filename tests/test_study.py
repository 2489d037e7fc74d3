import json
import math
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from optuna.storages.journal import JournalFileBackend

from core.objective import Objective
from core.patience import Patience
from search_spaces.catalogue import SPACES
from search_spaces.grid import grid_of
from search_spaces.parameter import Choice
from tune.ledger import Ledger, Status
from tune.study import Sampler, Study


@pytest.mark.parametrize("sampler", [Sampler.RANDOM, Sampler.TPE])
def test_every_draw_lies_in_the_space_and_conditions_hold(tmp_path, sampler):
    space = SPACES["joint"]
    study = Study(tmp_path / "j", space, sampler, 0)
    for index in range(25):
        number, drawn = study.ask()
        assert number == index
        assert all(value in space.parameters[key] for key, value in drawn.items())
        assert set(drawn) == {key for key in space.parameters if space.is_active(key, drawn)}
        study.tell(number, "stopped" if index % 2 else "finished", 0.1 * index, 3, "")


def test_a_reopened_study_draws_what_an_undisturbed_one_would(tmp_path):
    one = Study(tmp_path / "one", SPACES["multitask"], Sampler.RANDOM, 7)
    expected = [one.ask() for _ in range(6)]
    found = []
    for _ in range(3):
        again = Study(tmp_path / "two", SPACES["multitask"], Sampler.RANDOM, 7)
        found += [again.ask(), again.ask()]
    assert found == expected


def test_draws_differ_from_trial_to_trial_and_seed_to_seed(tmp_path):
    a = Study(tmp_path / "a", SPACES["multitask"], Sampler.RANDOM, 0)
    b = Study(tmp_path / "b", SPACES["multitask"], Sampler.RANDOM, 1)
    rates = [study.ask()[1]["lr"] for study in (a, a, b, b)]
    assert len(set(rates)) == 4


def test_the_journal_remembers_how_trials_ended_even_after_a_torn_write(tmp_path):
    study = Study(tmp_path / "j", SPACES["gender"], Sampler.TPE, 0)
    for number, (status, cost) in enumerate([("finished", 0.3), ("stopped", 0.5), ("failed", None)]):
        study.ask()
        study.tell(number, status, cost, 4, "why" if cost is None else "")
    study.ask()
    with (tmp_path / "j").open("ab") as file:
        file.write(b'{"op_code": 4, "work')
    again = Study(tmp_path / "j", SPACES["gender"], Sampler.TPE, 0)
    assert again.ended() == {0: ("finished", ""), 1: ("stopped", ""), 2: ("failed", "why")}
    assert sorted(again.known()) == [0, 1, 2, 3]
    assert again.ask()[0] == 4


def test_a_choice_takes_every_value(tmp_path):
    study = Study(tmp_path / "j", SPACES["gender"], Sampler.RANDOM, 0)
    parameter = SPACES["gender"].parameters["optimizer"]
    assert isinstance(parameter, Choice)
    assert {study.ask()[1]["optimizer"] for _ in range(40)} == set(parameter.values)


@pytest.mark.parametrize("drawn", range(6))
def test_a_trial_cut_off_while_it_was_drawn_gets_what_it_would_have_got(tmp_path, monkeypatch, drawn):
    space = SPACES["multitask"]
    undisturbed = Study(tmp_path / "a", space, Sampler.RANDOM, 3)
    expected = [undisturbed.ask()[1] for _ in range(3)]
    cut = Study(tmp_path / "b", space, Sampler.RANDOM, 3)
    cut.ask()
    left = list(space.parameters)[drawn:]

    def until_killed(self, suggest):
        return whole(self, lambda key, parameter: None if key in left else suggest(key, parameter))

    whole = type(space).draw
    monkeypatch.setattr(type(space), "draw", until_killed)
    cut.ask()
    monkeypatch.undo()
    again = Study(tmp_path / "b", space, Sampler.RANDOM, 3)
    assert again.known() == dict(enumerate(expected[:2]))
    assert again.ask()[1] == expected[2]


def test_a_trial_cut_off_under_tpe_keeps_what_was_drawn_and_gets_the_rest(tmp_path):
    study = Study(tmp_path / "j", SPACES["joint"], Sampler.TPE, 3)
    trial = study.study.ask()
    trial.suggest_categorical("architecture", SPACES["joint"].parameters["architecture"].values)
    again = Study(tmp_path / "j", SPACES["joint"], Sampler.TPE, 3).known()[0]
    assert again["architecture"] == trial.params["architecture"]
    assert {"optimizer", "lr"} <= set(again)
    assert again == Study(tmp_path / "j", SPACES["joint"], Sampler.TPE, 3).known()[0]


def test_a_lock_left_by_a_killed_process_does_not_stop_the_next(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Study(Path("j"), SPACES["gender"], Sampler.RANDOM, 0).ask()
    Path("j.lock").symlink_to("j")
    assert Study(Path("j"), SPACES["gender"], Sampler.RANDOM, 0).ask()[0] == 1


def result(epoch, error):
    return {"epoch": epoch, "train_loss": 1.0, "relative_error": error, "seconds_per_epoch": 0.5}


def test_the_ledger_restores_curves_drops_a_torn_line_and_keeps_the_last_of_repeated_epochs(tmp_path):
    objective = Objective("relative_error")
    ledger = Ledger(tmp_path / "trials.csv", tmp_path / "curves.csv", objective)
    ledger.add(0, {"lr": 0.1})
    ledger.add(1, {"lr": 0.2})
    for number, epoch, error in ((0, 1, 0.9), (0, 2, 0.8), (1, 1, 0.7), (0, 1, 0.6), (0, 2, 0.5)):
        ledger.record(number, result(epoch, error))
    with (tmp_path / "curves.csv").open("a") as file:
        file.write("1,2,0.4")
    again = Ledger(tmp_path / "trials.csv", tmp_path / "curves.csv", objective)
    again.add(0, {"lr": 0.1})
    again.add(1, {"lr": 0.2})
    again.restore_curves()
    assert [row["relative_error"] for row in again.entries[0].curve] == [0.6, 0.5]
    assert [row["epoch"] for row in again.entries[1].curve] == [1]
    again.entries[0].status = again.entries[1].status = Status.FINISHED
    assert [entry.number for entry in again.ranked()] == [0, 1]
    again.write(now=True)
    table = again.table()
    assert list(table["epochs"]) == [2, 1]
    assert list(table["config.lr"]) == [0.1, 0.2]
    assert table["val_nme_pct"].isna().all()


def test_a_grid_is_drawn_cell_by_cell_and_again_also_over_a_restart(tmp_path):
    space = SPACES["paper_multitask"]
    drawn = []
    for _ in range(10):
        study = Study(tmp_path / "j", space, Sampler.GRID, 0)
        drawn.append(study.ask()[1])
    assert drawn == grid_of(space) * 2


def test_trials_of_elsewhere_teach_the_sampler_what_its_own_would(tmp_path):
    space = SPACES["multitask"]
    taught, searched = Study(tmp_path / "a", space, Sampler.TPE, 0), Study(tmp_path / "b", space, Sampler.TPE, 0)
    for index in range(12):
        number, parameters = searched.ask()
        status, cost = ("stopped", 0.9) if index % 3 else ("finished", 0.1 * index)
        searched.tell(number, status, cost, 4, "")
        taught.add(parameters, status, cost, 4)
    assert taught.known() == searched.known()
    assert taught.ended() == searched.ended()
    assert taught.ask() == searched.ask()


@pytest.mark.parametrize("two_goals", [False, True])
def test_tpe_learns_of_each_kind_of_model_from_its_own_kind_however_much_better_another_is(tmp_path, two_goals):
    best = {"gender": 8e-4, "landmarks": 1.2e-5, "multitask": 8e-4, "attention": 1.2e-5}
    study = Study(tmp_path / "j", SPACES["joint"], Sampler.TPE, 0, two_goals=two_goals)
    drawn = {kind: [] for kind in best}
    for _ in range(120):
        number, parameters = study.ask()
        kind, rate = parameters["architecture"], parameters["lr"]
        drawn[kind].append(rate)
        cost = abs(math.log10(rate / best[kind])) + (0 if kind == "gender" else 100)
        study.tell(number, "finished", (cost, cost) if two_goals else cost, 10, "")
    for kind, rates in drawn.items():
        assert 18 <= len(rates) <= 45
        learned = np.log10(rates[-10:])
        assert np.median(np.abs(learned - math.log10(best[kind]))) < 0.5  # 1 by chance


def test_drawing_a_trial_does_not_look_through_all_others(tmp_path, monkeypatch):
    study = Study(tmp_path / "j", SPACES["multitask"], Sampler.RANDOM, 0)
    first = study.ask()[0]
    looked = []
    monkeypatch.setattr(study.study._storage._replay_result, "get_all_trials", lambda *_: looked.append(1) or [])
    assert study.ask()[0] == first + 1
    assert not looked


def test_tpe_keeps_away_from_where_trials_diverge(tmp_path):
    """The higher the rate the better, up to a cliff behind which nothing can be trained."""
    cliff, behind = 2e-4, {}
    for reason in ("DivergedError: loss or score not finite in epoch 1", "OSError: no space left on device"):
        study = Study(tmp_path / reason[:3], SPACES["gender"], Sampler.TPE, 0)
        rates = []
        for _ in range(60):
            number, parameters = study.ask()
            rates.append(parameters["lr"])
            lost = parameters["lr"] > cliff
            cost = None if lost else -math.log(parameters["lr"])
            study.tell(number, "failed" if lost else "finished", cost, 2, reason if lost else "")
        behind[reason[:3]] = sum(rate > cliff for rate in rates[20:])
    assert behind["Div"] < behind["OSE"] / 2


def test_a_trial_is_written_once_when_drawn_and_once_when_it_ends(tmp_path, monkeypatch):
    writings = []
    true = JournalFileBackend.append_logs
    monkeypatch.setattr(JournalFileBackend, "append_logs", lambda self, logs: writings.append(logs) or true(self, logs))
    study = Study(tmp_path / "j", SPACES["multitask"], Sampler.RANDOM, 0)
    writings.clear()
    for number, (status, cost) in enumerate((("finished", 0.5), ("stopped", 0.7), ("failed", None))):
        assert study.ask()[0] == number
        study.tell(number, status, cost, 2, "why")
    assert len(writings) == 6
    again = Study(tmp_path / "j", SPACES["multitask"], Sampler.RANDOM, 0)
    assert again.study.get_trials() == study.study.get_trials()
    assert [json.loads(line) for line in (tmp_path / "j").read_text().splitlines()][1:] == [*chain(*writings)]


def test_the_journal_is_read_on_from_where_it_was_left_and_not_from_its_start(tmp_path):
    study = Study(tmp_path / "j", SPACES["multitask"], Sampler.RANDOM, 0)
    for _ in range(3):
        number, _ = study.ask()
        assert study.backend._log_number_offset[study.backend.records] == (tmp_path / "j").stat().st_size
        study.tell(number, "finished", 0.5, 2, "")
        assert study.backend._log_number_offset[study.backend.records] == (tmp_path / "j").stat().st_size


@pytest.mark.parametrize("failures", [1, 3])
def test_storage_that_is_full_for_a_while_costs_no_record(tmp_path, monkeypatch, failures):
    said, left = [], [failures]
    study = Study(tmp_path / "j", SPACES["multitask"], Sampler.RANDOM, 0, Patience(said.append, 5.0))
    true = JournalFileBackend.append_logs

    def half(self, logs):
        if left[0]:
            left[0] -= 1
            with (tmp_path / "j").open("ab") as file:
                file.write(b'{"op_code": 4, "wor')  # a full disk takes a part of the record
            raise OSError(28, "No space left on device")
        true(self, logs)

    monkeypatch.setattr("core.patience.RETRY_SECONDS", 0.01)
    monkeypatch.setattr(JournalFileBackend, "append_logs", half)
    drawn = study.ask()[1]
    assert "No space left on device" in said[0]
    undisturbed = Study(tmp_path / "u", SPACES["multitask"], Sampler.RANDOM, 0)
    assert undisturbed.ask()[1] == drawn
    assert Study(tmp_path / "j", SPACES["multitask"], Sampler.RANDOM, 0).known() == {0: drawn}
