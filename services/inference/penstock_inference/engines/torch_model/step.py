"""One iteration as tensors: sequences in order, each with its new tokens side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate

from penstock_inference.engines import StepBatch
from penstock_inference.engines.torch_library import Tensor, torch
from penstock_inference.engines.torch_model.adapter import Adapter, TorchAdapters
from penstock_inference.engines.torch_model.kv_pool import KvPool


@dataclass(frozen=True, slots=True)
class AdaptedTokens:
    """Which tokens an adapter changes."""

    adapter: Adapter
    tokens: Tensor  # [tokens] their places in the step


@dataclass(frozen=True, slots=True)
class Step:
    """What a decoder computes at once. The first `singles` sequences have one token each."""

    tokens: Tensor  # [tokens]
    positions: Tensor  # [tokens] of each in its sequence
    kv_rows: Tensor  # [tokens] where in the pool its key and value go
    starts: Tensor  # [sequences + 1] the first token of each sequence, and the end; int32
    lengths: Tensor  # [sequences] rows of KV, the new ones included; int32
    tables: Tensor  # [sequences, blocks] int32
    logit_tokens: Tensor  # [rows] after which tokens logits are wanted
    singles: int
    tokens_max: int  # of one sequence
    rows_max: int  # of KV, of one sequence
    adapted: tuple[AdaptedTokens, ...] = ()


def make_step(batch: StepBatch, pool: KvPool, adapters: TorchAdapters, device: torch.device) -> Step:
    """Make place in the pool for a batch that keeps the rules, and turn it into tensors."""
    parts, tables = _parts(batch), pool.tables
    pool.prepare(
        write for part in parts for write in tables.write(part.slot, part.past_tokens, len(part.tokens))
    )
    positions = [row for part in parts for row in part.rows]
    rows_max = max(part.rows.stop for part in parts)
    width = -(-rows_max // tables.block_rows)
    wide, narrow = (partial(torch.tensor, dtype=dtype, device=device) for dtype in (torch.int64, torch.int32))
    return Step(
        tokens=wide([token for part in parts for token in part.tokens]),
        positions=wide(positions),
        kv_rows=wide([tables.place(part.slot, row) for part in parts for row in part.rows]),
        starts=narrow([0, *(part.end for part in parts)]),
        lengths=narrow([part.rows.stop for part in parts]),
        tables=torch.from_numpy(tables.tables[[part.slot for part in parts], :width]).to(device),
        logit_tokens=wide([token for part in parts for token in range(part.end - part.logit_rows, part.end)]),
        singles=len(batch.decode),
        tokens_max=max(len(part.tokens) for part in parts),
        rows_max=rows_max,
        adapted=tuple(
            AdaptedTokens(adapters[name], wide(tokens)) for name, tokens in _adapted_tokens(parts).items()
        ),
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """What a step does to one slot."""

    slot: int
    tokens: Sequence[int]
    past_tokens: int
    end: int  # of its tokens among the step's
    logit_rows: int
    adapter: str | None

    @property
    def rows(self) -> range:
        return range(self.past_tokens, self.past_tokens + len(self.tokens))


def _parts(batch: StepBatch) -> list[_Part]:
    chunk_ends = accumulate((len(chunk.tokens) for chunk in batch.prefills), initial=len(batch.decode))
    next(chunk_ends)
    return [
        *(
            _Part(row.slot, (row.token,), row.past_tokens, end, 1, row.adapter)
            for end, row in enumerate(batch.decode, 1)
        ),
        *(
            _Part(chunk.slot, chunk.tokens, chunk.past_tokens, end, chunk.logit_rows, chunk.adapter)
            for chunk, end in zip(batch.prefills, chunk_ends, strict=True)
        ),
    ]


def _adapted_tokens(parts: Sequence[_Part]) -> dict[str, list[int]]:
    """Give each adapter's tokens by their places in the step."""
    places: dict[str, list[int]] = {}
    for part in parts:
        if part.adapter is not None:
            places.setdefault(part.adapter, []).extend(range(part.end - len(part.tokens), part.end))
    return places
