"""The one module that imports torch, which is not installed by default."""

try:
    import torch
    from torch import Tensor
    from torch.nn import functional
    from torch.nn.attention.varlen import varlen_attn
    from torch.nn.functional import ScalingType
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "the engine torch needs PyTorch: pip install 'penstock-inference[torch]'"
    ) from error

__all__ = ["ScalingType", "Tensor", "functional", "torch", "varlen_attn"]
