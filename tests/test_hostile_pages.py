"""Markup and control characters in files that somebody else made: shown as text, in pages and in messages."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
from finished_run import made_predictions, made_winner
from test_paper_report import CONCLUSIONS, FACTS
from test_replication import BASELINE, runs_like_the_papers
from test_report import FACES, GENDER, SEARCH, TRUTH
from test_structure import ROOT

from core import final_test
from core.conclusions import Conclusion
from core.errors import UserError
from core.paper_report import paper_report_page
from core.replication import CHOICES, replicated_table
from core.report import report_page

SCRIPT = "<script>alert('1')</script><img src=x onerror=\"a\">&"


class Elements(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags, self.attributes, self.texts = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.texts.append(data)


def assert_harmless(page: str, text: str, shown: int) -> None:
    """No script in the page, and so many places in which ``text`` is shown as it is."""
    found = Elements(page)
    assert "script" not in found.tags
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    assert all(value.startswith("data:image/png;base64,") for name, value in found.attributes if name == "src")
    assert " ".join("".join(found.texts).split()).count(text) == shown


def test_the_report_of_a_test_shows_markup_from_files_as_text(tmp_path: Path) -> None:
    winner = made_winner(SCRIPT)
    winner.row.update({"model": SCRIPT})
    baseline = {"nme_pct": (40.0, 39.0, 41.0)}
    result = final_test.TestResult(TRUTH, np.zeros((500, 1)), np.arange(FACES), [SCRIPT] * FACES, baseline)
    runs = [made_predictions(TRUTH.landmarks, GENDER, 6.4)]
    result.tested.append(final_test.Tested(winner, runs, {"nme_pct": (9.0, 8.0, 10.0)}, {}, 2.5, gain=(1.0, 0.5, 2.0)))
    (tmp_path / "a.png").write_bytes(b"abc")
    inside = SCRIPT.replace("/", "\\")  # a name of a file or folder has no slash
    search = {
        **SEARCH,
        "plan": {"data": f"x/{inside}"},
        "weights": f"x/{inside}",
        "tested": SCRIPT,
        "test_device": SCRIPT,
    }
    page = report_page(inside, result, search, [SCRIPT], {SCRIPT: [SCRIPT]}, {tmp_path / "a.png": SCRIPT})
    # Tested, before, run and date elsewhere, gain, caption, device; the label in 2 + 2 tables of scores and 1 of settings
    assert_harmless(page, SCRIPT, 12)
    assert_harmless(page, inside, 4)  # the run's name twice, the data folder, the weights file


def test_the_report_of_the_paper_shows_markup_from_files_as_text() -> None:
    facts = {name: SCRIPT if isinstance(value, str) else value for name, value in FACTS.items()}
    facts |= {"differs": [SCRIPT], "failures": [SCRIPT], "openings": [SCRIPT, "b"], "others": {SCRIPT: [SCRIPT]}}
    facts |= {"otherwise_chosen": [SCRIPT]}
    conclusions = [Conclusion(SCRIPT, SCRIPT, SCRIPT, 3, 3, (0.25, 0.1, 0.4), 0.1, "supported"), *CONCLUSIONS[1:]]
    tables = {n: replicated_table(n, runs_like_the_papers(n, 0.5), BASELINE) for n in CHOICES}
    page = paper_report_page(facts, tables, {}, conclusions, {})
    texts = sum(isinstance(value, str) for value in FACTS.values())
    # The name stands in the title too, the device in the last paragraph; then what is set above, and three of the conclusion.
    assert_harmless(page, SCRIPT, texts + 2 + 6 + 3)


def test_no_template_turns_escaping_off() -> None:
    templates = sorted((ROOT / "core").glob("*.html"))
    assert len(templates) == 3
    for path in templates:
        assert not re.search(r"\|\s*safe|autoescape|<script|javascript:", path.read_text(encoding="utf-8"))


def test_a_message_shows_control_characters_of_a_file_instead_of_sending_them_to_the_terminal() -> None:
    assert str(UserError("a\x1b[2J\nb\u2028é")) == "a\\x1b[2J\\nb\\u2028é"
    assert len(str(UserError("a" * 10**6))) < 1100
