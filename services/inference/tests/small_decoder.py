"""Write a small random decoder, and adapters of it, as files: in milliseconds, without a library that trains."""

import json
from pathlib import Path

import numpy as np
from penstock_inference.formats import ModelConfig
from penstock_inference.formats.byte_level_bpe import ByteLevelVocabulary, byte_level_tokenizer_json
from penstock_inference.formats.llama_tensors import LINEARS, layer_tensors, tensor_shapes
from penstock_inference.formats.rotary import Rotary
from safetensors.numpy import load_file, save_file

VOCABULARY_TOKENS = 64
CONFIG = ModelConfig(
    architecture="llama",
    layers=2,
    hidden_size=64,
    heads=4,
    kv_heads=2,
    head_dim=16,
    feed_forward_size=96,
    vocabulary_tokens=VOCABULARY_TOKENS,
    rotary=Rotary(tuple(10_000.0 ** -(np.arange(0, 16, 2) / 16))),
    rms_epsilon=1e-5,
    context_tokens=512,
    tied_embeddings=False,
    eos_ids=(0,),
    chat_template=None,
    special_tokens={},
)
RANK, ALPHA = 4, 8.0


def write_decoder(directory: Path) -> Path:
    """Write a Llama that reads bytes, one a token; 0 ends an answer."""
    directory.mkdir(parents=True)
    settings = {
        "model_type": "llama",
        "hidden_act": "silu",
        "vocab_size": VOCABULARY_TOKENS,
        "hidden_size": CONFIG.hidden_size,
        "intermediate_size": CONFIG.feed_forward_size,
        "num_hidden_layers": CONFIG.layers,
        "num_attention_heads": CONFIG.heads,
        "num_key_value_heads": CONFIG.kv_heads,
        "rms_norm_eps": CONFIG.rms_epsilon,
        "rope_theta": 10_000.0,
        "max_position_embeddings": CONFIG.context_tokens,
        "eos_token_id": 0,
    }
    (directory / "config.json").write_text(json.dumps(settings))
    tokens = ["<|end|>", *(chr(0x100 + place) for place in range(33)), *map(chr, range(0x21, 0x21 + 30))]
    vocabulary = ByteLevelVocabulary(tokens, [], control_ids=[0], user_defined_ids=[], pre_tokenizer="gpt-2")
    (directory / "tokenizer.json").write_text(byte_level_tokenizer_json(vocabulary))
    dice = np.random.default_rng(20261121)
    tensors = {name: _random(dice, shape) for name, shape in tensor_shapes(CONFIG).items()}
    save_file(tensors, directory / "model.safetensors")
    return directory


def write_adapter(directory: Path, seed: int, **changes: object) -> Path:
    """Write a LoRA of all linear parts as PEFT does. `changes` are made to its settings."""
    directory.mkdir(parents=True)
    settings = {"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA, "bias": "none", **changes}
    (directory / "adapter_config.json").write_text(json.dumps(settings))
    dice = np.random.default_rng(seed)
    tensors = {}
    for name in _linears():
        outputs, inputs = tensor_shapes(CONFIG)[name]
        stem = f"base_model.model.{name.removesuffix('.weight')}"
        tensors[f"{stem}.lora_A.weight"] = _random(dice, (RANK, inputs))
        tensors[f"{stem}.lora_B.weight"] = _random(dice, (outputs, RANK)) / 4
    save_file(tensors, directory / "adapter_model.safetensors")
    return directory


def merge(decoder: Path, adapter: Path, directory: Path) -> Path:
    """Write the decoder that an adapter makes of another, its products added to the weights."""
    directory.mkdir(parents=True)
    for file in ("config.json", "tokenizer.json"):
        (directory / file).write_text((decoder / file).read_text())
    tensors, pairs = (
        load_file(decoder / "model.safetensors"),
        load_file(adapter / "adapter_model.safetensors"),
    )
    for name in _linears():
        stem = f"base_model.model.{name.removesuffix('.weight')}"
        down, up = pairs[f"{stem}.lora_A.weight"], pairs[f"{stem}.lora_B.weight"]
        tensors[name] = tensors[name] + (ALPHA / RANK) * up @ down
    save_file(tensors, directory / "model.safetensors")
    return directory


def _linears() -> list[str]:
    return [layer_tensors(layer)[part] for layer in range(CONFIG.layers) for part in LINEARS]


def _random(dice: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Give numbers that neither grow nor shrink what they are multiplied with; logits are as far apart as a model's."""
    scale = 3.0 if shape[0] == VOCABULARY_TOKENS else 1.5
    values = dice.standard_normal(shape) * scale * shape[-1] ** -0.5 if len(shape) > 1 else np.ones(shape)
    return values.astype(np.float32)
