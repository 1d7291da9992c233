"""Products of few rows with 8-bit weights on a GPU, in the time of reading the weights: PyTorch has none that fast."""

from penstock_inference.engines.torch_library import Tensor, functional, torch
from penstock_inference.engines.triton_library import tl, triton

_ROWS_MAX = 64  # of values; with more the product's arithmetic takes longest, and PyTorch's is the best
# Of a tile: 16 rows are the least that tensor cores multiply. Three tiles are on their way while one is multiplied.
TILE = {"tile_rows": 16, "tile_outputs": 32, "tile_inputs": 256}
OPTIONS = {"num_stages": 4, "enable_fp_fusion": True}


def multiply(values: Tensor, codes: Tensor, scale: Tensor) -> Tensor:
    """Multiply `[tokens, inputs]` with int8 `[outputs, inputs]` times a scale `[outputs]`."""
    if len(values) > _ROWS_MAX:
        return functional.linear(values, codes.to(values.dtype)) * scale
    return multiply_tiles(values.contiguous(), codes, scale)


def multiply_tiles(values: Tensor, codes: Tensor, scale: Tensor) -> Tensor:
    """Multiply tile by tile. All are contiguous."""
    (rows, inputs), outputs = values.shape, len(codes)
    product = torch.empty((rows, outputs), dtype=values.dtype, device=values.device)
    grid = (triton.cdiv(outputs, TILE["tile_outputs"]), triton.cdiv(rows, TILE["tile_rows"]))
    int8_tile[grid](values, codes, scale, product, rows, outputs, inputs, **TILE, **OPTIONS)
    return product


@triton.jit  # type: ignore[untyped-decorator]
def int8_tile(  # noqa: PLR0913, PLR0917 - a kernel takes no records
    values: tl.tensor, codes: tl.tensor, scale: tl.tensor, product: tl.tensor,
    rows: tl.tensor, outputs: tl.tensor, inputs: tl.tensor,
    tile_rows: tl.constexpr, tile_outputs: tl.constexpr, tile_inputs: tl.constexpr,
) -> None:  # fmt: skip
    """Multiply some rows with some outputs' weights, summed in float32 and in the same order for any number of rows."""
    output = tl.program_id(0) * tile_outputs + tl.arange(0, tile_outputs)
    row = tl.program_id(1) * tile_rows + tl.arange(0, tile_rows)
    total = tl.zeros((tile_rows, tile_outputs), tl.float32)
    for start in range(0, inputs, tile_inputs):
        place = start + tl.arange(0, tile_inputs)
        left = tl.load(
            values + row[:, None] * inputs + place[None, :],
            mask=(row < rows)[:, None] & (place < inputs)[None, :],
            other=0.0,
        )
        right = tl.load(
            codes + output[None, :] * inputs + place[:, None],
            mask=(output < outputs)[None, :] & (place < inputs)[:, None],
            other=0,
        )
        total = tl.dot(left, right.to(left.dtype), total)
    total *= tl.load(scale + output, mask=output < outputs, other=0.0)[None, :].to(tl.float32)
    tl.store(
        product + row[:, None] * outputs + output[None, :],
        total.to(product.dtype.element_ty),
        mask=(row < rows)[:, None] & (output < outputs)[None, :],
    )
