"""What only a GPU can run of the PyTorch engine, and the part of it that any machine can check."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="it is PyTorch's engine")

import torch
from penstock_inference.engines import DecodeRow, Engine, EngineLimits, PrefillChunk, StepBatch
from penstock_inference.engines.torch_engine import TorchEngine
from penstock_inference.engines.torch_model.decode_graphs import Frame
from penstock_inference.engines.torch_model.linear import make_linear
from penstock_inference.engines.torch_model.step import make_step
from penstock_inference.engines.torch_model.target import Target, Weights
from penstock_inference.formats.lora import read_lora
from penstock_inference.formats.opening import open_weights
from small_decoder import CONFIG, VOCABULARY_TOKENS, write_adapter, write_decoder

CPU = Target(torch.device("cpu"), torch.float32)
GPU, GPU_INT8, GPU_FP8 = (Target(torch.device("cuda"), torch.bfloat16, weights) for weights in Weights)
LIMITS = EngineLimits(VOCABULARY_TOKENS, slots_max=6, context_tokens_max=400, prefill_chunk_tokens_max=300)
PROMPTS = [[1, 2, 3], [place % 64 for place in range(290)], [7] * 255]

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no NVIDIA GPU")


@pytest.fixture
def open_engine(tmp_path: Path) -> Callable[[Target], Engine]:
    weights = open_weights(write_decoder(tmp_path / "decoder"))
    return lambda target: TorchEngine(weights, LIMITS, target, threads=1)


def read_prompts(engine: Engine) -> list[DecodeRow]:
    for slot, prompt in enumerate(PROMPTS):
        engine.step(StepBatch([], [PrefillChunk(slot, prompt, 0, wants_logits=False)]))
    return [DecodeRow(slot, 5, len(prompt)) for slot, prompt in enumerate(PROMPTS)]


def test_a_step_in_a_larger_frame_gives_the_same_numbers(open_engine) -> None:
    engine = open_engine(CPU)
    rows = read_prompts(engine)
    expected = engine.step(StepBatch(rows))
    frame = Frame.make(6, LIMITS.context_tokens_max, engine._pool, CPU.device)
    for count in (3, 1):  # what a larger step left behind in the frame does not matter
        step = make_step(StepBatch(rows[:count]), engine._pool, engine.adapters, CPU.device)
        frame.lay(step)
        framed = engine._compute(frame.step).numpy()
        assert np.abs(framed[:count] - expected[:count]).max() < 1e-4


@needs_gpu
@pytest.mark.parametrize(
    ("target", "error"), [(GPU, 0.05), (GPU_INT8, 0.1), (GPU_FP8, 0.3)], ids=["bf16", "int8", "fp8"]
)
def test_a_gpu_computes_what_a_cpu_does_to_rounding(open_engine, target, error) -> None:
    on_cpu, on_gpu = open_engine(CPU), open_engine(target)
    chunk = [PrefillChunk(5, [9, 8, 7], 0, wants_logits=True, wants_all_logits=True)]
    expected = on_cpu.step(StepBatch(read_prompts(on_cpu), chunk))
    given = on_gpu.step(StepBatch(read_prompts(on_gpu), chunk))
    assert np.std(given - expected) < error * np.std(expected)


@needs_gpu
@pytest.mark.parametrize("target", [GPU, GPU_INT8, GPU_FP8], ids=["bf16", "int8", "fp8"])
def test_a_replayed_step_gives_what_a_computed_one_does(open_engine, target) -> None:
    engine = open_engine(target)
    rows = read_prompts(engine)
    for batch in (rows, rows[:1], rows[1:], rows):
        step = make_step(StepBatch(batch), engine._pool, engine.adapters, GPU.device)
        with torch.inference_mode():
            computed = engine._compute._decoder(step).cpu().numpy()
        assert np.std(engine.step(StepBatch(batch)) - computed) < 0.05 * np.std(computed)
    assert sorted(engine._compute._captured) == [1, 2, 4]


@needs_gpu
@pytest.mark.parametrize("tokens", [1, 16, 17, 64, 65])
def test_int8_products_of_few_and_of_many_rows_on_a_gpu_are_those_of_a_cpu(tokens) -> None:
    dice = torch.Generator().manual_seed(3)
    weight, values = torch.randn((70, 200), generator=dice), torch.randn((tokens, 200), generator=dice)
    on_cpu = make_linear(weight, None, replace(GPU_INT8, device=CPU.device))(values.bfloat16())
    on_gpu = make_linear(weight.cuda(), None, GPU_INT8)(values.bfloat16().cuda()).cpu()
    assert (on_gpu.float() - on_cpu.float()).abs().max() < 0.02 * on_cpu.float().abs().max()


@needs_gpu
def test_adapters_change_their_rows_on_a_gpu(open_engine, tmp_path: Path) -> None:
    adapter = read_lora(write_adapter(tmp_path / "adapter", seed=1), CONFIG)
    given = []
    for target in (CPU, GPU):
        engine = open_engine(target)
        engine.adapters.add("mine", adapter, lambda _: None)
        rows = read_prompts(engine)
        mixed = [rows[0], DecodeRow(rows[1].slot, rows[1].token, rows[1].past_tokens, "mine"), rows[2]]
        given.append(engine.step(StepBatch(mixed)))
    assert np.std(given[1] - given[0]) < 0.05 * np.std(given[0])
