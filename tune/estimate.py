"""How long training will take, from a short measurement on the workers that will do it."""

import dataclasses
import statistics
from collections.abc import Mapping
from typing import Any

import numpy as np
import ray
from ray.exceptions import RayError

from core.config import config_from_flat
from core.errors import UserError
from core.examples import Examples
from core.session import Session
from tune.machine import Workers
from tune.trainable import Bench, Workload

MEASURED_FACES = 60  # of whole networks; an epoch of heads is short enough to be measured whole
MEASURED_EPOCHS = 3


def seconds_per_epoch(workload: Workload, workers: Workers, parameters: Mapping[str, Any]) -> float:
    """Seconds that an epoch over all training faces takes on one worker: the median of three.

    Where convolutions learn, scaled up from epochs over 60 faces.

    Raises:
        UserError: it cannot be trained.
    """
    # With a GPU named here, and not in options(), Ray ends the process after the task, and with it its part of that
    # GPU's memory.
    measure = ray.remote(num_cpus=workers.threads, num_gpus=workers.gpus)(_measure)
    try:
        return float(ray.get(measure.remote(ray.put(workload), dict(parameters))))
    except RayError as error:  # whatever happened in the worker: divergence, too little memory
        lines = str(error).strip().splitlines()
        raise UserError(f"an epoch with {dict(parameters)} cannot be measured: {lines[-1][:300]}") from None


def _measure(workload: Workload, parameters: dict[str, Any]) -> float:
    bench = Bench(workload)
    config = config_from_flat({**workload.settings, **parameters})
    train, validation = bench.examples(config)
    share = 1.0 if config.model.frozen_blocks == 5 else min(1.0, MEASURED_FACES / len(train))
    parts = (_first(train, share), _first(validation, share))
    session = Session(config, *parts, bench.weights, 0, bench.device, epochs=workload.epochs)
    session.run_epoch()  # the first pays for what later ones find ready
    return statistics.median(session.run_epoch()["seconds_per_epoch"] for _ in range(MEASURED_EPOCHS)) / share


def _first(examples: Examples, share: float) -> Examples:
    """So much of a part, with women and men in it."""
    chosen = np.argsort(_turn(examples.gender), kind="stable")[: max(2, round(share * len(examples)))]
    picked = {name: getattr(examples, name)[chosen] for name in ("rows", "landmarks", "gender")}
    views = examples.views
    if views is not None:
        views = dataclasses.replace(views, rows=views.rows[chosen], landmarks=views.landmarks[chosen])
    return dataclasses.replace(examples, **picked, views=views)


def _turn(gender: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """For each face, the how manieth of its gender it is, so that the first faces in this order alternate."""
    turn = np.zeros(len(gender), dtype=np.int64)
    for value in (0, 1):
        turn[gender == value] = np.arange((gender == value).sum())
    return turn
