"""The one module that imports Triton, which PyTorch brings where it is built for GPUs."""

import triton
from triton import language as tl

__all__ = ["tl", "triton"]
