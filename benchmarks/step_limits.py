"""What the device reaches at its best: a large matrix product, a large copy. And how anything is timed on it."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch

from core.names import Precision

SIZE = {"cpu": 2048, "cuda": 8192}  # of the square matrices: large enough that arithmetic is all they cost
COPIED_BYTES = {"cpu": 2**28, "cuda": 2**31}  # many times what a cache holds
RUNS = 8
DTYPE = {Precision.FP32: torch.float32, Precision.BF16: torch.bfloat16}


@dataclass(frozen=True)
class Limits:
    """What one device reached."""

    macs_per_second: Mapping[Precision, float]
    bytes_per_second: float
    """Read plus written."""


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """How long ``work`` takes until the device has finished it."""
    synchronise(device)
    start = time.perf_counter()
    work()
    synchronise(device)
    return time.perf_counter() - start


def synchronise(device: torch.device) -> None:
    """Wait until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measured_limits(device: torch.device, precisions: Iterable[Precision]) -> Limits:
    """The best of some runs each: other work on the machine can only slow one."""
    size, count = SIZE[device.type], COPIED_BYTES[device.type] // 4
    macs = {precision: size**3 / _best_product(size, precision, device) for precision in precisions}
    copy = _best_copy(count, device)
    torch.cuda.empty_cache()  # for the measurements, which run in other processes
    return Limits(macs, 2 * 4 * count / copy)


def _best_copy(count: int, device: torch.device) -> float:
    source = torch.ones(count, device=device)
    target = torch.empty_like(source)
    return min(seconds_of(lambda: target.copy_(source), device) for _ in range(RUNS))


def _best_product(size: int, precision: Precision, device: torch.device) -> float:
    a, b = (torch.randn(size, size, device=device).to(DTYPE[precision]) for _ in range(2))
    return min(seconds_of(lambda: a @ b, device) for _ in range(RUNS))
