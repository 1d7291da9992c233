"""Where a model runs, and in which number formats."""

import enum
from dataclasses import dataclass

from penstock_inference.engines.torch_library import torch

_FP8_CAPABILITY_MIN = (8, 9)


class Weights(enum.Enum):
    """What the matrices of a model's layers are kept in."""

    FLOATS = "as all else"
    INT8 = "int8"
    FP8 = "fp8"


_FORMATS = {
    "fp32": (torch.float32, Weights.FLOATS),
    "bf16": (torch.bfloat16, Weights.FLOATS),
    "int8": (torch.bfloat16, Weights.INT8),
    "fp8": (torch.bfloat16, Weights.FP8),
}


@dataclass(frozen=True, slots=True)
class Target:
    """A device, the number format of values, tables and KV memory there, and that of the layers' matrices."""

    device: torch.device
    dtype: torch.dtype
    weights: Weights = Weights.FLOATS

    @property
    def is_cuda(self) -> bool:
        """Tell whether it is a GPU."""
        return self.device.type == "cuda"

    @property
    def has_flash(self) -> bool:
        """Tell whether FlashAttention runs there."""
        return self.is_cuda and self.dtype != torch.float32

    @property
    def multiplies_fp8(self) -> bool:
        """Tell whether tensor cores multiply 8-bit floats there."""
        return self.is_cuda and torch.cuda.get_device_capability(self.device) >= _FP8_CAPABILITY_MIN


def choose_target(kind: str) -> Target:
    """Take a GPU if there is one. `kind` is one of ENGINE_KINDS's for torch."""
    return Target(torch.device("cuda" if torch.cuda.is_available() else "cpu"), *_FORMATS[kind])
