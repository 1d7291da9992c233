"""Load models by reference: what the server calls, and all that it needs to know of engines."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from penstock_inference.encoder import Encoder
from penstock_inference.engines import DecodeRow, Engine, EngineLimits, PrefillChunk, StepBatch
from penstock_inference.engines.build_cache import BuildCache
from penstock_inference.engines.kv_memory import KvMemory
from penstock_inference.engines.onnx_engine import OnnxEngine
from penstock_inference.engines.onnx_session import Session
from penstock_inference.formats import ModelConfig, SentenceEncoderConfig
from penstock_inference.formats.references import fingerprint, resolve_reference
from penstock_inference.tokenizer import Tokenizer

KINDS = ("int8", "fp32")


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A decoder that is ready to serve."""

    engine: Engine
    tokenizer: Tokenizer
    config: ModelConfig  # with the chat template and the ids that end an answer
    fingerprint: str  # equal only where files, number format and converter are


def load_engine(  # noqa: PLR0913 - they are settings, and each has its name at the call
    reference: str,
    *,
    kind: str,
    slots_max: int,
    context_tokens_max: int,
    prefill_chunk_tokens_max: int,
    threads: int,
    cache_dir: Path,
    hold: Callable[[int], None] = lambda _: None,
) -> LoadedModel:
    """Load a decoder, converting it first if the cache does not hold it.

    `reference` is a .gguf file, a Hugging Face directory or "package:<name>"; `kind` is one of KINDS.
    `hold` is told how many bytes it may come to use, and may raise to refuse them.
    Raises UnsupportedModelError for a model, ValueError for a setting that cannot be.
    """
    converted = _Converted(reference, "decoder", kind, cache_dir)
    config = ModelConfig.from_json(converted.text("config.json"))
    if context_tokens_max > config.context_tokens:
        raise ValueError(f"{reference} has a context of {config.context_tokens} tokens")
    limits = EngineLimits(config.vocabulary_tokens, slots_max, context_tokens_max, prefill_chunk_tokens_max)
    hold(converted.size_bytes + KvMemory.size_bytes(config, slots_max, context_tokens_max))
    engine = OnnxEngine(converted.session(threads), config, limits)
    warm_up(engine)
    return LoadedModel(engine, Tokenizer(converted.text("tokenizer.json")), config, converted.fingerprint)


def load_encoder(
    reference: str,
    *,
    kind: str,
    cache_dir: Path,
    threads: int = 1,
    hold: Callable[[int], None] = lambda _: None,
) -> Encoder:
    """Load a sentence encoder, converting it first if the cache does not hold it.

    `reference` is a directory of sentence-transformers' or "package:<name>"; `kind` is one of KINDS. More
    threads do not make short texts faster. `hold` as above.
    Raises UnsupportedModelError for a model, ValueError for a kind.
    """
    converted = _Converted(reference, "encoder", kind, cache_dir)
    config = SentenceEncoderConfig.from_json(converted.text("config.json"))
    hold(converted.size_bytes)
    return Encoder(
        converted.session(threads), converted.text("tokenizer.json"), config, converted.fingerprint
    )


def warm_up(engine: Engine) -> None:
    """Run each kind of step once, so that the first request finds memory and kernels ready."""
    tokens = [0] * min(engine.limits.prefill_chunk_tokens_max, engine.limits.context_tokens_max - 1)
    for slot in range(min(2, engine.limits.slots_max)):
        engine.step(StepBatch([], [PrefillChunk(slot, tokens, 0, wants_logits=True)]))
    for rows in range(1, min(2, engine.limits.slots_max) + 1):
        engine.step(StepBatch([DecodeRow(slot, 0, len(tokens)) for slot in range(rows)]))


class _Converted:
    """A model in the cache."""

    def __init__(self, reference: str, role: str, kind: str, cache_dir: Path) -> None:
        if kind not in KINDS:
            raise ValueError(f"{kind!r} is none of {', '.join(KINDS)}")
        source = resolve_reference(reference)
        key, version = f"{role}-{kind}-{fingerprint(source)[:16]}", _converter_fingerprint()[:16]
        self.fingerprint = f"{key}@{version}"

        def build(target: Path) -> None:
            from penstock_inference.engines import conversion  # noqa: PLC0415 - a warm start need not import onnx

            conversion.CONVERTERS[role](source, kind, target)

        self._directory = BuildCache(cache_dir).get(key, version, build)

    def text(self, name: str) -> str:
        return (self._directory / name).read_text(encoding="utf-8")

    @property
    def size_bytes(self) -> int:
        return sum(path.stat().st_size for path in self._directory.iterdir())

    def session(self, threads: int) -> Session:
        return Session(self._directory / "model.onnx", threads=threads)


def _converter_fingerprint() -> str:
    """Digest the code that converts, so that no cache outlives a change of it."""
    package = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for part in ("engines/conversion", "formats"):
        for path in sorted((package / part).glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()
