"""What a step takes at least: its arithmetic, and the bytes that have to be read for it. Pure.

Divided by what the machine can do, their rates are the model FLOPs utilisation (PaLM, arXiv 2204.02311, appendix B) and
the share of the memory bandwidth.
"""

from dataclasses import dataclass

from penstock_inference.engines import StepBatch
from penstock_inference.formats import ModelConfig

_WEIGHT_BYTES = {
    "fp32": 4,
    "bf16": 2,
    "fp16": 2,
    "int4": 0.5,
}  # of one weight; other kinds have 1, and scales beside
_KV_BYTES_MIN = 2  # of one number: what has smaller weights keeps half floats


@dataclass(frozen=True, slots=True)
class Work:
    """Of one step."""

    flops: int
    read_bytes: int


@dataclass(frozen=True, slots=True)
class WorkModel:
    """The sizes that a model's work follows from."""

    layer_weights: int  # in the products of all layers
    head_weights: int
    attention_width: int  # of all layers' queries
    kv_row_bytes: int  # keys and values of one token
    weight_bytes: float

    @classmethod
    def of(cls, config: ModelConfig, kind: str) -> "WorkModel":
        """Read the sizes off a model of a kind."""
        queries, keys = config.heads * config.head_dim, config.kv_heads * config.head_dim
        layer = config.hidden_size * (2 * queries + 2 * keys + 3 * config.feed_forward_size)
        weight_bytes = _WEIGHT_BYTES.get(kind, 1)
        kv_bytes = max(int(weight_bytes), _KV_BYTES_MIN)
        return cls(
            layer_weights=config.layers * layer,
            head_weights=config.vocabulary_tokens * config.hidden_size,
            attention_width=config.layers * queries,
            kv_row_bytes=2 * config.layers * keys * kv_bytes,
            weight_bytes=weight_bytes,
        )

    def of_step(self, batch: StepBatch) -> Work:
        """Count two operations a weight and token, and four a query's number and token that it looks at."""
        spans = [(part.past_tokens, len(part.tokens)) for part in batch.parts]
        tokens = sum(new for _, new in spans)
        logit_rows = sum(part.logit_rows for part in batch.parts)
        looked_at = sum(new * past + new * (new + 1) // 2 for past, new in spans)
        weights = self.layer_weights + (self.head_weights if logit_rows else 0)
        return Work(
            flops=2 * (self.layer_weights * tokens + self.head_weights * logit_rows)
            + 4 * self.attention_width * looked_at,
            read_bytes=int(weights * self.weight_bytes) + self.kv_row_bytes * sum(past for past, _ in spans),
        )
