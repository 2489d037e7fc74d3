"""A list of trials as a plain loop over sessions: the floor, which no engine on the same sessions can pass.

python -m benchmarks.bare_loop job.json results.json
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.material import quiet
from core.config import config_from_flat
from core.device import make_repeatable
from core.names import Precision
from core.preparation import load_faces, load_weights, prepare_inputs
from core.session import Session
from core.splits import split_faces


def main() -> None:
    """Read the job, run it, write every epoch."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    torch.set_num_threads(os.cpu_count() or 1)
    epochs = range(job["epochs"])
    results = [[{**session.run_epoch(), "time": time.time()} for _ in epochs] for session in sessions(job)]
    Path(sys.argv[2]).write_text(json.dumps(results), encoding="utf-8")


def sessions(job: dict[str, Any]) -> Iterator[Session]:
    """A session for each trial of the job, made when it is asked for."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    make_repeatable(device)
    cache, precision = Path(job["cache"]), Precision(job["settings"]["precision"])
    faces = load_faces(job["data"], 0, 0, cache, quiet)
    split = split_faces(faces.gender, faces.identity, 0)
    weights = load_weights(job["weights"], faces, split, lambda _: None, quiet).without_head()
    inputs = prepare_inputs(faces, split, weights, [job["blocks"]], precision, device, cache, quiet)[job["blocks"]]
    array = np.load(inputs.path, mmap_mode="r")
    for trial in job["trials"]:
        config = config_from_flat({**job["settings"], **trial})
        yield Session(config, *inputs.examples(array), weights, job["seed"], device)


if __name__ == "__main__":
    main()
