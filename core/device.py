"""What the machine's devices do well."""

from dataclasses import dataclass

import torch

from core.names import Precision


def has_bf16_matrix_unit() -> bool:
    """Whether this CPU multiplies bfloat16 matrices in hardware (AMX).

    AVX-512's bfloat16 dot product alone does not pay: on a Sapphire Rapids core without AMX a 3 x 3 convolution of 256
    channels at 56 x 56 took 89 ms in bfloat16 and 47 ms in float32 (batch 4, channels last).
    """
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(capabilities.get("amx_bf16", False))


def best_precision(device: torch.device) -> Precision:
    """bfloat16 where the device has matrix units for it, float32 elsewhere."""
    if device.type == "cuda":
        major, _ = torch.cuda.get_device_capability(device)
        return Precision.BF16 if major >= 8 else Precision.FP32  # Ampere brought bfloat16
    return Precision.BF16 if has_bf16_matrix_unit() else Precision.FP32


@dataclass(frozen=True)
class Resources:
    """CPU threads and whether a GPU is there, for one worker."""

    threads: int
    gpu: bool

    @property
    def device(self) -> torch.device:
        """Where this worker trains."""
        return torch.device("cuda" if self.gpu else "cpu")
