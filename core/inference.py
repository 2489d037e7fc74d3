"""How long one face takes."""

import statistics
import time

import numpy as np
import torch
from numpy.typing import NDArray

from core.models import FaceModel
from core.names import Precision

WARM_UP, TIMED = 3, 20


@torch.inference_mode()
def inference_ms(model: FaceModel, image_CHW: NDArray[np.uint8], precision: Precision, device: torch.device) -> float:
    """Median milliseconds from one uint8 face (3, 224, 224) in memory to the model's outputs, batch 1, whole network.

    After a warm-up, and with the device synchronised before the clock is read.
    """
    model.eval()
    times = []
    for _ in range(WARM_UP + TIMED):
        start = time.perf_counter()
        face = torch.from_numpy(image_CHW[None]).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=precision is Precision.BF16):
            model(model.frozen_features(face))
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times[WARM_UP:])
