"""What the machine's devices do well."""

import time

import torch

from core.names import Precision

WORTHWHILE = 1.3  # far from the two kinds of CPU that were measured (0.5 and 2.4), so noise does not change the choice


def bf16_speedup() -> float:
    """How many times faster this CPU convolves in bfloat16 than in float32.

    Capability flags do not tell: of two CPUs whose flags both list AVX-512's bfloat16 dot product, one ran VGG-16's
    convolutions 2.4 times faster in bfloat16 and the other half as fast. So one of them is timed, for under a second:
    3 x 3 with 256 channels at 56 x 56, 4 images, channels last; the best of three runs each.
    """
    layer = torch.nn.Conv2d(256, 256, 3, padding=1).to(memory_format=torch.channels_last)
    x = torch.zeros(4, 256, 56, 56).contiguous(memory_format=torch.channels_last)

    def seconds(bf16: bool) -> float:
        times = []
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            for _ in range(4):  # the first warms up
                start = time.perf_counter()
                layer(x)
                times.append(time.perf_counter() - start)
        return min(times[1:])

    return seconds(bf16=False) / seconds(bf16=True)


def best_precision(device: torch.device) -> Precision:
    """bfloat16 where the device gains clearly by it, float32 elsewhere."""
    if device.type == "cuda":
        major, _ = torch.cuda.get_device_capability(device)
        return Precision.BF16 if major >= 8 else Precision.FP32  # Ampere brought matrix units for bfloat16
    return Precision.BF16 if bf16_speedup() > WORTHWHILE else Precision.FP32


def make_repeatable(device: torch.device) -> None:
    """Let the same seed give the same curve on a GPU too: one convolution algorithm, float32 that is float32."""
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.allow_tf32 = False
