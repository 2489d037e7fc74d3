"""From a run's trials to what mattered, and the script as a person runs it."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from doors import exit_code

from benchmarks.importance import importance_after, side_by_side
from benchmarks.learning_curves import CURVES
from benchmarks.recorded import read_curves
from core.errors import UserError
from core.importance_table import COLUMNS, Verdict, read_importance
from core.names import Architecture
from core.run_folder import RunFolder
from core.variance_shares import Share
from search_spaces.catalogue import SPACES
from search_spaces.multitask import MULTITASK
from search_spaces.parameter import Choice, Float
from search_spaces.space import Space
from tune.importance import (
    Result,
    check_alike,
    columns_of,
    common_epochs,
    importance_of,
    importance_table,
    write_importance,
)
from tune.ledger import Entry, Ledger, Status
from tune.plan import Plan, grid_options
from tune.profile import Profile
from tune.study import Sampler, Study

TOP = -3  # lg of the best rate below


def plan(space: str = "multitask", **options) -> Plan:
    return Plan(space=SPACES[space].to_json(), profile=Profile.FAST, trials=40, epochs=4, **options)


def error(config: dict, level: float = 0.0) -> float:
    """Only the rate matters."""
    return level + 0.1 * abs(math.log10(config["lr"]) - TOP)


def trained(made: Plan, folder: Path, count: int = 40, level=None) -> Ledger:
    """A search without training, whose ledger and journal lie in a folder: every third trial stops after 2 epochs."""
    folder.mkdir(exist_ok=True)
    run = RunFolder(folder)
    study = Study(run.journal, made.search_space(), made.sampler, made.seed)
    ledger = Ledger(run.trials, run.curves, made.aim())
    for _ in range(count):
        number, config = study.ask()
        entry, epochs = ledger.add(number, config), 2 if number % 3 else 4
        for epoch in range(1, epochs + 1):
            score = error(config, level(config) if level else 0.0) + (epoch == 1)  # the first is not compared
            ledger.record(number, {"epoch": epoch, "relative_error": score, "seconds_per_epoch": 0.1})
        entry.status = Status.FINISHED if epochs == 4 else Status.STOPPED
        study.tell(number, str(entry.status), 0.5, epochs, "")
    return ledger


def share(table: pd.DataFrame, parameter: str, branch: str = "multitask") -> pd.Series:
    (found,) = (r for _, r in table.iterrows() if (r["branch"], r["parameter"]) == (branch, parameter))
    return found


def test_the_one_parameter_that_matters_is_found_and_no_other(tmp_path):
    table = importance_of([(plan(), trained(plan(), tmp_path).entries.values())])
    assert tuple(table.columns) == COLUMNS
    told = table[table["branch"] == "multitask"]
    assert list(told["parameter"][told["verdict"] == Verdict.MATTERS]) == ["lr"]
    assert share(table, "lr")["alone_lo"] > 0.8
    assert set(told["trials"]) == {40}
    assert set(told["epochs"]) == {2}  # of a third all 4 are known, and only these would be compared
    nested = table[table["branch"] == "landmark_loss=wing"]
    assert list(nested["parameter"]) == ["wing_w", "wing_epsilon"]
    assert set(nested["verdict"]) == {Verdict.FEW}  # a fifth of 40


def test_a_kind_of_model_that_is_harder_hides_nothing(tmp_path):
    joint = plan("joint")
    entries = trained(joint, tmp_path, 60, lambda config: 5 * ("lambda1" in config)).entries.values()
    table = importance_of([(joint, entries)])
    assert share(table, "lr", "all models")["alone_lo"] > 0.6
    assert share(table, "optimizer", "all models")["verdict"] != Verdict.MATTERS


def test_diverged_trials_are_the_worst_and_otherwise_failed_ones_are_left_out(tmp_path):
    def broken(reason: str) -> pd.DataFrame:
        entries = list(trained(plan(), tmp_path / reason[:4]).entries.values())
        for entry in entries[:20]:  # they had the best rates, and the first half of the trials all rates
            entry.config["lr"] = 1e-3
            entry.status, entry.reason = Status.FAILED, reason
        return importance_of([(plan(), entries)])

    diverged = share(broken("DivergedError: loss or score not finite in epoch 3"), "lr")
    assert (diverged["trials"], diverged["diverged"]) == (40, 20)
    assert diverged["verdict"] == Verdict.MATTERS
    lost = share(broken("OutOfMemoryError: CUDA out of memory"), "lr")
    assert (lost["trials"], lost["diverged"]) == (20, 0)


def test_trials_are_compared_after_as_many_epochs_as_nearly_all_had():
    assert common_epochs([2] * 6 + [6] * 3 + [10]) == 2
    assert common_epochs([1] + [5] * 19) == 5  # one that a time budget cut off is left out
    assert common_epochs([7]) == 7
    assert common_epochs([]) == 0


def test_a_numbers_share_is_that_of_the_scale_on_which_it_is_drawn():
    rates = np.geomspace(1e-5, 1e-3, 30)
    columns = columns_of(MULTITASK, "lr", rates)
    fit = columns @ (columns.T @ np.log(rates)) / 30
    assert fit + np.log(rates).mean() == pytest.approx(np.log(rates))


SIZES = Space(
    name="sizes",
    summary="",
    parameters={"lr": Float(1e-5, 1e-1, log=True), "batch_size": Choice((4, 8, 16, 32, 64, 128))},
    fixed={"architecture": "gender"},
)


def rising(count: int) -> list[Result]:
    """Trials of :data:`SIZES`, whose costs rise with the rate."""
    sizes = SIZES.parameters["batch_size"].values
    return [Result({"lr": 1e-4 * (1 + i), "batch_size": sizes[i % 6]}, "a", float(i)) for i in range(count)]


def test_a_parameter_is_judged_from_12_trials_on_and_a_choice_from_three_for_each_value_but_one():
    def judged(results: list[Result]) -> list[str]:
        table = importance_table(results, SIZES, 2, "x", 0)
        return list(table["parameter"][table["verdict"] != Verdict.FEW])

    assert [judged(rising(n)) for n in (11, 12, 14, 15)] == [[], ["lr"], ["lr"], ["lr", "batch_size"]]
    assert judged([replace(r, cost=math.inf) for r in rising(40)]) == []  # all diverged: there is nothing to explain


@pytest.mark.parametrize(("count", "expected"), [(24, Verdict.UNTOLD), (25, Verdict.LITTLE)])
def test_little_needs_5_trials_a_column_and_chances_are_of_all_that_is_judged(monkeypatch, count, expected):
    """Four optimisers are three columns, and a rate (a rise and a valley) is two."""
    hardly = (0.01, 0.0, 0.05)
    monkeypatch.setattr(
        "tune.importance.shares",
        lambda _inputs, _ranks, judged, _seed: {key: Share(hardly, hardly, chance=0.04) for key in judged},
    )
    random = np.random.default_rng(0)
    optimizers = SPACES["gender"].parameters["optimizer"].values
    configs = [{"optimizer": optimizers[n % 4], "lr": float(10 ** random.uniform(-5, -3))} for n in range(count)]
    results = [Result(config, "gender", float(random.random())) for config in configs]
    table = importance_table(results, SPACES["gender"], 2, "relative_error", 0)
    assert set(table["verdict"]) == {expected}
    assert table["chance"].tolist() == pytest.approx([0.08, 0.08])


def test_of_many_thousand_trials_some_are_looked_at(monkeypatch):
    monkeypatch.setattr("tune.importance.MOST", 30)
    table = importance_table(rising(90), SIZES, 2, "x", 0)
    assert set(table["trials"]) == {30}
    assert share(table, "lr", "gender")["verdict"] == Verdict.MATTERS


def test_metrics_of_which_more_is_better_tell_the_same(tmp_path):
    entries = list(trained(plan(), tmp_path).entries.values())
    for entry in entries:
        for row in entry.curve:
            row["val_gender_auc"] = -row["relative_error"]
    turned = importance_of([(plan(objective="val_gender_auc"), entries)])
    pd.testing.assert_frame_equal(
        turned.drop(columns="objective"), importance_of([(plan(), entries)]).drop(columns="objective")
    )


def test_a_grid_has_no_importance_and_writes_none(tmp_path):
    space = SPACES["paper_gender"]
    options = grid_options(space, {"sampler": Sampler.GRID})
    grid = Plan(space=space.to_json(), profile=Profile.FAST, **options)
    assert write_importance(RunFolder(tmp_path), grid, [Entry(0, {"optimizer": "adam"})]).empty
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UserError, match="a: a grid"):
        check_alike({"a": grid})


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (plan("gender"), "b: must have the space of a"),
        (plan(objective="val_nme_pct"), "b: must have the objective of a"),
        (plan(rank_by="val_nme_pct"), "b: must have the objective of a"),
        (plan(grace=1), "b: must have another --seed than a, whose trials it has drawn again"),
    ],
)
def test_runs_that_asked_something_else_are_not_looked_at_together(other, message):
    with pytest.raises(UserError, match=message):
        check_alike({"a": plan(), "b": other})
    check_alike({"a": plan(), "b": plan(seed=7, grace=1)})


def test_two_runs_are_ranked_apart_and_counted_together(tmp_path):
    one, two = (trained(plan(seed=s), tmp_path / str(s), 20, lambda _, s=s: 5.0 * s) for s in (0, 1))
    table = importance_of([(plan(), one.entries.values()), (plan(seed=1), two.entries.values())])
    found = share(table, "lr")
    assert found["trials"] == 40
    assert found["alone_lo"] > 0.6  # with one ranking for both, most would be which run it was


def test_of_recorded_curves_every_parameter_has_a_share_after_each_number_of_epochs():
    configurations, _ = read_curves(CURVES)
    tables = [importance_after(configurations, epochs) for epochs in (2, 50)]
    rows = side_by_side(tables)
    assert len(rows) == len(tables[0])
    asked = {(row["branch"], row["parameter"]) for row in rows}
    assert {(kind, "lr") for kind in ("all models", *Architecture)} <= asked
    (rate,) = (row for row in rows if (row["branch"], row["parameter"]) == ("all models", "lr"))
    assert rate["trials"] == len(configurations)
    assert rate["after 50 epochs"].endswith(", matters")


@pytest.fixture
def run(tmp_path) -> RunFolder:
    folder = RunFolder(tmp_path / "runs" / "first")
    folder.path.parent.mkdir()
    trained(plan(), folder.path)
    recorded = {"plan": plan().to_json(), "workers": {"count": 1, "gpus": 0}, "precision": "fp32"}
    texts = dict.fromkeys(("data_fingerprint", "split_fingerprint", "weights_sha256"), "x")
    folder.write_search({**recorded, **texts})
    return folder


def script(cache: Path, *words: object) -> object:
    return exit_code("importance.py", *words, "--cache", cache)


def test_the_script_writes_what_the_search_itself_would(run, tmp_path, capsys):
    assert script(tmp_path / "cache", run.path) == 0
    assert "multitask (40 trials): lr matters (" in capsys.readouterr().out
    found = read_importance(run.importance)
    pd.testing.assert_frame_equal(
        found, write_importance(run, plan(), trained(plan(), tmp_path / "again").entries.values())
    )
    assert (run.path / "importance.png").read_bytes().startswith(b"\x89PNG")


def test_of_two_runs_with_other_seeds_the_script_tells_of_both_and_writes_only_where_it_is_told(run, tmp_path, capsys):
    other = RunFolder(run.path.with_name("second"))
    trained(plan(seed=1), other.path)
    other.write_search({**run.read_search(), "plan": plan(seed=1).to_json()})
    before = sorted(path for path in run.path.parent.rglob("*") if path.name != ".lock")
    assert script(tmp_path / "cache", run.path, other.path) == 0
    assert "multitask (80 trials): lr matters (" in capsys.readouterr().out
    assert script(tmp_path / "cache", run.path, other.path, "--out", tmp_path / "both") == 0
    assert sorted(path.name for path in (tmp_path / "both").iterdir()) == ["importance.csv", "importance.png"]
    assert read_importance(tmp_path / "both" / "importance.csv").query("branch == 'multitask'")["trials"].eq(80).all()
    assert sorted(path for path in run.path.parent.rglob("*") if path.name != ".lock") == before


def test_the_script_refuses_what_it_cannot_do_in_one_line(run, tmp_path, capsys):
    (tmp_path / "file").write_text("x")
    cases = [
        ([tmp_path / "nothing"], "no run here"),
        ([run.path, run.path], "given twice"),
        ([run.path, "--out", tmp_path / "file"], "must be a folder"),
        ([run.path, "--out", tmp_path / "file" / "deeper"], "must be a folder"),
    ]
    for words, message in cases:
        assert script(tmp_path / "cache", *words) == 2
        said = capsys.readouterr().err
        assert message in said
        assert len(said.splitlines()) == 1
    run.journal.unlink()
    assert script(tmp_path / "cache", run.path) == 2
    assert "no such file, so nothing is known" in capsys.readouterr().err
    assert not run.journal.exists()
    assert not run.importance.exists()
