"""Put the weights of linear layers into a network, in each of the number formats that an engine can have."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from penstock_inference.engines.tensorrt import EngineBuildError
from penstock_inference.engines.tensorrt.library import BFLOAT16, FLOAT8, INT4
from penstock_inference.engines.tensorrt.network import Network, Tensor
from penstock_inference.formats import Floats


@dataclass(frozen=True, slots=True)
class Codes:
    """What weights are rounded to.

    Args:
        dtype: of the codes.
        least, largest: of them.
        block_inputs: how many inputs share a scale; 0: all of an output.
    """

    dtype: np.dtype[Any]
    least: float
    largest: float
    block_inputs: int = 0

    def scales(self, blocks: Floats) -> Floats:
        """Give the least scale that lets codes reach all values of a block `[outputs, blocks, inputs]`."""
        needed: Floats = np.maximum(blocks.max(axis=2) / self.largest, blocks.min(axis=2) / self.least)
        return needed

    def round(self, values: Floats) -> Floats:
        """Give the nearest code of each."""
        clipped = np.clip(values, self.least, self.largest)
        return (clipped if self.dtype == FLOAT8 else np.rint(clipped)).astype(self.dtype)


_COMPUTE: dict[str, np.dtype[Any]] = {"fp16": np.dtype(np.float16)}
_CODES = {
    "int8": Codes(np.dtype(np.int8), -127.0, 127.0),
    "fp8": Codes(FLOAT8, -448.0, 448.0),
    "int4": Codes(INT4, -8.0, 7.0, block_inputs=64),
}


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
        weights = (
            self._quantized(network, matrix, self._codes) if self._codes else self.constant(network, matrix)
        )
        return network.product(values, network.reshape(weights, (1, *matrix.shape)))

    def _quantized(self, network: Network, matrix: Floats, codes: Codes) -> Tensor:
        """Keep codes, and one scale for each output or for each block of its inputs."""
        outputs, inputs = matrix.shape
        block = codes.block_inputs or inputs
        if inputs % block:
            raise EngineBuildError(
                f"a matrix of {inputs} inputs has no blocks of {block}, which share a scale"
            )
        blocks = matrix.reshape(outputs, -1, block)
        scales = codes.scales(blocks)
        # What is rounded is divided by the scale as it will be read, not as it was computed.
        scales = np.where(scales == 0, 1, scales).astype(self.dtype)
        rounded = codes.round(blocks / scales.astype(np.float32)[:, :, None]).reshape(matrix.shape)
        scales = scales if codes.block_inputs else scales[:, 0]
        return network.dequantize(network.constant(rounded), network.constant(scales), self.dtype)
