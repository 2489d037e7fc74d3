"""Whose fault it is when an epoch fails. No GPU is needed: what torch and a GPU say is put in their mouths."""

import pytest
import torch

from core.patience import AwayError
from tune import guard
from tune.deaths import reason_of
from tune.guard import guarded_epoch
from tune.recorder import AWAY

FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.50 GiB. GPU 0 has ...")


def raising(error: Exception) -> object:
    def run() -> dict[str, object]:
        raise error

    return run


def test_an_epoch_that_goes_well_is_its_result() -> None:
    assert guarded_epoch(lambda: {"epoch": 1}, None) == {"epoch": 1}


@pytest.mark.parametrize("others", [0.0, 1.9e9])
def test_a_trial_too_large_for_a_gpu_of_its_own_fails_by_itself(monkeypatch: pytest.MonkeyPatch, others: float) -> None:
    monkeypatch.setattr(guard, "bytes_of_others", lambda: others)
    result = guarded_epoch(raising(FULL), None)
    assert result["failure"].startswith("OutOfMemoryError: CUDA out of memory")
    assert result["done"]


def test_on_a_gpu_that_others_fill_it_is_tried_again_and_what_to_do_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    monkeypatch.setattr(guard, "bytes_of_others", lambda: 61e9)
    with pytest.raises(RuntimeError, match=r"other processes have 61 GB of it .*CUDA_VISIBLE_DEVICES") as caught:
        guarded_epoch(raising(FULL), None)
    log = tmp_path / "error.txt"
    log.write_text(f"Failure # 1\nray.exceptions.RayTaskError(RuntimeError)\nRuntimeError: {caught.value}\n")
    assert reason_of(type("Trial", (), {"error_file": str(log)})()).startswith("RuntimeError: its GPU is full")


def test_what_others_have_is_what_is_neither_free_nor_reserved_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (10 * 2**30, 80 * 2**30))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: 30 * 2**30)
    assert guard.bytes_of_others() == 40 * 2**30


def test_without_a_gpu_others_have_nothing_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert guard.bytes_of_others() == 0.0


@pytest.mark.parametrize("text", ["CUDA error: device-side assert triggered", "cuDNN error: CUDNN_STATUS_X"])
def test_a_gpu_that_a_process_can_use_no_more_ends_the_process(text: str) -> None:
    with pytest.raises(RuntimeError, match=text):
        guarded_epoch(raising(RuntimeError(text)), None)


def test_any_other_error_is_the_trials_and_storage_that_is_away_is_not() -> None:
    assert guarded_epoch(raising(ValueError("a\nb")), None) == {"failure": "ValueError: a b", "done": True}
    assert guarded_epoch(raising(AwayError("disk")), None) == {AWAY: "disk", "done": True}
