"""One epoch of a trial, whatever goes wrong in it: what is the trial's fault, what its GPU's, what storage's."""

from collections.abc import Callable
from typing import Any

import torch

from core.patience import AwayError
from tune.recorder import AWAY
from tune.watchdog import watched

BROKEN_GPU = ("CUDA error", "cuDNN error")
"""What torch says of a GPU that a process can use no more."""
CROWD_BYTES = 2e9
"""Of a GPU's memory that others must have for a want of it to be laid at their door; CUDA's own contexts take less."""


def guarded_epoch(run: Callable[[], dict[str, Any]], seconds: float | None) -> dict[str, Any]:
    """One epoch; a trial that raises ends with its reason, and its worker lives on for the next trial.

    Storage that takes nothing is no fault of the trial, which stays open.

    Raises:
        Exception: of a GPU that fails, or that others have filled: Ray starts another process and tries the trial
            again, some times.
    """
    try:
        with watched(seconds):
            result = run()
    except AwayError as error:
        return {AWAY: str(error), "done": True}
    except torch.OutOfMemoryError as error:
        others = bytes_of_others()
        if others > CROWD_BYTES:
            raise RuntimeError(crowded(others)) from error
        return failed(error)
    except Exception as error:  # whatever it was is recorded as the trial's reason
        if any(word in str(error) for word in BROKEN_GPU):
            raise
        return failed(error)
    return result


def failed(error: Exception) -> dict[str, Any]:
    """The result of a trial that ends by its own fault."""
    return {"failure": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}", "done": True}


def bytes_of_others() -> float:
    """Memory of this process's GPU that other processes have; 0 without a GPU."""
    if not torch.cuda.is_available():
        return 0.0
    free, total = torch.cuda.mem_get_info()
    return float(total - free - torch.cuda.memory_reserved())


def crowded(others: float) -> str:
    """What to say of a GPU on which other processes have so many bytes."""
    return (
        f"its GPU is full: other processes have {others / 1e9:.0f} GB of it "
        "(CUDA_VISIBLE_DEVICES names the GPUs that Tandem may use)"
    )
