"""What the machine's devices do well."""

import json
import math
import platform
import re
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from core.atomic import write_text
from core.errors import UserError, first_line
from core.json_text import read_json
from core.names import Precision
from core.turns import alone

WORTHWHILE = 1.1  # half-way, in ratios, between the two kinds of CPU that were measured (0.5 and 2.4)
RUNS = 10


class GpuError(UserError):
    """A GPU failed, or had no room."""


@contextmanager
def gpu_errors(device: torch.device, doing: str, way_on: str) -> Iterator[None]:
    """Tell a failure of the GPU in one line.

    Args:
        doing: what was done while it failed.
        way_on: what the user can do now.

    Raises:
        GpuError: torch raised anything on a GPU.
    """
    try:
        yield
    except RuntimeError as error:
        if device.type != "cuda":
            raise
        raise GpuError(f"the GPU failed while {doing} ({first_line(error)}); {way_on}") from None


def device_at_hand() -> torch.device:
    """A GPU if there is one that torch can compute on."""
    return torch.device("cuda" if torch.cuda.is_available() and not trouble_with_gpus() else "cpu")


def cpu_name() -> str:
    """The processor's name, as far as it can be had."""
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # torch 2.11 may lack it
    return str(capabilities.get("cpu_name") or platform.processor() or platform.machine())


def runs_on(capability: tuple[int, int], codes: Sequence[str]) -> bool:
    """Whether a GPU of this compute capability can run code that was built for these (``sm_80``: this generation from
    8.0 on; ``compute_90``: any from 9.0 on).
    """
    built = [(kind, divmod(int(digits), 10)) for kind, digits in re.findall(r"(sm|compute)_(\d+)", " ".join(codes))]
    return any(code <= capability and (kind == "compute" or code[0] == capability[0]) for kind, code in built)


def trouble_with_gpus() -> str:
    """Why torch cannot compute on GPUs that are there, in a line; empty if it can, or there are none.

    Nothing is computed, since that would take memory of a GPU, and all of one that admits a single process.
    """
    if not torch.cuda.device_count():  # by the driver's word
        return ""
    if not torch.cuda.is_available():
        return f"torch cannot use the driver (too old for CUDA {torch.version.cuda}, or of another kind)"
    codes = torch.cuda.get_arch_list() if torch.version.cuda is not None else []
    if not codes:  # another make of GPU, whose codes have other names
        return ""
    for index in range(torch.cuda.device_count()):
        capability = torch.cuda.get_device_capability(index)
        if not runs_on(capability, codes):
            name = f"{torch.cuda.get_device_name(index)} ({'.'.join(map(str, capability))})"
            return f"this torch has no code for {name}; CUDA_VISIBLE_DEVICES can leave it out"
    return ""


def device_name(device: torch.device) -> str:
    """Of the GPU, or of the processor."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name()


def bf16_speedup() -> float:
    """How many times faster this CPU convolves in bfloat16 than in float32.

    Capability flags do not tell: of two CPUs whose flags both list AVX-512's bfloat16 dot product, one ran VGG-16's
    convolutions 2.4 times faster in bfloat16 and the other half as fast. So one of them is timed, for about a second:
    3 x 3 with 256 channels at 56 x 56, 4 images, channels last; the best of ten runs each, in turn, because other work
    on the machine can slow any single one.
    """
    layer = torch.nn.Conv2d(256, 256, 3, padding=1).to(memory_format=torch.channels_last)
    x = torch.zeros(4, 256, 56, 56).contiguous(memory_format=torch.channels_last)

    def seconds(bf16: bool) -> float:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            start = time.perf_counter()
            layer(x)
            return time.perf_counter() - start

    pairs = [(seconds(bf16=False), seconds(bf16=True)) for _ in range(RUNS + 1)][1:]  # the first warms up
    return min(plain for plain, _ in pairs) / min(short for _, short in pairs)


def best_precision(device: torch.device, cache: Path) -> Precision:
    """bfloat16 where the device gains clearly by it, float32 elsewhere.

    What was measured of a CPU is kept in ``cache``: the same machine must give the same curve again, however busy it
    is by then.
    """
    if device.type == "cuda":
        major, _ = torch.cuda.get_device_capability(device)
        return Precision.BF16 if major >= 8 else Precision.FP32  # Ampere brought matrix units for bfloat16
    kind = f"{cpu_name()} {torch.get_num_threads()} {torch.__version__}"
    path = cache / f"bf16-speedup-{re.sub('[^A-Za-z0-9.]+', '-', kind)}.json"
    speedup = _noted(path)
    if speedup is None:
        cache.mkdir(parents=True, exist_ok=True)
        with alone(path.with_name(f"{path.name}.lock")):  # of two searches that begin together one measures
            speedup = _noted(path)
            if speedup is None:
                speedup = round(bf16_speedup(), 2)  # as it will be read, or the second search might decide otherwise
                write_text(path, json.dumps(speedup))
    return Precision.BF16 if speedup > WORTHWHILE else Precision.FP32


def _noted(path: Path) -> float | None:
    """A number that was measured; None if it was not yet, or not by us."""
    try:
        return float(read_json(path))
    except (UserError, ValueError, TypeError, OverflowError):
        return None


def make_repeatable(device: torch.device) -> None:
    """Let the same seed give the same curve on a GPU too: one convolution algorithm, float32 that is float32, and
    attention in its plain form, as the backward passes of the others add in any order; of 49 or 196 positions it is
    cheap.
    """
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
        with warnings.catch_warnings():
            # Some versions recommend newer switches; after those, torch's own readers of these would fail.
            warnings.simplefilter("ignore", UserWarning)
            torch.backends.cudnn.allow_tf32 = False
            torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cuda.enable_flash_sdp(False)
        torch.backends.cuda.enable_mem_efficient_sdp(False)
        torch.backends.cuda.enable_cudnn_sdp(False)


def gpu_bytes() -> float:
    """Memory of the smallest GPU here; infinite where torch can use none: nothing is known then of those elsewhere."""
    if trouble_with_gpus():
        return math.inf
    sizes = [torch.cuda.get_device_properties(number).total_memory for number in range(torch.cuda.device_count())]
    return float(min(sizes, default=math.inf))
