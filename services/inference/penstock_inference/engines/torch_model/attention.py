"""Causal attention over keys and values that lie in blocks."""

from typing import Protocol

from penstock_inference.engines.torch_library import Tensor, functional, torch, varlen_attn
from penstock_inference.engines.torch_model.step import Step
from penstock_inference.engines.torch_model.target import Target


class Attention(Protocol):
    """Attend for one step; made anew for each."""

    def __call__(self, queries: Tensor, keys: Tensor, values: Tensor, window: int) -> Tensor:
        """Let each token's queries `[tokens, heads, head_dim]` attend to its sequence up to itself.

        `keys` and `values` are a layer's `[blocks, block_rows, kv_heads, head_dim]`, the step's own included.
        A window says how many tokens back, itself included; 0: all.
        """


def choose_attention(step: Step, target: Target) -> Attention:
    """Take the fastest that the device and the number format have."""
    if target.has_flash:
        return FlashAttention(step)
    return GatheredAttention(step)


class FlashAttention:
    """Read the blocks where they lie, with PyTorch's FlashAttention for CUDA.

    Keys and values are never split between programs: how it would be done depends on the longest sequence of a batch.
    """

    def __init__(self, step: Step) -> None:
        self._step = step

    def __call__(self, queries: Tensor, keys: Tensor, values: Tensor, window: int) -> Tensor:
        """Attend. See Attention."""
        step = self._step
        attended = varlen_attn(
            queries, keys, values, step.starts, None, step.tokens_max, step.rows_max,
            window_size=(window - 1, 0),  # -1: all
            enable_gqa=True,
            seqused_k=step.lengths,
            block_table=step.tables,
            num_splits=1,
        )  # fmt: skip
        assert isinstance(attended, Tensor)
        return attended


class GatheredAttention:
    """Copy the blocks of sequences together first: on any device, in any number format."""

    def __init__(self, step: Step) -> None:
        starts = step.starts.tolist()
        bounds = [(0, step.singles)] if step.singles else []
        bounds += [(place, place + 1) for place in range(step.singles, len(starts) - 1)]
        self._groups = [
            _Group(step, first, last, slice(starts[first], starts[last])) for first, last in bounds
        ]

    def __call__(self, queries: Tensor, keys: Tensor, values: Tensor, window: int) -> Tensor:
        """Attend. See Attention."""
        return torch.cat([group.attend(queries, keys, values, window) for group in self._groups])


class _Group:
    """Sequences with equally many new tokens, which follow each other in a step."""

    def __init__(self, step: Step, first: int, last: int, tokens: slice) -> None:
        self._tokens = tokens
        self._tables = step.tables[first:last]
        self._positions = step.positions[tokens].view(last - first, 1, -1, 1)
        self._masks: dict[int, Tensor] = {}

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor, window: int) -> Tensor:
        queries = queries[self._tokens].view(len(self._tables), -1, *queries.shape[1:])
        keys, values = (blocks[self._tables].flatten(1, 2) for blocks in (keys, values))
        if window not in self._masks:
            self._masks[window] = self._mask(keys.shape[1], window)
        attended = functional.scaled_dot_product_attention(
            queries.transpose(1, 2), keys.transpose(1, 2), values.transpose(1, 2),
            attn_mask=self._masks[window],
            enable_gqa=True,
        )  # fmt: skip
        return attended.transpose(1, 2).flatten(0, 1)

    def _mask(self, rows: int, window: int) -> Tensor:
        """Tell which rows each token sees `[sequences, 1, tokens, rows]`."""
        row = torch.arange(rows, device=self._positions.device)
        seen = row <= self._positions
        return seen & (row > self._positions - window) if window else seen
