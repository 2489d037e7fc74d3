import argparse

import pandas as pd
import pytest
import torch

from benchmarks import learning_curves
from benchmarks.learning_curves import Book, Training, asked, drawn, expected, trained, wanted
from core.config import config_from_flat
from core.errors import UserError
from core.names import Precision
from core.seeds import derived_seed
from core.session import DivergedError, Session
from search_spaces.catalogue import SPACES

GIVEN = argparse.Namespace(configs=3, seeds=2, epochs=4, paper_seeds=1, paper_epochs=2)


def instant(training):
    return {"architecture": "gender", "ranked_by": 1.0 + training.number, "seconds_per_epoch": 0.1, "e1": 0.5}


def filled(path, result=instant, stop_after=None):
    book = Book(path)
    found = []
    for training in wanted(GIVEN, book):
        if len(found) == stop_after:
            break
        book.add(training, result(training))
        found.append(training)
    return book, found


def test_every_line_is_trained_once_also_when_cut_off_and_gone_on_with(tmp_path):
    _, first = filled(tmp_path / "c.csv", stop_after=9)
    book, rest = filled(tmp_path / "c.csv")
    keys = [training.key for training in [*first, *rest]]
    assert len(keys) == len(set(keys)) == expected(GIVEN) == 3 * 2 + 19
    assert len(pd.read_csv(tmp_path / "c.csv")) == len(book.rows) == 25
    assert filled(tmp_path / "c.csv")[1] == []


def test_what_the_file_holds_beyond_what_was_asked_does_not_count_as_done(tmp_path):
    book, _ = filled(tmp_path / "c.csv")
    assert sum(asked(GIVEN, key) for key in book.rows) == expected(GIVEN)
    less = argparse.Namespace(**{**vars(GIVEN), "configs": 2, "seeds": 1, "paper_seeds": 0})
    assert sum(asked(less, key) for key in book.rows) == expected(less) == 2


def test_each_table_of_the_paper_keeps_what_the_tables_before_it_ranked_first(tmp_path):
    best = {1: 2, 2: 4, 3: 1, 4: 0}

    def result(training):
        return {**instant(training), "ranked_by": 0.0 if training.number == best.get(training.table) else 1.0}

    _, found = filled(tmp_path / "c.csv", result)
    last = next(training for training in found if training.table == 4)
    tables = {
        number: [training.parameters for training in found if training.table == number][best[number]]
        for number in (1, 2, 3)
    }
    for chosen in tables.values():
        assert {key: last.fixed[key] for key in chosen} == chosen


def test_drawn_configurations_lie_in_joint_and_more_of_them_begin_with_the_same():
    few, more = drawn(SPACES["joint"], 5), drawn(SPACES["joint"], 8)
    assert more[:5] == few
    assert all(value in SPACES["joint"].parameters[key] for one in more for key, value in one.items())


def test_columns_of_epochs_stand_in_their_order(tmp_path):
    book = Book(tmp_path / "c.csv")
    training = Training("joint", 0, 0, 0, {"lr": 1e-4}, {}, 11)
    book.add(training, {f"e{epoch}": 0.1 for epoch in range(11, 0, -1)})
    columns = pd.read_csv(tmp_path / "c.csv").columns.tolist()
    assert columns[-11:] == [f"e{epoch}" for epoch in range(1, 12)]


@pytest.fixture
def material(weights, activations):
    return argparse.Namespace(weights=weights, examples=lambda _: activations)


def training_of(**settings):
    fixed = {"architecture": "landmarks", "frozen_blocks": 5, "head_width": 16}
    return Training("joint", 0, 0, 1, {"lr": 1e-3, **settings}, fixed, 3, "val_nme_pct")


def test_a_line_holds_a_sessions_relative_errors_and_the_rank_of_its_best_epoch(material):
    training = training_of()
    line = trained(training, material, Precision.FP32, torch.device("cpu"))
    config = config_from_flat({**training.fixed, **training.parameters, "precision": "fp32"})
    seed = derived_seed(0, 1, 1)
    session = Session(config, *material.examples(5), material.weights, seed, torch.device("cpu"))
    rows = [session.run_epoch() for _ in range(3)]
    assert [line[f"e{i}"] for i in (1, 2, 3)] == pytest.approx([row["relative_error"] for row in rows], abs=1e-5)
    assert line["ranked_by"] == min(rows, key=lambda row: row["val_loss"])["val_nme_pct"]


def test_a_training_that_diverges_ranks_last_and_keeps_the_epochs_before(material, monkeypatch):
    whole = Session.run_epoch

    def diverging(session):
        if session.epoch == 1:
            raise DivergedError("in epoch 2")
        return whole(session)

    monkeypatch.setattr(Session, "run_epoch", diverging)
    line = trained(training_of(), material, Precision.FP32, torch.device("cpu"))
    assert line["ranked_by"] == float("inf")
    assert [key for key in line if key.startswith("e")] == ["e1"]


def test_curves_of_other_faces_are_not_mixed_with_those_of_the_excerpt(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.argv", ["x", "--data", str(tmp_path)])
    with pytest.raises(UserError, match="is for the curves of"):
        learning_curves.main()
