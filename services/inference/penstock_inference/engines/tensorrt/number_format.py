"""Put the weights of linear layers into a network, in each of the number formats that an engine can have."""

from typing import Any

import numpy as np

from penstock_inference.engines.tensorrt.library import BFLOAT16, FLOAT8
from penstock_inference.engines.tensorrt.network import Network, Tensor
from penstock_inference.formats import Floats

_COMPUTE: dict[str, np.dtype[Any]] = {"fp16": np.dtype(np.float16)}
_CODES: dict[str, tuple[np.dtype[Any], float]] = {"int8": (np.dtype(np.int8), 127.0), "fp8": (FLOAT8, 448.0)}


class NumberFormat:
    """What an engine computes in, and what it keeps its matrices in."""

    def __init__(self, kind: str) -> None:
        self.dtype = _COMPUTE.get(kind, BFLOAT16)
        self._codes = _CODES.get(kind)

    def constant(self, network: Network, values: Floats) -> Tensor:
        """Add values in the type that is computed in."""
        return network.constant(values.astype(self.dtype))

    def linear(self, network: Network, values: Tensor, matrix: Floats) -> Tensor:
        """Multiply each row of values `[batch, tokens, inputs]` with a matrix `[outputs, inputs]` transposed."""
        weights = self._quantized(network, matrix) if self._codes else self.constant(network, matrix)
        return network.product(values, network.reshape(weights, (1, *matrix.shape)))

    def _quantized(self, network: Network, matrix: Floats) -> Tensor:
        """Keep codes and one scale for each output."""
        assert self._codes is not None
        dtype, largest = self._codes
        scales = np.abs(matrix).max(axis=1) / largest
        # What is rounded is divided by the scale as it will be read, not as it was computed.
        scales = np.where(scales == 0, 1, scales).astype(self.dtype)
        codes = np.clip(matrix / scales.astype(np.float32)[:, None], -largest, largest)
        codes = (np.rint(codes) if dtype == np.int8 else codes).astype(dtype)
        return network.dequantize(network.constant(codes), network.constant(scales), self.dtype)
