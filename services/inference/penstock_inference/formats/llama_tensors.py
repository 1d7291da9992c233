"""Name the tensors of a Llama model, as Hugging Face does."""

from penstock_inference.formats import ModelConfig, UnsupportedModelError

EMBEDDING = "model.embed_tokens.weight"
FINAL_NORM = "model.norm.weight"
HEAD = "lm_head.weight"


def layer_tensors(layer: int) -> dict[str, str]:
    """Name one layer's tensors, by their part in it."""
    parts = {
        "attention_norm": "input_layernorm",
        "query": "self_attn.q_proj",
        "key": "self_attn.k_proj",
        "value": "self_attn.v_proj",
        "output": "self_attn.o_proj",
        "feed_forward_norm": "post_attention_layernorm",
        "gate": "mlp.gate_proj",
        "up": "mlp.up_proj",
        "down": "mlp.down_proj",
    }
    return {part: f"model.layers.{layer}.{name}.weight" for part, name in parts.items()}


def require_tensors(source: object, config: ModelConfig, found: set[str]) -> None:
    """Refuse files whose tensors are not exactly a Llama's: a bias more is another architecture."""
    expected = {EMBEDDING, FINAL_NORM} | (set() if config.tied_embeddings else {HEAD})
    for layer in range(config.layers):
        expected.update(layer_tensors(layer).values())
    for verb, names in (("lacks", expected - found), ("has unknown", found - expected)):
        if names:
            raise UnsupportedModelError(f"{source} {verb} tensors: {', '.join(sorted(names)[:4])}")
