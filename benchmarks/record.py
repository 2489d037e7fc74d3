"""Where measurements go: a CSV file a benchmark, each row with the machine, the versions and the date."""

import datetime
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from core.cores import cores
from core.device import device_at_hand, device_name


def machine() -> dict[str, Any]:
    """What a reader needs to compare a number with another."""
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "device": device_name(device_at_hand()),
        "cores": cores(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def append_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add rows to a CSV file, which may have other columns by now."""
    old = [pd.read_csv(path)] if path.is_file() else []
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.concat([*old, pd.DataFrame([{**machine(), **row} for row in rows])]).to_csv(path, index=False)
