"""Products with a matrix, whose weights are floats or 8 bits with a scale for each output (symmetric, weights only)."""

from dataclasses import dataclass
from typing import Protocol

from penstock_inference.engines.torch_library import ScalingType, Tensor, functional, torch
from penstock_inference.engines.torch_model.target import Target, Weights

_SMALLEST = 1e-12  # of a scale: a row of zeros has one, too
_FP8_ALIGNMENT = 16  # of both sides of a matrix that tensor cores read in 8 bits


class Linear(Protocol):
    """A matrix `[outputs, inputs]`, and what is added to each product with it."""

    def __call__(self, values: Tensor) -> Tensor:
        """Multiply `[tokens, inputs]`, and give `[tokens, outputs]` in the same number format."""


def make_linear(weight: Tensor, bias: Tensor | None, target: Target) -> Linear:
    """Bring a matrix `[outputs, inputs]` in float32, and a bias or none, into the target's number format."""
    bias = None if bias is None else bias.to(target.dtype)
    match target.weights:
        case Weights.INT8:
            return Int8Linear.make(weight, bias, target)
        case Weights.FP8:
            return Fp8Linear.make(weight, bias, target)
        case _:
            return FloatLinear(weight.to(target.dtype), bias)


def linear_bytes(outputs: int, inputs: int, target: Target) -> int:
    """Say how much memory a matrix takes."""
    match target.weights:
        case Weights.INT8:
            return outputs * (inputs + target.dtype.itemsize)
        case Weights.FP8:
            return outputs * (inputs + torch.float32.itemsize)
        case _:
            return outputs * inputs * target.dtype.itemsize


@dataclass(frozen=True, slots=True)
class FloatLinear:
    """Implement Linear in the number format of its inputs."""

    weight: Tensor
    bias: Tensor | None

    def __call__(self, values: Tensor) -> Tensor:
        """Multiply. See Linear."""
        return functional.linear(values, self.weight, self.bias)


@dataclass(frozen=True, slots=True)
class Int8Linear:
    """Implement Linear with weights of -127 to 127 times a scale."""

    codes: Tensor  # int8 [outputs, inputs]
    scale: Tensor  # [outputs] in the number format of the inputs
    bias: Tensor | None

    @classmethod
    def make(cls, weight: Tensor, bias: Tensor | None, target: Target) -> "Int8Linear":
        """Round to the nearest code."""
        scale = _scale(weight, 127, target)
        codes = (weight / scale.float()).round_().clamp_(-127, 127).to(torch.int8)
        return cls(codes, scale.flatten(), bias)

    def __call__(self, values: Tensor) -> Tensor:
        """Multiply. See Linear."""
        product = _int8_product(values, self.codes, self.scale)
        return product if self.bias is None else product + self.bias


@dataclass(frozen=True, slots=True)
class Fp8Linear:
    """Implement Linear with weights of 4 bits of exponent and 3 of mantissa (E4M3) times a scale.

    Where tensor cores take them, inputs are rounded to such numbers as well, with a scale for each token; elsewhere
    they keep their own number format.
    """

    codes: Tensor  # float8_e4m3fn [outputs, inputs]
    scale: Tensor  # float32 [outputs, 1]
    bias: Tensor | None
    rounds_inputs: bool

    @classmethod
    def make(cls, weight: Tensor, bias: Tensor | None, target: Target) -> "Fp8Linear":
        """Round to the nearest code."""
        scale = _scale(weight, _fp8_max(), target).float()
        is_aligned = not any(side % _FP8_ALIGNMENT for side in weight.shape)
        return cls(_fp8_codes(weight, scale), scale, bias, is_aligned and target.multiplies_fp8)

    def __call__(self, values: Tensor) -> Tensor:
        """Multiply. See Linear."""
        product = self._product(values)
        return product if self.bias is None else product + self.bias

    def _product(self, values: Tensor) -> Tensor:
        if not self.rounds_inputs:
            return (functional.linear(values, self.codes.to(values.dtype)) * self.scale.T).to(values.dtype)
        wide = values.float()
        scale = _scale_of_rows(wide, _fp8_max())
        return functional.scaled_mm(
            _fp8_codes(wide, scale), self.codes.T,
            scale, ScalingType.RowWise, self.scale.T, ScalingType.RowWise,
            output_dtype=values.dtype,
        )  # fmt: skip


def _int8_product(values: Tensor, codes: Tensor, scale: Tensor) -> Tensor:
    if values.is_cuda:
        from penstock_inference.engines.torch_model.int8_kernel import multiply  # noqa: PLC0415 - CPUs have no Triton

        return multiply(values, codes, scale)
    product: Tensor = torch._weight_int8pack_mm(values, codes, scale)  # noqa: SLF001 - it has no other name
    return product


def _scale(weight: Tensor, code_max: float, target: Target) -> Tensor:
    """Give each row's scale `[outputs, 1]`, rounded first: codes are made with what they are multiplied with."""
    return _scale_of_rows(weight, code_max).to(target.dtype)


def _scale_of_rows(values: Tensor, code_max: float) -> Tensor:
    return values.abs().amax(1, keepdim=True).clamp_(min=_SMALLEST) / code_max


def _fp8_codes(values: Tensor, scale: Tensor) -> Tensor:
    largest = _fp8_max()
    return (values / scale).clamp_(-largest, largest).to(torch.float8_e4m3fn)


def _fp8_max() -> float:
    return torch.finfo(torch.float8_e4m3fn).max
