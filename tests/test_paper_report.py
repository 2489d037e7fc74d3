import re
from pathlib import Path

import pandas as pd
import pytest
from test_replication import BASELINE, runs_like_the_papers

import core
from core.conclusions import Conclusion, unmeasured
from core.paper_figures import replication_figure, write_paper_figures
from core.paper_report import conclusions_table, paper_report_page
from core.replication import CHOICES, replicated_table

FACTS = {
    "name": "a",
    "seeds": 3,
    "profile": "fast",
    "differs": [],
    "otherwise_chosen": [],
    "own_choices": True,
    "faces": 500,
    "source": "celeba-mini",
    "train_faces": 405,
    "validation_faces": 45,
    "test_faces": 50,
    "weights": "vgg.pth",
    "precision": "fp32",
    "device": "a CPU",
    "when": "2026-01-01",
    "openings": ["2026-01-01"],
    "others": {},
    "persons_unknown": False,
    "failures": [],
}
CONCLUSIONS = [
    Conclusion("1. Adamax", "cross-entropy, nats", "adam", 3, 3, (0.25, 0.1, 0.4), 0.1637, "supported"),
    Conclusion("2. L1", "NME, points", "wing", 1, 3, (-1.5, -2.0, -1.0), 1.2, "reversed"),
    unmeasured("3. none", "NME, points"),
]


def page(spread=0.5):
    tables = {n: replicated_table(n, runs_like_the_papers(n, spread), BASELINE) for n in CHOICES}
    return paper_report_page(FACTS, tables, {4: {"d_k": 128}}, CONCLUSIONS, {})


def test_every_value_of_the_paper_stands_on_the_page():
    text = re.sub(r"<[^>]+>", " ", page())
    for number, file in enumerate(sorted((Path(core.__file__).parent / "paper_tables").glob("*.csv")), 1):
        choices = len(CHOICES[number])
        for line in file.read_text().splitlines()[1:]:
            for value in filter(None, line.split(",")[choices:]):
                assert re.search(rf"paper {re.escape(value)}(\.0+)?0*\s", text), (file.name, value)


def test_inside_and_outside_are_marked_by_sign_and_not_by_colour_alone():
    assert "✓ paper" in page()
    runs = pd.DataFrame([{"optimizer": "adam", "gender_auc": 0.5}] * 2)
    table = replicated_table(1, runs, BASELINE)
    text = paper_report_page(FACTS, {1: table}, {}, CONCLUSIONS, {})
    assert "✗ paper 0.970" in text


def test_the_row_that_was_gone_on_with_is_bold_in_both_parts_of_its_table():
    assert page().count("<b>128</b>") == 2
    assert "<b>512</b>" not in page()


def test_conclusions_say_count_lead_interval_and_verdict():
    text = page()
    for words in ("3 of 3 seeds", "+0.2500", "+0.1000 to +0.4000", "supported", "1 of 3 seeds", "-1.50", "reversed"):
        assert words in text
    table = conclusions_table(CONCLUSIONS)
    assert list(table["verdict"]) == ["supported", "reversed", "not decided"]
    assert list(table["difference"][:2]) == [0.25, -1.5]


def test_a_row_whose_seeds_failed_says_how_many_trained():
    runs = runs_like_the_papers(1, 0.1)
    table = replicated_table(1, runs.drop(index=0), BASELINE)
    assert "2 of 3 seeds trained" in paper_report_page(FACTS, {1: table}, {}, CONCLUSIONS, {})


def test_a_row_that_never_trained_still_has_the_papers_value():
    runs = runs_like_the_papers(2, 0.1)
    table = replicated_table(2, runs[runs["landmark_loss"] != "wing"], BASELINE)
    text = paper_report_page(FACTS, {2: table}, {}, CONCLUSIONS, {})
    assert "paper 16.469" in text
    assert "0 of 3 seeds trained" in text


def test_what_is_not_the_papers_protocol_and_what_failed_is_said():
    facts = {**FACTS, "differs": ["lr 0.0001 (paper: 0.001)"], "failures": ["table I, adam, seed 0: out of memory"]}
    text = paper_report_page({**facts, "openings": ["a", "b"]}, {}, {}, CONCLUSIONS, {})
    for words in ("lr 0.0001 (paper: 0.001)", "table I, adam, seed 0: out of memory", "opened more than once: a, b"):
        assert words in text
    assert 'warning">' not in paper_report_page(FACTS, {}, {}, CONCLUSIONS, {})


def test_the_figure_has_a_dot_for_each_seed_and_a_star_for_each_row_of_the_paper():
    runs = {n: runs_like_the_papers(n, 0.01) for n in (1, 2, 3, 4)}
    runs[1]["gender_ce"] = runs[1]["loss"]
    figure = replication_figure(runs, {"gender_ce": 0.69, "nme_pct": 8.4})
    for axes, rows in zip(figure.axes, (4, 5, 5, 5), strict=True):
        dots = [line for line in axes.lines if line.get_marker() == "o"]
        stars = [line for line in axes.lines if line.get_marker() == "*"]
        assert [len(line.get_xdata()) for line in dots] == [3] * rows
        assert len(stars) == rows


@pytest.mark.parametrize("trained", [True, False])
def test_figures_are_written_also_when_a_row_never_trained(tmp_path, trained):
    runs = {n: runs_like_the_papers(n, 0.01) for n in (1, 2, 3, 4)}
    runs[1]["gender_ce"] = runs[1]["loss"]
    if not trained:
        runs[2] = runs[2][runs[2]["landmark_loss"] != "wing"]
    curve = pd.DataFrame(
        {"epoch": [1, 2], "train_loss": [1.0, 0.5], "val_loss": [1.0, 0.7], "val_gender_auc": [0.5, 0.9]}
    )
    written = write_paper_figures(tmp_path / "f", runs, {"gender_ce": 0.69, "nme_pct": 8.4}, {"adam": [curve]})
    assert all(path.stat().st_size > 10_000 for path in written)
    assert len(written) == 2
