"""One row of the measurement: a model in one form of its training step, timed, and set against what it must do."""

import statistics
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.step_case import Case, Effort, built_session
from benchmarks.step_limits import Limits, seconds_of
from benchmarks.step_training import TrainingStep, whole_step
from benchmarks.step_variants import COMPILED, Change
from benchmarks.step_work import learned_parameters, optimizer_bytes, products, products_seconds
from benchmarks.table import Row, spread
from benchmarks.whole_network import peak_bytes
from core.cores import cores
from core.device import device_at_hand, make_repeatable
from core.prediction import predict
from tune.progress import Progress

STEPS_PER_REPEAT = {"cpu": 1, "cuda": 10}  # waiting for a GPU after every step would keep it from running ahead
WARM_UP = {"cpu": 1, "cuda": 5}
NOT_MEASURED = "not_measured"


def measured(case: Case, effort: Effort, limits: Limits) -> Row:
    """The row of a case, in a process of its own so that peak memory is its own."""
    device = device_at_hand()
    torch.set_num_threads(cores())
    make_repeatable(device)  # as a trial does
    step = TrainingStep(built_session(case, effort, device), case.variant)
    try:
        run = whole_step(step)
        times = step_seconds(case, run, effort.repeats, device)
    except torch.OutOfMemoryError:
        return {NOT_MEASURED: "too little GPU memory"}
    except RuntimeError as error:
        if not case.variant.changes & COMPILED:
            raise
        return {NOT_MEASURED: f"torch.compile failed: {first_line(error)}"}
    row = speed(times, effort.batch) | against_floor(case, step, statistics.median(times), limits)
    row |= {"peak_gb": round(peak_bytes(device) / 1e9, 2)}
    if Change.GRAPH not in case.variant.changes:
        row |= breakdown(step, effort.repeats)
    if not case.variant.changes:
        row |= epochs(case, step, effort)
    return row


def first_line(error: Exception) -> str:
    """What a long error says first."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:100]


def step_seconds(case: Case, run: Callable[[], object], repeats: int, device: torch.device) -> list[float]:
    """Seconds of a step, ``repeats`` times, after a warm-up."""
    count, times = STEPS_PER_REPEAT[device.type], list[float]()

    def several() -> None:
        for _ in range(count):
            run()

    with Progress(lambda: f"{case}: {len(times)}/{repeats} repeats"):
        for _ in range(WARM_UP[device.type]):
            run()
        times.extend(seconds_of(several, device) / count for _ in range(repeats))
    return times


def speed(times: list[float], batch: int) -> Row:
    """Median step, and images a second with their spread."""
    rates = spread("images_per_s", [batch / seconds for seconds in times])
    return {name: round(rate, 1) for name, rate in rates.items()} | {
        "ms_per_step": round(1e3 * statistics.median(times), 2)
    }


def against_floor(case: Case, step: TrainingStep, seconds: float, limits: Limits) -> Row:
    """What the step must do, the least time for it on this device, and how near it comes."""
    model, precision = step.session.model, case.variant.precision
    found = products(model, Change.UNCACHED in case.variant.changes)
    moved = optimizer_bytes(case.optimizer, learned_parameters(model))
    arithmetic, update = products_seconds(found, step.batch_size, limits, precision), moved / limits.bytes_per_second
    return {
        "forward_gmacs_per_face": round(sum(p.macs for p in found) / 1e9, 3),
        "step_gmacs_per_face": round(sum(p.macs * p.passes for p in found) / 1e9, 3),
        "learned_millions": round(learned_parameters(model) / 1e6, 2),
        "optimizer_gb_per_step": round(moved / 1e9, 3),
        "best_gmacs_per_s": round(limits.macs_per_second[precision] / 1e9, 1),
        "best_copy_gb_per_s": round(limits.bytes_per_second / 1e9, 1),
        "floor_products_ms": round(1e3 * arithmetic, 2),
        "floor_optimizer_ms": round(1e3 * update, 2),
        "floor_ms": round(1e3 * (arithmetic + update), 2),
        "reached_pct": round(100 * (arithmetic + update) / seconds, 1),
    }


def breakdown(step: TrainingStep, repeats: int) -> Row:
    """Median milliseconds of each part of a step, the device being waited for after each."""
    parts: dict[str, list[float]] = {"gather_ms": [], "forward_ms": [], "backward_ms": [], "update_ms": []}
    held: dict[str, Any] = {}
    works: dict[str, Callable[[], object]] = {
        "gather_ms": lambda: held.update(batch=step.gather()),
        "forward_ms": lambda: held.update(loss=step.forward(held["batch"])),
        "backward_ms": lambda: held["loss"].backward(),
        "update_ms": step.update,
    }
    for _ in range(repeats):
        for name, work in works.items():
            parts[name].append(seconds_of(work, step.device))
    return {name: round(1e3 * statistics.median(times), 2) for name, times in parts.items()}


def epochs(case: Case, step: TrainingStep, effort: Effort) -> Row:
    """Median seconds of the session's epoch, of its validation, and of the same steps without a session."""
    session, times = step.session, list[dict[str, float]]()

    def bare() -> None:
        for batch in session.train_source.batches(step.batch_size, step.order):
            step.on(batch)

    works: dict[str, Callable[[], object]] = {
        "session_epoch_s": session.run_epoch,
        "bare_epoch_s": bare,
        "validation_s": lambda: predict(session.model, session.validation_source, case.variant.precision),
    }
    with Progress(lambda: f"{case}: {len(times)}/{effort.epochs} epochs"):
        for _ in range(effort.epochs):
            session.model.train()  # which validation ended
            times.append({name: seconds_of(work, step.device) for name, work in works.items()})
    if not times:
        return {}
    found = {name: statistics.median(run[name] for run in times) for name in works}
    found["session_rest_s"] = found["session_epoch_s"] - found["bare_epoch_s"] - found["validation_s"]
    counts = {"train_faces": len(step.order), "validation_faces": len(session.validation_source.examples)}
    return counts | {name: round(seconds, 3) for name, seconds in found.items()}
