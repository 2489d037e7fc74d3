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
    """One trial."""
    for result in train(job, config["trial"]["optimizer"], config["trial"]["lr"]):
        tune.report(result)


def main() -> None:
    """Read the job, run it, write every epoch."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    gpus = torch.cuda.device_count()
    ray.init(num_cpus=os.cpu_count(), num_gpus=gpus, include_dashboard=False, log_to_driver=False)
    resources = {"cpu": os.cpu_count(), "gpu": min(gpus, 1)}
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(train_faces, job=job), resources=resources),
        param_space={"trial": tune.grid_search(job["trials"])},
        tune_config=tune.TuneConfig(metric="val_loss", mode="min"),
        run_config=tune.RunConfig(storage_path=str(Path(sys.argv[2]).resolve().parent / "ray"), verbose=0),
    )
    results = tuner.fit()
    if results.errors:
        raise results.errors[0]
    frames = [result.metrics_dataframe for result in results]
    keys = ["epoch", "time", "train_loss", "val_loss", "val_gender_auc", "val_nme_pct"]
    Path(sys.argv[2]).write_text(json.dumps([frame[keys].to_dict("records") for frame in frames]), encoding="utf-8")


if __name__ == "__main__":
    main()
