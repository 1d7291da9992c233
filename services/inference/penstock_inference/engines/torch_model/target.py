"""Where a model runs, and in which number format."""

from dataclasses import dataclass

from penstock_inference.engines.torch_library import torch

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True, slots=True)
class Target:
    """A device, and the number format of weights and KV memory there."""

    device: torch.device
    dtype: torch.dtype

    @property
    def is_cuda(self) -> bool:
        """Tell whether it is a GPU."""
        return self.device.type == "cuda"

    @property
    def has_flash(self) -> bool:
        """Tell whether FlashAttention runs there."""
        return self.is_cuda and self.dtype != torch.float32


def choose_target(kind: str) -> Target:
    """Take a GPU if there is one. `kind` is "fp32" or "bf16"."""
    return Target(torch.device("cuda" if torch.cuda.is_available() else "cpu"), _DTYPES[kind])
