"""A list of trials with Ray Tune as its PyTorch tutorial goes: a function that trains, given to a Tuner.

    python -m benchmarks.peers.ray_tutorial job.json results.json

Checkpoints, which the tutorial writes every epoch, are left out, because the others write none.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune

from benchmarks.peers.training import train


def train_faces(config: dict[str, Any], job: dict[str, Any]) -> None:
    """One trial; its epochs also go to a file, because Ray's own tables of a grid may come back without columns."""
    number = config["number"]
    for result in train(job, job["trials"][number]["optimizer"], job["trials"][number]["lr"]):
        with Path(job["out"]).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"trial": number, **result}) + "\n")
        tune.report(result)


def main() -> None:
    """Read the job, run it, write every epoch."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    out = Path(sys.argv[2]).resolve().with_name("epochs.jsonl")
    job["out"] = str(out)
    gpus = torch.cuda.device_count()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    ray.init(num_cpus=cores, num_gpus=gpus, include_dashboard=False, log_to_driver=False)
    resources = {"cpu": cores, "gpu": min(gpus, 1)}
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(train_faces, job=job), resources=resources),
        param_space={"number": tune.grid_search(list(range(len(job["trials"]))))},
        tune_config=tune.TuneConfig(metric="val_loss", mode="min"),
        run_config=tune.RunConfig(storage_path=str(Path(sys.argv[2]).resolve().parent / "ray"), verbose=0),
    )
    results = tuner.fit()
    if results.errors:
        raise results.errors[0]
    told = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    trials = [[row for row in told if row["trial"] == number] for number in range(len(job["trials"]))]
    Path(sys.argv[2]).write_text(json.dumps(trials), encoding="utf-8")


if __name__ == "__main__":
    main()
