import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from finished_run import FACE, made_predictions, made_winner

from core import final_test
from core.metrics import Truth
from core.names import AREA99, MEAN_FACE
from core.published import published_table
from core.report import number, report_page, unseen_share
from scripts.final_test import print_scores
from search_spaces.effect import matters

FACES = 50
GENDER = np.arange(FACES) % 2
TRUTH = Truth(GENDER, np.tile(FACE, (FACES, 1, 1)))
BASELINE = {"nme_pct": (40.0, 39.0, 41.0), "gender_auc": (0.5, 0.5, 0.5), "relative_error": (1.0, 1.0, 1.0)}
SEARCH = {
    "plan": {"data": "drawn"},
    "weights": "made for tests",
    "tested": "2026-01-01 00:00 UTC",
    "test_device": "a CPU",
    "baseline_validation": {"gender_auc": 0.5, "gender_ce": 0.6931, "nme_pct": 45.25, "relative_error": 1.0},
}
VALIDATION = {
    "val_gender_precision": 0.81,
    "val_gender_recall": 0.82,
    "val_gender_f1": 0.83,
    "val_gender_ce": 0.34,
    "val_nme_std_pct": 3.5,
    "val_landmark_l1": 0.0123,
    "val_loss": 0.7654,
}


@pytest.fixture(scope="module")
def result() -> final_test.TestResult:
    made = final_test.TestResult(TRUTH, np.zeros((500, 1)), np.arange(FACES), ["x"] * FACES, BASELINE)
    for label, tasks in (("gender", "gender"), ("multitask-2", "gender landmarks")):
        winner = made_winner(label, architecture=label.removesuffix("-2"))
        winner.row.update(VALIDATION if label == "multitask-2" else {"val_gender_f1": 0.9, "val_nme_pct": np.nan})
        runs = [made_predictions(TRUTH.landmarks, GENDER, shift, tasks) for shift in (6.4, 12.8)]
        made.tested.append(final_test.scored(winner, runs, 2.5, TRUTH, np.full(FACES, 40.0)))
    return made


@pytest.fixture(scope="module", autouse=True)
def few_resamples():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(final_test, "RESAMPLES", 20)
        yield


def page(result: final_test.TestResult, before=(), others=None, figures=None, mattered=((), {}), **search: Any) -> str:
    return report_page("first", result, SEARCH | search, before, others or {}, figures or {}, mattered)


def plain(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def table(html: str, section: str, title: str) -> dict[str, dict[str, str]]:
    """The rows of the table under two headings, cell texts by head."""
    part = html.split(f"<h2>{section}</h2>")[1].split("<h2>")[0].split(f"<h3>{title}</h3>")[1].split("</table>")[0]
    heads = re.findall(r"<th>(.*?)</th>", part)[1:]
    rows = {}
    for row in re.findall(r"<tr class=.*?</tr>", part, re.S):
        name, *cells = (plain(cell).strip() for cell in re.findall(r"<td>(.*?)</td>", row, re.S))
        rows[name] = dict(zip(heads, cells, strict=True))
    return rows


def test_validation_has_a_row_that_says_what_knowing_nothing_scores(result) -> None:
    html = page(result)
    assert table(html, "Validation", "Gender")[MEAN_FACE]["AUC"] == "0.5000"
    assert table(html, "Validation", "Gender")[MEAN_FACE]["cross-entropy (nats)"] == "0.6931"
    assert table(html, "Validation", "Landmarks")[MEAN_FACE]["NME (%)"] == "45.25"
    assert table(html, "Validation", "Overall")[MEAN_FACE] == {"relative error": "1.0000", "loss (own)": "-"}


def test_a_run_without_a_recorded_baseline_has_no_such_row(result) -> None:
    assert MEAN_FACE not in table(page(result, baseline_validation=None), "Validation", "Gender")


def test_validation_shows_the_columns_of_the_papers_table_5(result) -> None:
    html = page(result)
    gender, landmarks, both = (table(html, "Validation", title) for title in ("Gender", "Landmarks", "Overall"))
    ours = gender["multitask-2"]
    assert [ours[head] for head in ("precision", "recall", "F1", "cross-entropy (nats)")] == [
        "0.8100",
        "0.8200",
        "0.8300",
        "0.3400",
    ]
    assert landmarks["multitask-2"]["NME (%)"] == "7.50 +- 0.25"
    assert landmarks["multitask-2"]["NME spread (%)"] == "3.50"
    assert landmarks["multitask-2"]["L1 (share of the crop)"] == "0.0123"
    assert both["multitask-2"]["loss (own)"] == "0.7654"
    paper = published_table(5).set_index("architecture").loc["attention"]
    theirs = gender["paper: attention"] | landmarks["paper: attention"] | both["paper: attention"]
    heads = {
        "gender_f1": "F1",
        "gender_recall": "recall",
        "nme_std_pct": "NME spread (%)",
        "landmark_l1": "L1 (share of the crop)",
        "loss": "loss (own)",
    }
    for name, head in heads.items():
        assert theirs[head] == number(name, paper[name])


def test_a_model_stands_only_in_the_tables_of_its_tasks(result) -> None:
    html = page(result)
    for section in ("Scores", "Validation"):
        assert "gender" in table(html, section, "Gender")
        assert "gender" not in table(html, section, "Landmarks")
        assert "paper: landmarks" not in table(html, section, "Gender")
        assert "paper: gender" not in table(html, section, "Landmarks")


def test_test_scores_show_mean_and_interval(result) -> None:
    html = page(result)
    assert table(html, "Scores", "Landmarks")["multitask-2"]["NME (%)"] == "15.00 15.00 to 15.00"
    assert table(html, "Scores", "Landmarks")[MEAN_FACE]["NME (%)"] == "40.00 39.00 to 41.00"
    assert table(html, "Scores", "Overall")["gender"]["inference (ms)"] == "2.50"
    assert table(html, "Scores", "Overall")["gender"]["loss (own)"] == number("loss", np.log(1 + np.exp(-1)))


def test_a_setting_that_does_nothing_in_a_winner_is_a_dash_and_one_that_does_in_none_is_left_out(result) -> None:
    html = report_page("first", result, SEARCH, [], {}, {}, matters=matters)
    listed = html.split("<th>setting</th>")[1].split("</table>")[0]
    rows = {cells[0]: cells[1:] for row in listed.split("<tr>")[1:] if (cells := re.findall(r"<td>(.*?)</td>", row))}
    assert rows["landmark_loss"] == ["-", "l1"]
    assert rows["lr"] == ["0.001", "0.001"]
    assert rows["lr_landmarks"] == ["-", "as lr"]
    assert not {"d_k", "huber_delta", "views"} & set(rows)


def test_the_page_says_over_how_many_seeds_each_score_is_a_mean(result) -> None:
    assert "Mean over 2 training seeds, and below" in plain(page(result))
    first, second = result.tested
    fewer = dataclasses.replace(result, tested=[first, dataclasses.replace(second, runs=second.runs[:1])])
    assert "Mean over training seeds (gender: 2, multitask-2: 1), and below" in plain(page(fewer))
    alone = dataclasses.replace(result, tested=[dataclasses.replace(second, runs=second.runs[:1])])
    assert "Mean over one training seed, and below" in plain(page(alone))


def test_the_terminal_says_which_model_has_fewer_seeds_than_others(capsys) -> None:
    scores = {"test_nme_pct": 7.0, "test_nme_pct_lo": 6.0, "test_nme_pct_hi": 8.0}
    rows = [{"model": "gender", "seeds": 3} | scores, {"model": "multitask", "seeds": 2} | scores, {"model": MEAN_FACE}]
    print_scores(pd.DataFrame(rows).astype({"seeds": "Int64"}), 50)
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == "test, 50 faces that no training has seen: mean over 3 seeds (95 % interval over faces)"
    assert [line.partition(": ")[0] for line in lines] == ["gender", "multitask (2 of 3 seeds)", MEAN_FACE]


def test_the_page_says_why_the_papers_operating_area_is_smaller(result) -> None:
    text = plain(page(result))
    assert "about 0.01 below ours for the same errors (its table VI fits 0.99 - NME / 100, to 0.001 or so)" in text
    for row in published_table(6).dropna(subset="nme_pct").to_dict("records"):
        assert row[AREA99] == pytest.approx(0.99 - row["nme_pct"] / 100, abs=1.2e-3)


def test_the_page_says_that_no_width_is_no_certainty(result) -> None:
    text = plain(page(result))
    assert "An interval without width (all faces right) does not mean certainty" in text
    assert "wrong on up to 5.82 % of all faces" in text


@pytest.mark.parametrize("faces", [1, 50, 20_000])
def test_a_model_of_the_unseen_share_is_right_on_all_faces_once_in_20_times(faces: int) -> None:
    assert (1 - unseen_share(faces)) ** faces == pytest.approx(0.05)


def warnings_of(html: str) -> list[str]:
    return [plain(text) for text in re.findall(r'<p class="warning">.*?</p>', html, re.S)]


@pytest.mark.parametrize(("known", "warned"), [({}, 0), ({"identity_known": True}, 0), ({"identity_known": False}, 1)])
def test_a_split_by_image_is_warned_of(result, known: dict[str, bool], warned: int) -> None:
    found = warnings_of(page(result, **known))
    assert len(found) == warned
    assert all("split by image, not by person" in text and "no identity file" in text for text in found)


def test_intervals_over_few_people_are_warned_of(result) -> None:
    faces = len(result.truth.gender)
    few = dataclasses.replace(result.truth, person=np.arange(faces) % 5)
    assert warnings_of(page(result)) == []
    [found] = warnings_of(page(dataclasses.replace(result, truth=few)))
    assert "There are only 5 people, " in found
    assert (
        "among the test faces; intervals from fewer than 30 people, or 15 of a gender, are too narrow, and one without"
        in found
    )


def test_earlier_openings_are_warned_of(result) -> None:
    own, other = warnings_of(page(result, ["2026-01-01"], {"<second>": ["2026-01-02", "an unknown date"]}))
    assert "opened before: 2026-01-01" in own
    assert "opened by run “&lt;second&gt;” on 2026-01-02, an unknown date" in other


def test_figures_are_inside_the_page_with_their_captions(result, tmp_path: Path) -> None:
    (tmp_path / "roc.png").write_bytes(b"abc")
    html = page(result, figures={tmp_path / "roc.png": "ROC <curves>"})
    assert 'src="data:image/png;base64,YWJj"' in html
    assert "ROC &lt;curves&gt;" in html


def test_the_page_says_what_mattered_in_the_search(result, tmp_path: Path) -> None:
    (tmp_path / "importance.png").write_bytes(b"abc")
    told = ["what mattered, by relative_error:", "multitask (24 trials): lr <matters>"]
    html = page(result, mattered=(told, {tmp_path / "importance.png": "shares of what mattered"}))
    section = html.split("What mattered in the search</h2>")[1].split("<h2>")[0]
    assert "What mattered, by relative_error:" in section
    assert "<li>multitask (24 trials): lr &lt;matters&gt;</li>" in section
    assert "shares of what mattered</figcaption>" in section
    few = page(result, mattered=(["too few trials (4) to tell which choices matter"], {}))
    assert "<p>Too few trials (4) to tell which choices matter</p>" in few
    assert "What mattered in the search" not in page(result)


def test_the_page_counts_the_faces_it_speaks_of(result) -> None:
    assert "50 test faces that no search or retraining has seen (25 women, 25 men), out of 500 drawn faces" in plain(
        page(result)
    )


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        ({}, "out of 500 drawn faces"),
        ({"data": "photos/drawn"}, "out of 500 faces of drawn"),
        ({"data": "."}, f"out of 500 faces of {Path.cwd().name}"),
    ],
)
def test_the_page_says_where_the_faces_are_from(result, plan, told) -> None:
    assert told in plain(page(result, plan=plan))


@pytest.mark.parametrize(
    ("gain", "verdict"),
    [((20, 18, 22), ": better than"), ((1, -1, 3), ": not surely better than"), ((-18, -20, -16), ": worse than")],
)
def test_the_page_says_which_way_the_mean_face_compares(result, gain, verdict) -> None:
    [both] = [tested for tested in result.tested if tested.gain is not None]
    other = dataclasses.replace(result, tested=[dataclasses.replace(both, gain=gain)])
    assert f"{verdict} the mean face" in plain(page(other))


def test_a_value_that_is_absent_is_a_dash() -> None:
    assert [number("nme_pct", value) for value in (None, np.nan, 7.123)] == ["-", "-", "7.12"]


def test_a_loss_of_squared_errors_has_digits_that_tell_it_from_others() -> None:
    assert [number("loss", value) for value in (0.0001417, 0.0000046, 0.25)] == ["0.000142", "4.6e-06", "0.2500"]
    assert number("gender_ce", 0.0001415) == "0.0001"
