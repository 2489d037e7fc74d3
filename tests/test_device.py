import itertools
import math
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import SimpleNamespace

import pytest
import torch

from core import device
from core.device import WORTHWHILE, best_precision
from core.names import Precision
from tune.cluster import usable_gpus

CPU = torch.device("cpu")


def test_a_cpu_is_measured_once_and_the_choice_stays(tmp_path, monkeypatch):
    for speedup, expected in ((WORTHWHILE + 0.5, Precision.BF16), (WORTHWHILE - 0.5, Precision.FP32)):
        cache = tmp_path / str(expected)
        monkeypatch.setattr(device, "bf16_speedup", lambda speedup=speedup: speedup)
        assert best_precision(CPU, cache) is expected
        monkeypatch.setattr(device, "bf16_speedup", lambda: 1 / 0)
        assert best_precision(CPU, cache) is expected


def test_a_damaged_note_is_measured_again(tmp_path, monkeypatch):
    monkeypatch.setattr(device, "bf16_speedup", lambda: 9.0)
    best_precision(CPU, tmp_path)
    (note,) = tmp_path.glob("*.json")
    note.write_text("{")
    assert best_precision(CPU, tmp_path) is Precision.BF16
    assert float(note.read_text()) == 9.0


def test_of_two_searches_that_begin_together_one_measures(tmp_path, monkeypatch):
    measured = iter([WORTHWHILE + 0.1, WORTHWHILE - 0.1])

    def slowly():
        time.sleep(0.3)
        return next(measured)

    monkeypatch.setattr(device, "bf16_speedup", slowly)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: best_precision(CPU, tmp_path / "new"), range(2)))
    assert found == [Precision.BF16] * 2


def test_the_measurement_is_the_time_in_float32_over_that_in_bfloat16(monkeypatch):
    now, took = [0.0], itertools.cycle([0.0, 2.0, 0.0, 0.5])  # between two looks at the clock, float32 first

    def clock():
        now[0] += next(took)
        return now[0]

    monkeypatch.setattr(device.time, "perf_counter", clock)
    assert device.bf16_speedup() == pytest.approx(4)


BUILT = ["sm_75", "sm_80", "sm_90", "compute_120"]


@pytest.mark.parametrize(
    ("capability", "runs"),
    [
        ((7, 0), False),
        ((7, 5), True),
        ((8, 6), True),
        ((9, 0), True),
        ((10, 0), False),
        ((12, 0), True),
        ((12, 1), True),
    ],
)
def test_a_gpu_runs_code_of_its_generation_and_what_is_built_for_later_ones(capability, runs):
    assert device.runs_on(capability, BUILT) is runs


def a_gpu(monkeypatch, available, capability):
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: BUILT)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Tesla V100")


@pytest.mark.parametrize(
    ("available", "capability", "trouble", "used"),
    [
        (True, (9, 0), "", 1),
        (True, (7, 0), "this torch has no code for Tesla V100 (7.0)", 0),
        (False, (9, 0), "torch cannot use the driver", 0),
    ],
)
def test_a_gpu_that_torch_cannot_compute_on_is_not_used_and_the_reason_is_said(
    monkeypatch, available, capability, trouble, used
):
    a_gpu(monkeypatch, available, capability)
    said = []
    assert usable_gpus(said.append) == used
    assert device.device_at_hand().type == ("cuda" if used else "cpu")
    assert len(said) == 1 - used
    assert all(line.startswith(f"note: trials have no GPU: {trouble}") for line in said)


def test_the_smallest_gpu_counts_and_where_torch_can_use_none_nothing_is_known(monkeypatch):
    a_gpu(monkeypatch, True, (9, 0))
    sizes = [24e9, 8e9]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(sizes))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda n: SimpleNamespace(total_memory=sizes[n]))
    assert device.gpu_bytes() == 8e9
    a_gpu(monkeypatch, False, (9, 0))  # a driver that torch cannot use would raise an error of its own
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: pytest.fail("asked"))
    assert device.gpu_bytes() == math.inf


CUDNN, CUDA = torch.backends.cudnn, torch.backends.cuda


def flag(place, name):
    return partial(getattr, place, name), partial(setattr, place, name)


FLAGS = [
    (*flag(CUDNN, "benchmark"), False),
    (*flag(CUDNN, "deterministic"), True),
    (*flag(CUDNN, "allow_tf32"), False),
    (*flag(CUDA.matmul, "allow_tf32"), False),
    (CUDA.flash_sdp_enabled, CUDA.enable_flash_sdp, False),
    (CUDA.mem_efficient_sdp_enabled, CUDA.enable_mem_efficient_sdp, False),
    (CUDA.cudnn_sdp_enabled, CUDA.enable_cudnn_sdp, False),
]
"""What tells each, what sets it, and what it must be where curves are to repeat themselves."""


def told():
    return [tell() for tell, _, _ in FLAGS]


@pytest.fixture
def opposite_flags():
    """Each as it must not be. Nothing of this matters without a GPU, but later tests should find what was."""
    before = told()
    try:
        for _, put, needed in FLAGS:
            put(not needed)
        yield
    finally:
        for (_, put, _), value in zip(FLAGS, before, strict=True):
            put(value)
    assert told() == before


def test_a_gpu_is_made_to_repeat_itself_in_float32_that_is_float32_with_plain_attention(opposite_flags):
    device.make_repeatable(torch.device("cuda"))
    assert told() == [needed for _, _, needed in FLAGS]
    assert CUDA.math_sdp_enabled()


def test_a_cpu_repeats_itself_without_any_of_this(opposite_flags):
    device.make_repeatable(CPU)
    assert told() == [not needed for _, _, needed in FLAGS]
