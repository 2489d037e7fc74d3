import json
import re
from pathlib import Path

import pytest

from core.openings import UNKNOWN_DATE, opened_dates, opened_elsewhere, record_opening
from core.run_folder import RunFolder
from core.storage import Storage

SEARCH = {
    "plan": {},
    "workers": {"count": 1, "threads": 1, "gpus": 0.0},
    "precision": "fp32",
    "weights_sha256": "w",
    "data_fingerprint": "d",
    "split_fingerprint": "s",
}
DAMAGED = ["", "{", "{}", "7", "[1]", '[["2026"]]', "null"]


def made(storage: Path, name: str, opened: str | None = None, **changed: str) -> RunFolder:
    run = RunFolder(storage / name)
    run.test.mkdir(parents=True)
    run.write_search(SEARCH | changed)
    if opened is not None:
        (run.test / "opened.json").write_text(opened)
    return run


def test_every_opening_is_remembered(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert record_opening(run) == []
    first = opened_dates(run)
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", *first)
    assert record_opening(run) == first
    assert opened_dates(run)[:1] == first
    assert len(opened_dates(run)) == 2


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_record_still_says_that_the_test_was_opened(tmp_path: Path, content: str) -> None:
    run = made(tmp_path, "a", content)
    assert record_opening(run) == [UNKNOWN_DATE]
    assert json.loads((run.test / "opened.json").read_text())[0] == UNKNOWN_DATE


def test_bytes_that_are_no_text_are_an_opening_too(tmp_path: Path) -> None:
    run = made(tmp_path, "a")
    (run.test / "opened.json").write_bytes(b"\xff\xfe")
    assert opened_dates(run) == [UNKNOWN_DATE]


def test_other_runs_that_opened_the_same_faces_are_found(tmp_path: Path) -> None:
    run = made(tmp_path, "mine", '["2026-01-01"]')
    made(tmp_path, "b", '["2026-01-02", "2026-01-03"]')
    made(tmp_path, "c", "{")
    made(tmp_path, "unopened")
    made(tmp_path, "other faces", '["2026-01-04"]', data_fingerprint="x")
    made(tmp_path, "other split", '["2026-01-05"]', split_fingerprint="x")
    assert opened_elsewhere(run, SEARCH) == {"b": ["2026-01-02", "2026-01-03"], "c": [UNKNOWN_DATE]}


def test_what_is_no_readable_run_is_passed_over(tmp_path: Path) -> None:
    run = made(tmp_path, "mine")
    for name, content in {"broken": "{", "list": "[]", "bare": "{}"}.items():
        made(tmp_path, name, '["2026-01-02"]').search.write_text(content)
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / "again").symlink_to(run.path)
    record_opening(run)
    assert opened_elsewhere(run, SEARCH) == {}


def test_steps_of_a_replication_and_runs_beside_it_know_of_each_other(tmp_path: Path) -> None:
    paper = made(tmp_path, "paper", '["2026-01-01"]')
    step = made(tmp_path, "paper/table2", '["2026-01-02"]')
    other = made(tmp_path, "other", '["2026-01-03"]')
    beside = {"other": ["2026-01-03"], "paper/table2": ["2026-01-02"]}
    assert opened_elsewhere(paper, SEARCH) == beside
    assert opened_elsewhere(other, SEARCH) == {"paper": ["2026-01-01"], "paper/table2": ["2026-01-02"]}
    assert opened_elsewhere(step, SEARCH) == {"other": ["2026-01-03"], "paper": ["2026-01-01"]}


def test_what_is_no_date_is_shown_nowhere(tmp_path: Path) -> None:
    run = made(tmp_path, "a", json.dumps(["2026-01-01", "\x1b[2J", None, ["2026"], "2026-01-02T03:04:05+00:00"]))
    unknown = [UNKNOWN_DATE] * 3
    assert opened_dates(run) == ["2026-01-01", *unknown, "2026-01-02T03:04:05+00:00"]
    assert record_opening(run)[1:4] == unknown
    assert len(opened_dates(run)) == 6


def test_a_folder_beside_the_run_that_may_not_be_entered_is_passed_over(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "private").mkdir()
    run = made(tmp_path, "run")
    real = Path.is_file

    def is_file(path: Path) -> bool:
        if "private" in path.parts:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(Path, "is_file", is_file)
    assert opened_elsewhere(run, SEARCH) == {}


def published(storage: Storage, name: str, opened: str | None = None, **changed: str) -> RunFolder:
    """A run under a URL, as another machine left it there."""
    run = storage.run(name)
    run.test.mkdir(parents=True)
    run.write_search(SEARCH | changed)
    if opened is not None:
        (run.test / "opened.json").write_text(opened)
    run.publish()
    return run


def test_runs_of_other_machines_under_the_same_url_that_opened_the_same_faces_are_found(
    tmp_path: Path, place: str
) -> None:
    theirs = Storage(place, tmp_path / "their cache")
    published(theirs, "b", '["2026-01-02"]')
    published(theirs, "unopened")
    published(theirs, "others", '["2026-01-04"]', data_fingerprint="x")
    paper = published(theirs, "paper", '["2026-01-05"]')
    step = paper.step("table2")
    step.test.mkdir(parents=True)
    step.write_search(SEARCH)
    (step.test / "opened.json").write_text("{")
    (paper.path / "winners.csv").write_text("large")
    paper.publish()
    run = published(Storage(place, tmp_path / "our cache"), "mine", '["2026-01-01"]')
    others = {"b": ["2026-01-02"], "paper": ["2026-01-05"], "paper/table2": [UNKNOWN_DATE]}
    assert opened_elsewhere(run, SEARCH) == others
    assert list(run.path.parent.iterdir()) == [run.path]  # no part of another run that would pass for a whole one
    ours = run.step("table1")
    ours.path.mkdir()
    ours.write_search(SEARCH)
    assert opened_elsewhere(ours, SEARCH) == {"mine": ["2026-01-01"], **others}


def test_looking_for_openings_under_a_url_fetches_nothing_of_ones_own_run(tmp_path: Path, place: str) -> None:
    run = published(Storage(place, tmp_path / "cache"), "mine", '["2026-01-01"]')
    again = Storage(place, tmp_path / "another cache").run(
        "mine"
    )  # whoever holds the run has fetched what is to be had
    again.path.mkdir(parents=True)
    assert opened_elsewhere(again, SEARCH) == {}
    assert list(again.path.iterdir()) == []
    assert opened_dates(run) == ["2026-01-01"]


def test_an_opening_under_a_url_is_there_for_others_at_once(tmp_path: Path, place: str) -> None:
    ours, theirs = (published(Storage(place, tmp_path / name), name) for name in ("ours", "theirs"))
    record_opening(ours)
    assert opened_elsewhere(theirs, SEARCH) == {"ours": opened_dates(ours)}
