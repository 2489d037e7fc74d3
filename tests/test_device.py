import itertools

import pytest
import torch

from core import device
from core.device import WORTHWHILE, best_precision
from core.names import Precision

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
    (note,) = tmp_path.iterdir()
    note.write_text("{")
    assert best_precision(CPU, tmp_path) is Precision.BF16
    assert float(note.read_text()) == 9.0


def test_the_measurement_is_the_time_in_float32_over_that_in_bfloat16(monkeypatch):
    now, took = [0.0], itertools.cycle([0.0, 2.0, 0.0, 0.5])  # between two looks at the clock, float32 first

    def clock():
        now[0] += next(took)
        return now[0]

    monkeypatch.setattr(device.time, "perf_counter", clock)
    assert device.bf16_speedup() == pytest.approx(4)
