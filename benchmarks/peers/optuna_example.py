"""A list of trials with Optuna as its PyTorch example goes: one process, an objective that trains from scratch.

python -m benchmarks.peers.optuna_example job.json results.json
"""

import json
import sys
from pathlib import Path

import optuna

from benchmarks.peers.training import OPTIMIZERS, train


def main() -> None:
    """Read the job, run it, write every epoch."""
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    results: list[list[dict[str, float]]] = []

    def objective(trial: optuna.Trial) -> float:
        optimizer = trial.suggest_categorical("optimizer", list(OPTIMIZERS))
        lr = trial.suggest_float("lr", 1e-6, 1.0, log=True)
        results.append([])
        for result in train(job, optimizer, lr):
            results[-1].append(result)
            trial.report(result["val_loss"], int(result["epoch"]))
        return results[-1][-1]["val_loss"]

    study = optuna.create_study(direction="minimize", pruner=optuna.pruners.NopPruner())
    for trial in job["trials"]:
        study.enqueue_trial(trial)
    study.optimize(objective, n_trials=len(job["trials"]))
    Path(sys.argv[2]).write_text(json.dumps(results), encoding="utf-8")


if __name__ == "__main__":
    main()
