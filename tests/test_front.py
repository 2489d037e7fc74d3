import json

import numpy as np
import pandas as pd
import pytest

from core.errors import UserError
from core.front import Front, paper_standing, read_front
from core.front_figure import CAPTION, _steps, caption, front_figure
from core.looks import save_figure
from core.names import MEAN_FACE
from core.report import _papers_models
from core.run_folder import RunFolder

NOTHING = (0.6931, 42.0)
SEARCH = {
    "plan": {"objective": "pareto", "space": {"fixed": {"architecture": "multitask"}}},
    "baseline_validation": {"gender_ce": 0.6931, "nme_pct": 42.0},
}


def front(trials=(), winners=()):
    rows = [(kind, ce, nme, rank) for kind, ce, nme, rank in trials]
    found = pd.DataFrame(rows, columns=["architecture", "gender_ce", "nme_pct", "front_rank"])
    columns = ["model", "architecture", "gender_ce", "nme_pct", "gender_ce_sd", "nme_pct_sd"]
    return Front(found, pd.DataFrame(winners, columns=columns), NOTHING)


@pytest.fixture
def run(tmp_path):
    found = RunFolder(tmp_path)
    trials = {
        "trial": [0, 1, 2, 3],
        "front_rank": [1, 2, 1, None],
        "val_gender_ce": [0.2, 0.3, None, None],
        "val_nme_pct": [9.0, 10.0, 8.0, None],
        "config.architecture": ["multitask", "attention", "landmarks", "multitask"],
    }
    pd.DataFrame(trials).to_csv(found.trials, index=False)
    winners = {
        "model": ["multitask", "landmarks", MEAN_FACE],
        "architecture": ["multitask", "landmarks", None],
        "val_gender_ce": [0.1, None, 0.6931],
        "val_nme_pct": [8.0, 7.0, 42.0],
        "val_gender_ce_sd": [0.01, None, None],
        "val_nme_pct_sd": [0.5, 0.4, None],
    }
    pd.DataFrame(winners).to_csv(found.winners, index=False)
    return found


def test_a_front_is_read_back_without_what_has_one_task_or_no_result(run):
    found = read_front(run, SEARCH)
    assert found.trials["trial"].tolist() == [0, 1]
    assert found.trials["architecture"].tolist() == ["multitask", "attention"]
    assert found.winners["model"].tolist() == ["multitask"]
    assert found.winners["nme_pct_sd"].tolist() == [0.5]
    assert found.nothing == NOTHING


def test_where_all_trials_are_of_one_kind_the_plan_says_of_which(run):
    pd.read_csv(run.trials).drop(columns="config.architecture").to_csv(run.trials, index=False)
    assert set(read_front(run, SEARCH).trials["architecture"]) == {"multitask"}


@pytest.mark.parametrize(
    ("name", "old", "new", "rule"),
    [
        ("trials.csv", "front_rank", "x", "trials.csv: not the table that a search for two goals writes"),
        ("trials.csv", "0.3", "much", "trials.csv: not the table"),
        ("trials.csv", "0.3", "-0.3", "trials.csv: not the table.*negative or infinite"),
        ("trials.csv", "10.0", "inf", "trials.csv: not the table.*negative or infinite"),
        ("trials.csv", "attention", "transformer", "trials.csv: a model must be one of gender.*'transformer'"),
        ("winners.csv", "multitask,multitask", "multitask,5", "winners.csv: a model must be one of"),
        ("winners.csv", "val_nme_pct_sd", "x", "winners.csv: not the table"),
    ],
)
def test_a_damaged_table_is_one_line_that_names_the_file(run, name, old, new, rule):
    path = run.path / name
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(UserError, match=rule) as error:
        read_front(run, SEARCH)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"baseline_validation": {"gender_ce": 0.7}}, "baseline_validation must hold nme_pct"),
        ({"baseline_validation": None}, "baseline_validation must hold gender_ce"),
        ({"baseline_validation": {"gender_ce": 0.7, "nme_pct": 0}}, "baseline_validation must hold nme_pct"),
        ({"plan": {"space": []}}, "its plan has no space"),
    ],
)
def test_a_record_without_what_is_needed_is_refused(run, change, rule):
    with pytest.raises(UserError, match=rule):
        read_front(run, json.loads(json.dumps(SEARCH | change)))


def test_with_nothing_of_ours_the_papers_front_is_its_pair_and_two_that_know_gender_better():
    standing = {row["name"]: row["behind"] for row in paper_standing(front())}
    assert len(standing) == 13
    on_front = {name for name, behind in standing.items() if not behind}
    assert on_front == {
        "two single-task models (tables I, V)",
        "multitask, lambdas 1, 5 (table III)",
        "attention, d_k 128 (table IV)",
    }
    assert standing["attention, 50 epochs (table V)"] == ["the paper's two single-task models (tables I, V)"]
    crowd = standing["attention, d_k 256 (table IV)"]
    assert len(crowd) == 3
    assert crowd[-1] == "7 more of the paper's"


def test_a_model_of_the_paper_is_behind_winners_by_name_and_trials_by_number():
    ours = front(
        [("multitask", 0.07, 6.4, 1), ("multitask", 0.0762, 6.417, 2), ("multitask", 0.08, 6.0, 1)],
        [("multitask-2", "multitask", 0.05, 6.0, 0.01, 0.5), ("attention", "attention", 0.05, 6.5, 0.01, 0.5)],
    )
    standing = {row["name"]: row["behind"] for row in paper_standing(ours)}
    assert standing["two single-task models (tables I, V)"] == ["multitask-2", "2 trials"]
    assert all(standing.values())


def test_the_report_says_where_each_of_them_is():
    rows = _papers_models(front([("multitask", 0.05, 6.0, 1)]))["rows"]
    assert rows[0]["name"] == "paper: two single-task models (tables I, V)"
    assert [cell["value"] for cell in rows[0]["cells"]] == ["0.0763", "6.42"]
    assert rows[0]["where"] == "behind 1 trial"
    rows = _papers_models(front())["rows"]
    assert rows[0]["where"] == "on the front"


def drawn_steps(axes):
    return [line.get_xydata() for line in axes.lines if line.get_drawstyle() == "steps-post"]


def test_the_figure_shows_all_points_and_one_staircase_a_kind(tmp_path):
    random = np.random.default_rng(0)
    points = random.random((12, 2)) * [0.5, 30] + [0.05, 5]
    trials = [("multitask" if i % 2 else "attention", *point, 1 + i // 6) for i, point in enumerate(points)]
    winners = [("multitask", "multitask", 0.1, 9.0, 0.02, 0.5), ("attention-2", "attention", 0.2, 8.0, np.nan, np.nan)]
    figure = front_figure(front(trials, winners))
    [axes] = figure.axes
    assert len(drawn_steps(axes)) == 2
    stairs = drawn_steps(axes)[1][1:-1]
    expected = sorted(tuple(points[i]) for i in (1, 3, 5))
    np.testing.assert_allclose(stairs, expected)
    low, high = np.transpose([axes.get_xlim(), axes.get_ylim()])
    assert ((points > low) & (points < high)).all()
    assert {text.get_text() for text in axes.texts} >= {"1", "2", "mean face", "prior"}
    save_figure(figure, tmp_path / "front.png")
    assert (tmp_path / "front.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_far_beyond_knowing_nothing_is_counted_in_a_note_and_a_front_may_be_empty(tmp_path):
    figure = front_figure(
        front(
            [("multitask", 0.2, 20.0, 1), ("multitask", 5.0, 20.0, 2), ("multitask", 0.3, 90.0, 3)],
            [("multitask", "multitask", 0.2, 99.0, 0.01, 0.5)],
        )
    )
    [axes] = figure.axes
    assert axes.get_title(loc="right") == "off the axes: trials (2), winners (1), models of the paper (2)"
    assert axes.get_xlim()[1] < 1
    save_figure(front_figure(front()), tmp_path / "empty.png")


@pytest.mark.parametrize(("start", "end", "first"), [(5.6, 18, 6), (0.07, 0.8, 0.1), (1, 1000, 1)])
def test_an_axis_has_at_least_two_ticks(start, end, first):
    found = [step * 10.0**decade for decade in range(-3, 4) for step in _steps(start, end)]
    shown = sorted(value for value in found if start <= value <= end)
    assert shown[0] == pytest.approx(first)
    assert len(shown) >= 2


def test_a_front_of_trials_on_folds_says_that_winners_are_of_other_faces(run):
    assert caption(read_front(run, SEARCH)) == CAPTION
    folded = read_front(run, SEARCH | {"plan": SEARCH["plan"] | {"folds": 5}})
    assert folded.folds == 5
    assert "Trials are means over 5 folds" in caption(folded)
