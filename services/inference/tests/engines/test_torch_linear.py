"""Matrices in 8 bits: what they multiply to beside the same matrix in floats."""

import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("torch", reason="it is PyTorch's engine")

import torch
from penstock_inference.engines import EngineLimits, PrefillChunk, StepBatch
from penstock_inference.engines.torch_engine import TorchEngine
from penstock_inference.engines.torch_model.linear import Fp8Linear, linear_bytes, make_linear
from penstock_inference.engines.torch_model.target import Target, Weights, choose_target
from penstock_inference.formats.lora import read_lora
from penstock_inference.formats.opening import open_weights
from small_decoder import CONFIG, merge, write_adapter, write_decoder

CPU = torch.device("cpu")
INT8, FP8 = (Target(CPU, torch.bfloat16, weights) for weights in (Weights.INT8, Weights.FP8))
ROUNDED = pytest.mark.parametrize(("target", "error"), [(INT8, 0.01), (FP8, 0.03)], ids=["int8", "fp8"])


def random_matrix(rows: int, columns: int, seed: int = 7) -> torch.Tensor:
    """Give a matrix whose rows are of very different sizes, as those of models are."""
    dice = torch.Generator().manual_seed(seed)
    sizes = torch.rand((rows, 1), generator=dice) * 10 + 0.01
    return torch.randn((rows, columns), generator=dice) * sizes


def relative_error(product: torch.Tensor, values: torch.Tensor, weight: torch.Tensor) -> float:
    """Say how far a product is from the exact one, each row and column counting the same."""
    expected = values.float() @ weight.T
    sizes = values.float().norm(dim=1)[:, None] * weight.norm(dim=1)
    return float(((product.float() - expected) / sizes).norm() / (expected / sizes).norm())


@ROUNDED
@pytest.mark.parametrize("tokens", [1, 3, 40])
def test_a_product_is_that_of_floats_to_rounding_for_every_row(target, error, tokens):
    weight, values = random_matrix(80, 192), random_matrix(tokens, 192, seed=8).bfloat16()
    product = make_linear(weight, None, target)(values)
    assert product.dtype == torch.bfloat16
    assert 0.1 * error < relative_error(product, values, weight) < error


@ROUNDED
def test_a_bias_is_added_as_it_is(target, error):
    weight, bias = torch.zeros(32, 48), torch.arange(32, dtype=torch.float32)
    product = make_linear(weight, bias, target)(torch.ones((2, 48), dtype=torch.bfloat16))
    assert torch.equal(product.float(), bias.expand(2, 32))


@pytest.mark.parametrize(("target", "largest"), [(INT8, 127.0), (FP8, 448.0)], ids=["int8", "fp8"])
def test_weights_that_have_a_code_and_rows_of_zeros_stay_as_they_are(target, largest):
    weight = torch.tensor([[largest, -largest, 64.0, 0.0] * 4, [0.0] * 16])
    product = make_linear(weight, None, target)(torch.eye(16, dtype=torch.bfloat16))
    assert torch.equal(product.float().T, weight)


def test_inputs_that_are_rounded_as_tensor_cores_want_them_cost_as_much_again():
    weight, values = random_matrix(64, 256), random_matrix(9, 256, seed=8).bfloat16()
    plain = Fp8Linear.make(weight, None, FP8)
    rounding = Fp8Linear(plain.codes, plain.scale, None, rounds_inputs=True)
    assert relative_error(plain(values), values, weight) < 0.03
    assert 0.03 < relative_error(rounding(values), values, weight) < 0.05
    assert not rounding(torch.zeros_like(values)).any()


def test_a_matrix_takes_the_bytes_that_are_held_for_it():
    for target in (INT8, FP8, Target(CPU, torch.bfloat16), Target(CPU, torch.float32)):
        linear = make_linear(random_matrix(48, 80), None, target)
        parts = [getattr(linear, name) for name in linear.__slots__]
        held = sum(part.nbytes for part in parts if isinstance(part, torch.Tensor))
        assert held == linear_bytes(48, 80, target)


@pytest.mark.parametrize(("kind", "error"), [("int8", 0.1), ("fp8", 0.2)])
def test_an_adapter_changes_rounded_weights_as_it_changes_floats(tmp_path, kind, error):
    decoder = write_decoder(tmp_path / "decoder")
    adapter = write_adapter(tmp_path / "adapter", seed=1)
    merged = merge(decoder, adapter, tmp_path / "merged")
    limits = EngineLimits(CONFIG.vocabulary_tokens, 1, 64, 32)
    engine = TorchEngine(open_weights(decoder), limits, choose_target(kind), threads=1)
    floats = TorchEngine(open_weights(merged), limits, choose_target("fp32"), threads=1)
    engine.adapters.add("mine", read_lora(adapter, CONFIG), lambda _: None)

    given, plain = (
        engine.step(StepBatch([], [PrefillChunk(0, [5, 6, 7], 0, wants_logits=True, adapter=name)])).copy()
        for name in ("mine", None)
    )

    expected = floats.step(StepBatch([], [PrefillChunk(0, [5, 6, 7], 0, wants_logits=True)]))
    assert np.std(given - expected) < error * np.std(expected) < np.std(plain - expected)


INTERPRETED = """
import torch
from penstock_inference.engines.torch_model.int8_kernel import multiply_tiles

for tokens, outputs, inputs in ((1, 96, 64), (5, 70, 200), (33, 40, 513)):
    values, scale = torch.randn(tokens, inputs).half(), torch.rand(outputs).half() / 100
    codes = torch.randint(-127, 128, (outputs, inputs), dtype=torch.int8)
    expected = (values.double() @ codes.double().T) * scale.double()
    assert (multiply_tiles(values, codes, scale) - expected).abs().max() < 1e-3 * expected.abs().max()
"""


def test_the_gpu_s_kernel_multiplies_what_it_should_as_its_language_is_interpreted(tmp_path):
    """With half floats: Triton's interpreter makes no bfloat16 of int8."""
    pytest.importorskip("triton", reason="PyTorch brings Triton where it is built for GPUs")
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    subprocess.run([sys.executable, "-c", INTERPRETED], check=True, env=environment, cwd=tmp_path)


@pytest.mark.parametrize("capability", [80, 90])
def test_the_gpu_s_kernel_compiles_to_tensor_core_products_and_loads_ahead(tmp_path, monkeypatch, capability):
    triton = pytest.importorskip("triton", reason="PyTorch brings Triton where it is built for GPUs")
    from penstock_inference.engines.torch_model.int8_kernel import OPTIONS, TILE, int8_tile
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    pointers = {"values": "*bf16", "codes": "*i8", "scale": "*bf16", "product": "*bf16"}
    signature = (
        pointers | dict.fromkeys(["rows", "outputs", "inputs"], "i32") | dict.fromkeys(TILE, "constexpr")
    )
    aligned = {
        (int8_tile.arg_names.index(name),): [["tt.divisibility", 16]] for name in [*pointers, "inputs"]
    }
    source = ASTSource(int8_tile, signature, TILE, aligned)
    code = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=OPTIONS).asm["ptx"]
    assert "mma.sync" in code
    assert "cp.async" in code
