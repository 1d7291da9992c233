"""What an engine is built for: where it runs, in which numbers, and for how much at once."""

import re
from dataclasses import dataclass

from penstock_inference.engines import EngineLimits
from penstock_inference.engines.setup import ENGINE_KINDS
from penstock_inference.engines.tensorrt import EngineBuildError
from penstock_inference.formats import ModelConfig

KINDS = ENGINE_KINDS["tensorrt"]
_TARGET = re.compile(r"sm\d{2,3}")
_FP8_SINCE = 89  # the first compute capability that multiplies it
_BF16_SINCE = 80
_KV_ROWS_MULTIPLE = 16  # attention reads the rows of a slot in vectors
KV_VALUE_BYTES = 2  # bf16 and fp16 alike
_SPARE_ROWS = 1  # a step writes a row past the end of each idle slot among those it runs, full ones too


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """One way of building a model.

    Args:
        target: a compute capability, "sm89".
        kind: "bf16" or "fp16" for all numbers; "int8", "fp8" or "int4" for the weights of linear layers, bf16 else.
        slots_max: sequences at once.
        context_tokens_max: tokens of one sequence, prompt and answer together.
        prefill_chunk_tokens_max: prompt tokens of one step.
    """

    target: str
    kind: str
    slots_max: int
    context_tokens_max: int
    prefill_chunk_tokens_max: int

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise EngineBuildError(f"{self.kind!r} is none of {', '.join(KINDS)}")
        for field in ("slots_max", "context_tokens_max", "prefill_chunk_tokens_max"):
            if getattr(self, field) < 1:
                raise EngineBuildError(f"{field} must be at least 1")
        if self.prefill_chunk_tokens_max > self.context_tokens_max:
            raise EngineBuildError(
                f"a chunk of {self.prefill_chunk_tokens_max} tokens does not fit a context of {self.context_tokens_max}"
            )
        if not _TARGET.fullmatch(self.target):
            raise EngineBuildError(f"{self.target!r} is no compute capability such as sm89")
        needed = {"fp16": 0, "fp8": _FP8_SINCE}.get(self.kind, _BF16_SINCE)
        if int(self.target.removeprefix("sm")) < needed:
            raise EngineBuildError(
                f"{self.target} does not compute in {self.kind}: it needs sm{needed} or newer"
            )

    @property
    def kv_rows(self) -> int:
        """Count the rows of KV memory that a slot has."""
        needed = self.context_tokens_max + _SPARE_ROWS
        return -(-needed // _KV_ROWS_MULTIPLE) * _KV_ROWS_MULTIPLE

    def kv_bytes(self, config: ModelConfig) -> int:
        """Say how much device memory the keys and values of all slots take."""
        values = config.layers * 2 * self.slots_max * config.kv_heads * self.kv_rows * config.head_dim
        return KV_VALUE_BYTES * values

    def limits(self, config: ModelConfig) -> EngineLimits:
        """Give the limits of an engine of it."""
        return EngineLimits(
            config.vocabulary_tokens, self.slots_max, self.context_tokens_max, self.prefill_chunk_tokens_max
        )

    def __str__(self) -> str:
        shape = f"{self.slots_max}x{self.context_tokens_max}-{self.prefill_chunk_tokens_max}"
        return f"{self.target}-{self.kind}-{shape}"
