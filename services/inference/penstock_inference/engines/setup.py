"""What is asked of an engine when a model is loaded, and what comes of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from penstock_inference.engines import Adapters, Engine, EngineLimits
from penstock_inference.formats import ModelConfig
from penstock_inference.tokenizer import Tokenizer

# The number formats that each engine can keep weights in.
ENGINE_KINDS = {
    "onnxruntime": ("int8", "int4", "fp32"),
    "torch": ("fp32", "bf16", "int8", "fp8"),
    "tensorrt": ("bf16", "fp16", "int8", "fp8", "int4"),
}
FASTEST = "auto"  # of kinds that are named beside it; ONNX Runtime has it
ADAPTABLE_ENGINES = ("onnxruntime", "torch")
ENCODER_KINDS = ("int8", "fp32")


@dataclass(frozen=True, slots=True)
class EngineSetup:
    """Which model is to run, and how."""

    source: Path  # a .gguf file or a Hugging Face directory
    kind: str
    slots_max: int
    context_tokens_max: int
    prefill_chunk_tokens_max: int
    threads: int
    cache_dir: Path
    hold: Callable[[int], None]  # told how many bytes may come to be used; may raise to refuse them

    def limits(self, config: ModelConfig) -> EngineLimits:
        """Give what the engine is to be built for. Raises ValueError if the model cannot do it."""
        if self.context_tokens_max > config.context_tokens:
            raise ValueError(f"{self.source} has a context of {config.context_tokens} tokens")
        return EngineLimits(
            config.vocabulary_tokens, self.slots_max, self.context_tokens_max, self.prefill_chunk_tokens_max
        )


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A decoder that is ready to serve."""

    engine: Engine
    engine_name: str  # and what it runs on: "torch-cuda"
    kind: str
    tokenizer: Tokenizer
    config: ModelConfig  # with the chat template and the ids that end an answer
    fingerprint: str  # equal only where files, number format and converter are
    adapters: Adapters | None = None  # None: the engine cannot be adapted row by row


def require_kind(kind: str, kinds: Sequence[str]) -> None:
    """Raise ValueError for a kind that is not among those that there are."""
    if kind not in kinds:
        raise ValueError(f"{kind!r} is none of {', '.join(kinds)}")
