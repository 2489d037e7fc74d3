"""Running lists of jobs on Ray's workers."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import ray
from ray import tune as ray_tune
from ray.tune.error import TuneError
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from core.errors import UserError
from core.weights import Weights
from tune.deaths import WORKER_DEATHS
from tune.machine import Workers
from tune.recorder import RetrainRecorder
from tune.trainable import RaceTrial, RetrainTrial, SearchTrial, Workload


def run_search(
    workload: Workload,
    workers: Workers,
    searcher: Any,
    scheduler: TrialScheduler,
    callback: Any,
    stopper: Any,
    trials: int,
    time_budget: float | None,
) -> None:
    """Run ``trials`` trials; what comes of them reaches ``callback``."""
    tune_config = ray_tune.TuneConfig(
        search_alg=searcher,
        scheduler=scheduler,
        num_samples=trials,
        max_concurrent_trials=workers.count,
        time_budget_s=time_budget,
        reuse_actors=True,
        trial_name_creator=lambda trial: f"trial-{trial.config['number']:04d}",
    )
    _fit(SearchTrial, workload, workers, tune_config, callback, {}, stopper)


def run_retraining(
    workload: Workload, workers: Workers, jobs: Sequence[dict[str, Any]], callback: RetrainRecorder, stopper: Any
) -> None:
    """Run one retraining a job, in order, on the same workers as the search."""
    _run_jobs(RetrainTrial, workload, workers, jobs, callback, stopper)


def run_race(
    workload: Workload, workers: Workers, jobs: Sequence[dict[str, Any]], callback: RetrainRecorder, stopper: Any
) -> None:
    """Run a round of a race, likewise."""
    _run_jobs(RaceTrial, workload, workers, jobs, callback, stopper)


def _run_jobs(
    trainable: Any,
    workload: Workload,
    workers: Workers,
    jobs: Sequence[dict[str, Any]],
    callback: RetrainRecorder,
    stopper: Any,
) -> None:
    tune_config = ray_tune.TuneConfig(
        scheduler=FIFOScheduler(), max_concurrent_trials=workers.count, num_samples=1, reuse_actors=True
    )
    _fit(trainable, workload, workers, tune_config, callback, {"job": ray_tune.grid_search(list(jobs))}, stopper)


def _fit(
    trainable: Any,
    workload: Workload,
    workers: Workers,
    tune_config: ray_tune.TuneConfig,
    callback: Any,
    param_space: dict[str, Any],
    stopper: Any,
) -> None:
    resources = {"cpu": workers.threads, "gpu": workers.gpus}
    workload = replace(workload, weights=stored(workload.weights))
    bound = ray_tune.with_resources(ray_tune.with_parameters(trainable, workload=workload), resources)
    # Ray's own records of the experiment go where they vanish: everything that lasts is in the run's folder.
    with tempfile.TemporaryDirectory(prefix="tandem-ray-", ignore_cleanup_errors=True) as scratch:
        run_config = ray_tune.RunConfig(
            name="tandem",
            storage_path=scratch,
            callbacks=[callback],
            stop=stopper,
            # Ray would save every trial at its end; a search keeps no weights, and winners write their own.
            checkpoint_config=ray_tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            failure_config=ray_tune.FailureConfig(max_failures=WORKER_DEATHS),
            verbose=0,
        )
        try:
            ray_tune.Tuner(bound, param_space=param_space, tune_config=tune_config, run_config=run_config).fit()
        except TuneError as error:
            raise _own(error) from None


_STORED: dict[tuple[int, str, str], tuple[Weights, Any]] = {}


def stored(weights: Weights) -> Any:
    """Where Ray keeps weights, which are put there once for all searches and retrainings of this process: Ray lets go
    of nothing that a trainable was bound to before its driver ends, and weights may be half a gigabyte.
    """
    context = ray.get_runtime_context()
    key = id(weights), context.get_node_id(), context.get_job_id()  # a Ray that is gone has taken its store with it
    if key not in _STORED:
        _STORED[key] = weights, ray.put(weights)  # they are held, so that no others get their id
    return _STORED[key][1]


def _own(error: BaseException) -> BaseException:
    """What our callback raised; Ray wraps that in an error of its own, with the traceback for its text."""
    inner: BaseException | None = error
    while inner is not None and not isinstance(inner, UserError):
        inner = inner.__cause__ or inner.__context__
    return inner or error
