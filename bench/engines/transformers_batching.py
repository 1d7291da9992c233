"""Hugging Face's transformers in its own continuous batching, which has no 8-bit weights on a CPU: bfloat16."""

import sys
from itertools import count
from pathlib import Path
from typing import Any

import torch
from harness.turns import serve
from penstock_inference.formats import ModelConfig
from penstock_inference.formats.llama_tensors import tensor_shapes
from penstock_inference.formats.opening import open_weights
from tokenizers import Tokenizer
from transformers import ContinuousBatchingConfig, GenerationConfig, LlamaConfig, LlamaForCausalLM

from engines.timing import tokens_per_second

_PAGE_TOKENS = 32
_PAGES = 512
_BATCH_TOKENS_MAX = 256
_ANSWER_TOKENS_MAX = 1024
_RESULT_SECONDS_MAX = 120.0


class Batching:
    """A loaded model and the thread in which transformers batches."""

    def __init__(self, gguf: Path, text: str) -> None:
        model, tokenizer_json = _load(gguf)
        self._tokens = Tokenizer.from_str(tokenizer_json).encode(text, add_special_tokens=False).ids
        self._manager = model.init_continuous_batching(
            GenerationConfig(do_sample=False, eos_token_id=-1, max_new_tokens=_ANSWER_TOKENS_MAX),
            ContinuousBatchingConfig(
                page_size=_PAGE_TOKENS, num_blocks=_PAGES, max_batch_tokens=_BATCH_TOKENS_MAX
            ),
        )
        self._names = count()
        self._running: set[str] = set()
        self._manager.start()

    def about(self) -> dict[str, Any]:
        """Say nothing; it is loaded."""
        return {}

    def decode(self, concurrent: int, context: int, seconds: float) -> dict[str, Any]:
        """Answer this many times at once, each after `context` tokens, which are read once."""

        def step() -> int:
            for _ in range(concurrent):
                self._next()
            return concurrent

        prompt = self._tokens[:context]
        self._ask(prompt)
        self._next()
        for _ in range(concurrent - 1):
            self._ask(prompt)
        waiting = set(self._running)
        while waiting:
            waiting.discard(self._next())
        rate = tokens_per_second(step, step, seconds)
        for name in self._running:
            self._manager.cancel_request(name)
        self._running.clear()
        return {"tokens_per_s": rate}

    def stop(self) -> None:
        """End the thread."""
        self._manager.stop(hard_stop=True)

    def _ask(self, prompt: list[int]) -> None:
        name = f"bench-{next(self._names)}"
        self._manager.add_request(prompt, request_id=name, streaming=True)
        self._running.add(name)

    def _next(self) -> str:
        """Wait for the next token of an answer that runs, and name the answer."""
        while True:
            result = self._manager.get_result(timeout=_RESULT_SECONDS_MAX)
            if result is None or not self._manager.is_running():
                raise RuntimeError("the batch stands still")
            if result.request_id in self._running:
                if result.error is not None:
                    raise RuntimeError(result.error)
                return str(result.request_id)


def _load(gguf: Path) -> tuple[LlamaForCausalLM, str]:
    """Read the weights as our engine does, dequantised."""
    weights = open_weights(gguf)
    config = _config(weights.config)
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    tensors = {
        name: torch.tensor(weights.tensor(name)).to(torch.bfloat16) for name in tensor_shapes(weights.config)
    }
    model.load_state_dict(tensors, strict=False, assign=True)
    model.tie_weights()
    model.model.rotary_emb = type(model.model.rotary_emb)(config)
    model.set_attn_implementation("sdpa")
    return model.eval(), weights.tokenizer_json()


def _config(config: ModelConfig) -> LlamaConfig:
    theta = config.rotary.frequencies[1] ** (-config.head_dim / 2)
    return LlamaConfig(
        vocab_size=config.vocabulary_tokens,
        hidden_size=config.hidden_size,
        intermediate_size=config.feed_forward_size,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.kv_heads,
        head_dim=config.head_dim,
        max_position_embeddings=config.context_tokens,
        rms_norm_eps=config.rms_epsilon,
        rope_parameters={"rope_type": "default", "rope_theta": theta},
        tie_word_embeddings=config.tied_embeddings,
        dtype=torch.bfloat16,
    )


def main(gguf: str, text: str, threads: str) -> None:
    """Take turns until the input ends."""
    torch.set_num_threads(int(threads))
    batching = Batching(Path(gguf), Path(text).read_text())
    try:
        serve({"about": batching.about, "decode": batching.decode})
    finally:
        batching.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
