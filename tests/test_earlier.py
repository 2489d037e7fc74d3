import json

import pytest
from earlier_run import plan_of, write_earlier, write_winner_rows

from core.errors import UserError
from core.storage import Storage
from tune.earlier import read_run, winners_prior

ADAM = {"architecture": "gender", "optimizer": "adam", "lr": 1e-4}
ATTENTION = {"architecture": "attention", "optimizer": "adam", "lr": 1e-4, "landmark_loss": "l1"}
ATTENTION |= {"lambda1": 2.0, "lambda2": 5.0, "d_k": 64}


@pytest.fixture
def storage(tmp_path):
    return Storage(str(tmp_path / "runs"), tmp_path / "cache")


@pytest.fixture
def first(tmp_path):
    trials = [
        (ADAM, [0.9, 0.5], "finished"),
        (ATTENTION, [0.8], "stopped"),
        (ADAM, [0.1], "failed"),
        (ADAM, [0.1], "running"),
        (ADAM, [], "pending"),
    ]
    return write_earlier(tmp_path / "runs" / "first", plan_of(), trials)


def test_trials_that_ended_with_a_result_come_with_all_their_settings(first, storage):
    run = read_run("first", storage)
    assert run.count == 5
    assert [[row["relative_error"] for row in trial.curve] for trial in run.trials] == [[0.9, 0.5], [0.8]]
    assert run.trials[1].config["d_k"] == 64  # beside trials without one the column holds decimals
    assert run.trials[0].config["head_width"] == 512
    assert run.trials[0].config["batch_size"] == 15  # a default


def test_a_run_is_found_by_name_by_folder_and_by_url(first, storage, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    elsewhere = Storage(str(tmp_path / "others"), tmp_path / "cache")
    by_url = f"file://{first}"
    for word, place in (("first", storage), ("runs/first", elsewhere), (str(first), elsewhere), (by_url, elsewhere)):
        assert len(read_run(word, place).trials) == 2
    assert len(read_run("first", Storage(f"file://{first.parent}", tmp_path / "cache")).trials) == 2
    assert not (tmp_path / "cache").exists()  # nobody else's working copy is touched


def test_reading_leaves_a_run_as_it_is(first, storage):
    before = {path: path.read_bytes() for path in first.iterdir()}
    read_run("first", storage)
    assert {path: path.read_bytes() for path in first.iterdir()} == before


def test_the_winners_of_a_run_by_kind_of_model(first, storage):
    write_winner_rows(first, [ADAM | {"head_width": 512}, ATTENTION | {"head_width": 512}])
    prior, record = winners_prior("first", storage)
    assert set(prior) == {"gender", "attention"}
    assert (prior["gender"]["lr"], prior["attention"]["d_k"]) == (1e-4, 64)
    assert record["split_fingerprint"] == "split"


def test_what_is_no_earlier_search_is_one_line(first, storage):
    def refused(read, word, message):
        with pytest.raises(UserError, match=message) as error:
            read(word, storage)
        assert "\n" not in str(error.value)

    refused(read_run, "second", "second: no run of this name in .*runs, and no such folder")
    refused(winners_prior, "second", "no run of this name")
    refused(winners_prior, "first", "no winners yet")
    (first / "winners.csv").write_text("model,rank\ngender,1\n")
    refused(winners_prior, "first", "not the table of winners")
    (first / "winners.csv").write_text("")
    refused(winners_prior, "first", "not a table that a search writes")
    text = (first / "trials.csv").read_text()
    (first / "trials.csv").write_text(text.replace("0.0001", "many"))
    refused(read_run, "first", r"trials\.csv, row 1: lr must be a number")
    refused(read_run, f"file://{first}", rf"^file://{first}/trials\.csv, row 1: lr must be a number")
    refused(read_run, f"file://{first}-2", rf"^file://{first}-2: no run here")
    (first / "trials.csv").unlink()
    refused(read_run, "first", "no trials yet")
    record = json.loads((first / "search.json").read_text())
    (first / "search.json").write_text(json.dumps(record | {"plan": {"paper": True}}))
    for read in (read_run, winners_prior):
        refused(read, "first", "a replication of the paper; name one of its steps, as first/table3")
