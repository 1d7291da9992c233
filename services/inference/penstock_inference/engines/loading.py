"""Load models by reference: what the server calls, and all that it needs to know of engines."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from penstock_inference.encoder import Encoder
from penstock_inference.engines import DecodeRow, Engine, PrefillChunk, StepBatch
from penstock_inference.engines.converted import ConvertedModel
from penstock_inference.engines.fastest_kind import fastest_kind
from penstock_inference.engines.kv_blocks import KvBlocks, kv_dtype
from penstock_inference.engines.onnx_adapters import AdaptableModel, OnnxAdapters
from penstock_inference.engines.onnx_engine import OnnxEngine
from penstock_inference.engines.setup import (
    ENCODER_KINDS,
    ENGINE_KINDS,
    FASTEST,
    EngineSetup,
    LoadedModel,
    require_kind,
)
from penstock_inference.formats import ModelConfig, SentenceEncoderConfig, UnsupportedModelError
from penstock_inference.formats.references import resolve_reference
from penstock_inference.tokenizer import Tokenizer

__all__ = ["LoadedModel", "load_encoder", "load_engine", "warm_up"]


def load_engine(  # noqa: PLR0913 - they are settings, and each has its name at the call
    reference: str,
    *,
    engine: str = "onnxruntime",
    kind: str,
    kinds: Sequence[str] = (),
    slots_max: int,
    context_tokens_max: int,
    prefill_chunk_tokens_max: int,
    threads: int,
    cache_dir: Path,
    hold: Callable[[int], None] = lambda _: None,
) -> LoadedModel:
    """Load a decoder onto one of ENGINE_KINDS's engines, converting it first where that is needed.

    `reference` is a .gguf file, a Hugging Face directory or "package:<name>"; `kind` is one of the engine's, or "auto"
    for the fastest of `kinds` on this machine.
    `hold` is told how many bytes it may come to use, and may raise to refuse them.
    Raises UnsupportedModelError for a model, ValueError for a setting that cannot be, ModuleNotFoundError for a library
    that is not installed.
    """
    for named in kinds if kind == FASTEST else (kind,):
        require_kind(named, ENGINE_KINDS[engine])
    source = resolve_reference(reference)
    setup = EngineSetup(
        source, kind, slots_max, context_tokens_max, prefill_chunk_tokens_max, threads, cache_dir, hold
    )
    if kind == FASTEST:
        fastest = fastest_kind(setup, kinds, lambda setup: _load_onnx(setup).engine)
        setup = replace(setup, kind=fastest)
    loaded = _LOADERS[engine](setup)
    _require_tokens(loaded)
    warm_up(loaded.engine)
    return loaded


def load_encoder(
    reference: str,
    *,
    kind: str,
    cache_dir: Path,
    threads: int = 1,
    hold: Callable[[int], None] = lambda _: None,
) -> Encoder:
    """Load a sentence encoder, converting it first if the cache does not hold it.

    `reference` is a directory of sentence-transformers' or "package:<name>"; `kind` is one of
    ENCODER_KINDS. More threads do not make short texts faster. `hold` as above.
    Raises UnsupportedModelError for a model, ValueError for a kind.
    """
    require_kind(kind, ENCODER_KINDS)
    converted = ConvertedModel.open(resolve_reference(reference), "encoder", kind, cache_dir)
    config = SentenceEncoderConfig.from_json(converted.text("config.json"))
    hold(converted.size_bytes)
    return Encoder(
        converted.session(threads), converted.text("tokenizer.json"), config, converted.fingerprint
    )


def warm_up(engine: Engine) -> None:
    """Run each kind of step once, so that the first request finds memory and kernels ready.

    Raises UnsupportedModelError if nothing follows from what the model computes.
    """
    tokens = [0] * min(engine.limits.prefill_chunk_tokens_max, engine.limits.context_tokens_max - 1)
    slots = min(2, engine.limits.slots_max)
    steps = [StepBatch([], [PrefillChunk(slot, tokens, 0, wants_logits=True)]) for slot in range(slots)]
    steps += [
        StepBatch([DecodeRow(slot, 0, len(tokens)) for slot in range(rows)]) for rows in range(1, slots + 1)
    ]
    for step in steps:
        if not np.isfinite(engine.step(step)).all():
            raise UnsupportedModelError("the model computes numbers that are not finite")


def _require_tokens(loaded: LoadedModel) -> None:
    """Refuse a tokenizer of another model, and a model that nothing ends."""
    loaded.tokenizer.require_known(loaded.config.vocabulary_tokens)
    if not loaded.config.eos_ids:
        raise UnsupportedModelError("the model names no token that ends an answer")


def _load_onnx(setup: EngineSetup) -> LoadedModel:
    converted = ConvertedModel.open(setup.source, "decoder", setup.kind, setup.cache_dir)
    config = ModelConfig.from_json(converted.text("config.json"))
    limits = replace(setup.limits(config), reads_as_it_decodes=setup.kind != "fp32")

    def hold(*, is_adapted: bool) -> None:
        kv_bytes = KvBlocks.size_bytes(
            config, kv_dtype(setup.kind), slots=limits.slots_max, rows=limits.context_tokens_max
        )
        setup.hold(converted.size_bytes * (1 + is_adapted) + kv_bytes)

    hold(is_adapted=False)
    adaptable = AdaptableModel(
        config, converted.scale, partial(converted.adapted_session, setup.threads), hold
    )
    engine = OnnxEngine(converted.session(setup.threads), config, limits, OnnxAdapters(adaptable))
    return LoadedModel(
        engine=engine,
        engine_name="onnxruntime-cpu",
        kind=setup.kind,
        tokenizer=Tokenizer(converted.text("tokenizer.json")),
        config=config,
        fingerprint=converted.fingerprint,
        adapters=engine.adapters,
    )


def _load_torch(setup: EngineSetup) -> LoadedModel:
    from penstock_inference.engines.torch_engine import load_torch  # noqa: PLC0415 - it needs the extra "torch"

    return load_torch(setup)


def _load_tensorrt(setup: EngineSetup) -> LoadedModel:
    from penstock_inference.engines.tensorrt_engine import load_tensorrt  # noqa: PLC0415 - it needs the extra

    return load_tensorrt(setup)


_LOADERS = {"onnxruntime": _load_onnx, "torch": _load_torch, "tensorrt": _load_tensorrt}
