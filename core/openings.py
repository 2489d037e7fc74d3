"""When a run's test split was opened: a test is one only as long as nobody has looked at it and then chosen."""

import datetime
import json
import tempfile
from pathlib import Path
from typing import Any

from core.atomic import write_text
from core.errors import UserError
from core.json_text import read_json
from core.mirror import Mirror
from core.run_folder import RunFolder
from core.urls import above

OPENED = "opened.json"
UNKNOWN_DATE = "an unknown date"


def opened_dates(run: RunFolder) -> list[str]:
    """When the test split was opened with a run's winners."""
    path = run.test / OPENED
    if not path.is_file():
        return []
    try:
        dates = read_json(path)
    except UserError:
        return [UNKNOWN_DATE]
    return [_date(date) for date in dates] if isinstance(dates, list) else [UNKNOWN_DATE]


def _date(given: object) -> str:
    """A date as :func:`record_opening` writes it; what else stands there is shown nowhere."""
    try:
        datetime.datetime.fromisoformat(str(given))
    except (ValueError, RecursionError):
        return UNKNOWN_DATE
    return str(given)


def record_opening(run: RunFolder) -> list[str]:
    """Note that the test split is opened now; when it was opened before."""
    before = opened_dates(run)
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    run.test.mkdir(parents=True, exist_ok=True)
    write_text(run.test / OPENED, json.dumps([*before, now]) + "\n")
    run.publish()
    return before


def opened_elsewhere(run: RunFolder, search: dict[str, Any]) -> dict[str, list[str]]:
    """Which other runs have opened the same test faces, and when: those beside it and, of replications, their steps."""
    home = run.path.resolve().parent
    storage = home.parent if (home / "search.json").is_file() else home  # a step's home is its replication
    found = _opened_in(storage, run, search)
    if run.mirror is not None:
        place, own = above(run.mirror.url)
        names = (run.search.name, OPENED)
        with tempfile.TemporaryDirectory() as folder:  # a part of a run among the working copies would pass for one
            there = Path(folder)
            Mirror(there, place).pull(wanted=lambda name: name.endswith(names) and not name.startswith(f"{own}/"))
            for name, dates in _opened_in(there, run, search).items():
                found[name] = sorted({*found.get(name, []), *dates})  # some may not have been published from here
    return found


def _opened_in(storage: Path, run: RunFolder, search: dict[str, Any]) -> dict[str, list[str]]:
    found = {}
    for path in _runs_in(storage):
        other = RunFolder(path)
        try:
            theirs = {} if path.samefile(run.path) else other.read_search()
            dates = opened_dates(other)
        except (UserError, OSError):  # no run, or one that cannot be read
            continue
        if dates and all(theirs.get(key) == search[key] for key in ("data_fingerprint", "split_fingerprint")):
            found[str(path.relative_to(storage))] = dates
    return found


def _runs_in(storage: Path) -> list[Path]:
    """Folders that may be runs: those in ``storage`` and, as steps of a replication, those in a run."""
    beside = sorted(path for path in storage.iterdir() if path.is_dir())
    return [*beside, *(step for path in beside for step in _steps_in(path))]


def _steps_in(path: Path) -> list[Path]:
    """What lies in a folder that is a run; nothing of another, or of one that may not be entered."""
    try:
        return sorted(path.iterdir()) if (path / "search.json").is_file() else []
    except OSError:  # somebody else's, which no user of ours can have opened a test from here with
        return []
