"""A list of trials as a plain loop over sessions: the floor, which no engine on the same sessions can pass.

python -m benchmarks.bare_loop job.json results.json
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.material import load_material
from core.config import config_from_flat
from core.cores import cores
from core.device import device_at_hand, make_repeatable
from core.names import Precision
from core.session import Session


def main() -> None:
    """Read the job, run it, write every epoch."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    torch.set_num_threads(cores())
    epochs = range(job["epochs"])
    results = [[{**session.run_epoch(), "time": time.time()} for _ in epochs] for session in sessions(job)]
    Path(sys.argv[2]).write_text(json.dumps(results), encoding="utf-8")


def sessions(job: dict[str, Any]) -> Iterator[Session]:
    """A session for each trial of the job, made when it is asked for."""
    device = device_at_hand()
    make_repeatable(device)
    given = argparse.Namespace(data=job["data"], faces=0, weights=job["weights"])
    precision = Precision(job["settings"]["precision"])
    material = load_material(given, [job["blocks"]], precision, device, Path(job["cache"]))
    weights, examples = material.weights.without_head(), material.examples(job["blocks"])
    for trial in job["trials"]:
        config = config_from_flat({**job["settings"], **trial})
        yield Session(config, *examples, weights, job["seed"], device)


if __name__ == "__main__":
    main()
