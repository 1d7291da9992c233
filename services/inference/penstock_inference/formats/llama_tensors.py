"""Name the tensors of a decoder of the Llama family, as Hugging Face does."""

from collections.abc import Collection, Mapping

from penstock_inference.formats import ModelConfig, UnsupportedModelError

EMBEDDING = "model.embed_tokens.weight"
FINAL_NORM = "model.norm.weight"
HEAD = "lm_head.weight"

_NORMS = {"attention_norm": "input_layernorm", "feed_forward_norm": "post_attention_layernorm"}
LINEARS = {
    "query": "self_attn.q_proj",
    "key": "self_attn.k_proj",
    "value": "self_attn.v_proj",
    "output": "self_attn.o_proj",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
}
# Matrices that read the same input and are multiplied with as one, by the name of the whole.
JOINED = {
    "attention": ("query", "key", "value"),
    "output": ("output",),
    "gate_up": ("gate", "up"),
    "down": ("down",),
}
_HEAD_NORMS = {"query_norm": "self_attn.q_norm", "key_norm": "self_attn.k_norm"}


def layer_tensors(layer: int) -> dict[str, str]:
    """Name the weights that every architecture has in a layer, by their part in it."""
    return _names(layer, _NORMS | LINEARS, "weight")


def layer_biases(layer: int) -> dict[str, str]:
    """Name the biases that an architecture may have in a layer."""
    return _names(layer, LINEARS, "bias")


def layer_head_norms(layer: int) -> dict[str, str]:
    """Name the norms of each head's queries and keys, which Qwen3 has."""
    return _names(layer, _HEAD_NORMS, "weight")


def find_biases(tensors: Collection[str]) -> tuple[str, ...]:
    """Say which parts of a layer have a bias."""
    return tuple(part for part, name in layer_biases(0).items() if name in tensors)


def require_tensors(source: object, config: ModelConfig, found: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse files whose tensors are not exactly the architecture's, in name and shape."""
    if config.layers > len(found):  # else a file that lies about it would have us list them all
        raise UnsupportedModelError(f"{source} has too few tensors for {config.layers} layers")
    expected = tensor_shapes(config)
    for verb, names in (("lacks", expected.keys() - found), ("has unknown", found.keys() - expected)):
        if names:
            raise UnsupportedModelError(f"{source} {verb} tensors: {', '.join(sorted(names)[:4])}")
    for name, shape in expected.items():
        if found[name] != shape:
            raise UnsupportedModelError(f"{source}: {name} has the shape {found[name]}, not {shape}")


def tensor_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Give the shape of each tensor that the architecture has, by name."""
    hidden, table = config.hidden_size, (config.vocabulary_tokens, config.hidden_size)
    rows = {
        "query": config.heads * config.head_dim,
        "key": config.kv_heads * config.head_dim,
        "value": config.kv_heads * config.head_dim,
        "output": hidden,
        "gate": config.feed_forward_size,
        "up": config.feed_forward_size,
        "down": hidden,
    }
    columns = {"output": rows["query"], "down": config.feed_forward_size}
    shapes: dict[str, tuple[int, ...]] = {EMBEDDING: table, FINAL_NORM: (hidden,)}
    if not config.tied_embeddings:
        shapes[HEAD] = table
    for layer in range(config.layers):
        names, biases = layer_tensors(layer), layer_biases(layer)
        shapes |= {names[part]: (hidden,) for part in _NORMS}
        shapes |= {names[part]: (count, columns.get(part, hidden)) for part, count in rows.items()}
        shapes |= {biases[part]: (rows[part],) for part in config.biases}
        if config.has_head_norms:
            shapes |= dict.fromkeys(layer_head_norms(layer).values(), (config.head_dim,))
    return shapes


def _names(layer: int, parts: Mapping[str, str], suffix: str) -> dict[str, str]:
    return {part: f"model.layers.{layer}.{name}.{suffix}" for part, name in parts.items()}
