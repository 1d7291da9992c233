"""The decoder: RMSNorm, rotary positions, grouped queries, SwiGLU; biases, head norms and windows if it has them."""

from penstock_inference.engines.torch_library import Tensor, functional, torch
from penstock_inference.engines.torch_model.attention import Attention, choose_attention
from penstock_inference.engines.torch_model.kv_pool import KvPool
from penstock_inference.engines.torch_model.step import Step
from penstock_inference.engines.torch_model.target import Target
from penstock_inference.engines.torch_model.weights import DecoderWeights, LayerWeights
from penstock_inference.formats import ModelConfig


class Decoder:
    """Compute steps over a pool of KV blocks."""

    def __init__(
        self, config: ModelConfig, weights: DecoderWeights, pool: KvPool, target: Target, rows: int
    ) -> None:
        self._config = config
        self._weights = weights
        self._pool = pool
        self._target = target
        self._windows = config.attention_windows or (0,) * config.layers
        cos, sin = (torch.from_numpy(table).to(target.device) for table in config.rotary.tables(rows))
        self._cos, self._sin = (torch.cat((table, table), dim=1) for table in (cos, sin))

    def __call__(self, step: Step) -> Tensor:
        """Write the step's keys and values into the pool, and give logits `[logit_tokens, vocabulary]` in float32."""
        attention = choose_attention(step, self._target)
        hidden = self._weights.embedding[step.tokens]
        for layer, weights in enumerate(self._weights.layers):
            parts = _Linears(layer, weights, step)
            hidden = hidden + self._attend(parts, self._norm(hidden, weights.attention_norm), attention)
            hidden = hidden + _feed_forward(parts, self._norm(hidden, weights.feed_forward_norm))
        normed = self._norm(hidden[step.logit_tokens], self._weights.final_norm)
        return functional.linear(normed, self._weights.head).float()

    def _attend(self, linears: "_Linears", normed: Tensor, attention: Attention) -> Tensor:
        config, step = self._config, linears.step
        heads = linears("attention", normed).view(len(normed), -1, config.head_dim)
        queries, keys, values = torch.split(heads, [config.heads, config.kv_heads, config.kv_heads], dim=1)
        if linears.weights.head_norms is not None:
            query_norm, key_norm = linears.weights.head_norms
            queries, keys = self._norm(queries, query_norm), self._norm(keys, key_norm)
        pool_keys, pool_values = self._pool.layer(linears.layer)
        pool_keys.flatten(0, 1).index_copy_(0, step.kv_rows, self._rotate(keys, step.positions))
        pool_values.flatten(0, 1).index_copy_(0, step.kv_rows, values)
        window = self._windows[linears.layer]
        attended = attention(self._rotate(queries, step.positions), pool_keys, pool_values, window)
        return linears("output", attended.flatten(1))

    def _rotate(self, heads: Tensor, positions: Tensor) -> Tensor:
        """Turn each pair of dimensions, which lie half a head apart, by its position's angle."""
        values = heads.float()
        left, right = values.chunk(2, dim=2)
        cos, sin = self._cos[positions, None], self._sin[positions, None]
        return (values * cos + torch.cat((-right, left), dim=2) * sin).to(heads.dtype)

    def _norm(self, values: Tensor, scale: Tensor) -> Tensor:
        """Divide by the root mean square, computed in float32 (arXiv 1910.07467)."""
        return (
            functional.rms_norm(values.float(), scale.shape, None, self._config.rms_epsilon).to(values.dtype)
            * scale
        )


class _Linears:
    """The matrices of a layer, and what a step's adapters add to them."""

    def __init__(self, layer: int, weights: LayerWeights, step: Step) -> None:
        self.layer = layer
        self.weights = weights
        self.step = step

    def __call__(self, name: str, values: Tensor) -> Tensor:
        product = self.weights.linears[name](values)
        for adapted in self.step.adapted:
            low_rank = adapted.adapter.get((self.layer, name))
            if low_rank is not None:
                product.index_add_(0, adapted.tokens, low_rank(values[adapted.tokens]))
        return product


def _feed_forward(linears: _Linears, normed: Tensor) -> Tensor:
    gate, up = linears("gate_up", normed).chunk(2, dim=1)
    return linears("down", functional.silu(gate) * up)
