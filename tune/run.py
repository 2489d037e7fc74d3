"""The folder of a new run, made whole or not at all."""

import datetime
import errno
import os
import platform
import shutil
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from core.device import device_name
from core.errors import UserError
from core.run_folder import RunFolder
from core.splits import write_split
from tune.board import Board
from tune.head_start import HeadStart
from tune.materials import Materials
from tune.paper_plan import PaperPlan
from tune.plan import Plan

PACKAGES = ("torch", "torchvision", "ray", "optuna", "numpy", "scikit-learn", "pandas")


def create_run(
    run: RunFolder, plan: Plan, materials: Materials, command: str, head_start: HeadStart | None = None
) -> None:
    """Write ``search.json``, ``split.csv``, what TensorBoard must know of the space, and what is known already.

    Raises:
        UserError: a run of this name has come into being in the meantime.
    """

    def fill(draft: RunFolder) -> None:
        Board(draft, plan.search_space()).describe()
        if head_start is not None:
            head_start.write(draft.head_start)

    _create(run, materials, materials.settled_plan(), command, fill)


def create_replication(run: RunFolder, plan: PaperPlan, materials: Materials, command: str) -> None:
    """Write ``search.json`` and ``split.csv`` of a replication of the paper, whose steps get folders of their own.

    Raises:
        UserError: a run of this name has come into being in the meantime.
    """
    settled = materials.settled_plan()
    recorded = {**plan.to_json(), "data": settled["data"], "weights": settled["weights"]}
    _create(run, materials, recorded, command, lambda _: None)


def _create(
    run: RunFolder, materials: Materials, plan: dict[str, Any], command: str, fill: Callable[[RunFolder], None]
) -> None:
    run.path.parent.mkdir(parents=True, exist_ok=True)
    partial = run.path.with_name(f".{run.path.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a killed process that had the same number
    partial.mkdir()
    draft = RunFolder(partial)
    try:
        draft.write_search(
            {
                "command": command,
                "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                "plan": plan,
                **materials.identity(),
                "baseline_validation": materials.baseline(),
                "device": device_name(materials.device),
                "workers": vars(materials.workers),
                "trial_timeout": materials.trial_timeout,
                "cache": None if materials.cache_everywhere is None else str(materials.cache_everywhere),
                "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
            }
        )
        write_split(draft.split, materials.faces, materials.split)
        fill(draft)
        partial.rename(run.path)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        raise UserError(f"{run.path} exists; choose another --name, or go on with it: {run.again}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)  # after the rename there is nothing to remove
