import json

import pytest

from core.errors import UserError
from search_spaces.catalogue import SPACES
from tune.study import Sampler, Study

SPACE = SPACES["gender"]


@pytest.fixture
def journal(tmp_path):
    """Of a finished, a failed and an open trial."""
    path = tmp_path / "optuna.journal"
    study = Study(path, SPACE, Sampler.RANDOM, 0)
    for status, cost in (("finished", 0.5), ("failed", None), ("", None)):
        number, _ = study.ask()
        if status:
            study.tell(number, status, cost, 2, "why")
    return path


def opened(path):
    study = Study(path, SPACE, Sampler.RANDOM, 0)
    return study.known(), study.ended()


def test_a_whole_journal_is_read(journal):
    known, ended = opened(journal)
    assert set(known) == {0, 1, 2}
    assert ended == {0: ("finished", "why"), 1: ("failed", "why")}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"finished"', '"done"'),
        ('"finished"', "[1]"),
        ('"why"', "7"),
        ('"optimizer"', '"d_k"'),
        ('"op_code":4', '"op_code":99'),
        ('"op_code":0', '"op_code":"x"'),
        ('"directions":[1]', '"directions":[2]'),
    ],
)
def test_records_that_no_search_writes_are_one_line_that_names_the_journal(journal, old, new):
    text = journal.read_text()
    assert old in text
    journal.write_text(text.replace(old, new))
    with pytest.raises(UserError, match=r"optuna\.journal: "):
        opened(journal)


def test_a_value_outside_the_space_is_refused_with_its_trial(journal):
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    for line in lines:
        if line.get("param_name") == "lr":
            line["distribution"] = line["distribution"].replace('"high": 0.01', '"high": 9.0')
            line["param_value_internal"] = 5.0
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(UserError, match=r"trial 0 has 'lr': 5\.0, which space gender never gives"):
        opened(journal)


@pytest.mark.parametrize(
    "content", [b"{}\n", b"null\n", b"[1]\n", b"\xff\n", b"[" * 5000 + b"\n", b"9" * 5000 + b"\n", b"\n"]
)
def test_lines_of_no_kind_are_one_line_that_names_the_journal(tmp_path, content):
    (tmp_path / "optuna.journal").write_bytes(content * 2)
    with pytest.raises(UserError, match=r"optuna\.journal: not the journal of this search"):
        opened(tmp_path / "optuna.journal")
