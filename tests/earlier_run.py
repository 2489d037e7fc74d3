"""The folder of an earlier search, made in a moment from parameters and errors."""

from pathlib import Path
from typing import Any

import pandas as pd

from core.names import MEAN_FACE
from core.run_folder import RunFolder
from search_spaces.catalogue import SPACES
from tune.ledger import Ledger, Status
from tune.plan import Plan
from tune.profile import Profile, settled_space

IDENTITY = {"data_fingerprint": "faces", "split_fingerprint": "split", "weights_sha256": "weights", "precision": "fp32"}


def plan_of(space: str = "joint", profile: Profile = Profile.FAST, settings: Any = None, **options: Any) -> Plan:
    return Plan(space=settled_space(SPACES[space], profile, settings or {}).to_json(), profile=profile, **options)


def write_earlier(path: Path, plan: Plan, trials: list[tuple[dict[str, Any], list[float], str]], **record: Any) -> Path:
    """A run with these trials: parameters, errors by epoch (of the plan's objective), status."""
    path.mkdir(parents=True)
    run = RunFolder(path)
    workers = {"count": 1, "threads": 1, "gpus": 0.0}
    run.write_search({"plan": plan.to_json(), "workers": workers, **IDENTITY, **record})
    ledger = Ledger(run.trials, run.curves, plan.aim())
    for number, (parameters, errors, status) in enumerate(trials):
        entry = ledger.add(number, parameters)
        for epoch, error in enumerate(errors, 1):
            known = {"epoch": epoch, "relative_error": error, plan.aim().name: error}
            ledger.record(number, {**known, "seconds_per_epoch": 0.1})
        entry.status = Status(status)
    ledger.write(now=True)
    return path


def write_winner_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """``winners.csv`` from settings, the first of each kind ranked first."""
    table = pd.DataFrame(
        [{"model": row["architecture"], "rank": 1, **{f"config.{k}": v for k, v in row.items()}} for row in rows]
    )
    table = pd.concat([table.astype({"rank": "Int64"}), pd.DataFrame([{"model": MEAN_FACE}])], ignore_index=True)
    table.to_csv(RunFolder(path).winners, index=False)
