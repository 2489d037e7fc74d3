"""When a run's test split was opened: a test is one only as long as nobody has looked at it and then chosen."""

import datetime
import json
from typing import Any

from core.atomic import write_text
from core.errors import UserError
from core.run_folder import RunFolder

UNKNOWN_DATE = "an unknown date"


def opened_dates(run: RunFolder) -> list[str]:
    """When the test split was opened with a run's winners."""
    path = run.test / "opened.json"
    if not path.is_file():
        return []
    try:
        dates = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return [UNKNOWN_DATE]
    return dates if isinstance(dates, list) and all(isinstance(date, str) for date in dates) else [UNKNOWN_DATE]


def record_opening(run: RunFolder) -> list[str]:
    """Note that the test split is opened now; when it was opened before."""
    before = opened_dates(run)
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    run.test.mkdir(parents=True, exist_ok=True)
    write_text(run.test / "opened.json", json.dumps([*before, now]) + "\n")
    return before


def opened_elsewhere(run: RunFolder, search: dict[str, Any]) -> dict[str, list[str]]:
    """Which other runs in the same storage folder have opened the same test faces, and when."""
    found = {}
    for path in sorted(run.path.parent.iterdir()):
        other = RunFolder(path)
        try:
            theirs = {} if path.samefile(run.path) else other.read_search()
            dates = opened_dates(other)
        except (UserError, OSError):  # no run, or one that cannot be read
            continue
        if dates and all(theirs.get(key) == search[key] for key in ("data_fingerprint", "split_fingerprint")):
            found[path.name] = dates
    return found
