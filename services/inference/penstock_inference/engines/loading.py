"""Load models by reference: what the server calls, and all it needs to know of engines."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from penstock_inference.engines import Engine, EngineLimits
from penstock_inference.engines.build_cache import BuildCache
from penstock_inference.engines.onnx_engine import OnnxEngine
from penstock_inference.engines.onnx_session import Session
from penstock_inference.formats import ModelConfig
from penstock_inference.formats.references import fingerprint, resolve_reference
from penstock_inference.tokenizer import Tokenizer

DECODER_KINDS = ("int8", "fp32")
_BUILD_VERSION = 1  # raise it when the same source would be converted into something else


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A decoder that is ready to serve."""

    engine: Engine
    tokenizer: Tokenizer
    config: ModelConfig  # with the chat template and the ids that end an answer
    fingerprint: str  # equal only where weights, number format and builder are


def load_engine(
    reference: str,
    *,
    kind: str,
    slots_max: int,
    context_tokens_max: int,
    prefill_chunk_tokens_max: int,
    threads: int,
    cache_dir: Path,
) -> LoadedModel:  # fmt: skip
    """Load a decoder, converting it first if the cache does not hold it.

    `reference` is a .gguf file, a Hugging Face directory or "package:<name>"; `kind` is one of DECODER_KINDS.
    Raises UnsupportedModelError for a model, ValueError for a setting that cannot be.
    """
    if kind not in DECODER_KINDS:
        raise ValueError(f"{kind!r} is none of {', '.join(DECODER_KINDS)}")
    source = resolve_reference(reference)
    key = f"{fingerprint(source)[:32]}-{kind}-{_BUILD_VERSION}"
    converted = BuildCache(cache_dir).get(key, partial(_convert_decoder, source, kind))
    config = ModelConfig.from_json((converted / "config.json").read_text(encoding="utf-8"))
    if context_tokens_max > config.context_tokens:
        raise ValueError(f"{reference} knows contexts of {config.context_tokens} tokens, not {context_tokens_max}")
    limits = EngineLimits(config.vocabulary_tokens, slots_max, context_tokens_max, prefill_chunk_tokens_max)
    engine = OnnxEngine(Session(converted / "model.onnx", threads=threads), config, limits)
    return LoadedModel(engine, Tokenizer.from_file(converted / "tokenizer.json"), config, key)


def _convert_decoder(source: Path, kind: str, target: Path) -> None:
    from penstock_inference.engines.conversion import convert_decoder  # noqa: PLC0415 - only a first start pays for onnx

    convert_decoder(source, kind, target)
