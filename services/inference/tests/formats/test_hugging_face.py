import json
from pathlib import Path

import numpy as np
import pytest
from penstock_inference.formats import UnsupportedModelError
from penstock_inference.formats.hugging_face import HuggingFaceWeights
from penstock_inference.formats.llama_tensors import layer_tensors
from safetensors.numpy import save_file

CONFIG = {
    "model_type": "llama",
    "hidden_act": "silu",
    "num_hidden_layers": 1,
    "hidden_size": 32,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 48,
    "vocab_size": 10,
    "rms_norm_eps": 1e-5,
    "max_position_embeddings": 128,
    "rope_theta": 500000.0,
    "tie_word_embeddings": True,
    "eos_token_id": 2,
}
TENSORS = ["model.embed_tokens.weight", "model.norm.weight", *layer_tensors(0).values()]


def write_model(directory: Path, tensors: list[str] = TENSORS, **changes: object) -> Path:
    (directory / "config.json").write_text(json.dumps(CONFIG | changes))
    arrays = {name: np.full((2, 2), place, np.float32) for place, name in enumerate(tensors)}
    save_file(arrays, directory / "model.safetensors")
    return directory


def without(key: str) -> dict[str, object]:
    return {name: value for name, value in CONFIG.items() if name != key}


def test_the_configuration_is_read(tmp_path):
    config = HuggingFaceWeights(write_model(tmp_path)).config

    assert (config.heads, config.kv_heads, config.head_dim) == (2, 1, 16)
    assert config.rope_base == 500000.0
    assert config.eos_ids == (2,)
    assert config.chat_template is None
    assert config.special_tokens == {}


def test_rotary_settings_are_found_where_transformers_5_puts_them(tmp_path):
    parameters = {"rope_type": "default", "rope_theta": 1234.0}

    assert HuggingFaceWeights(write_model(tmp_path, rope_parameters=parameters)).config.rope_base == 1234.0


def test_tensors_are_found_in_several_files(tmp_path):
    write_model(tmp_path, TENSORS[:5])
    (tmp_path / "model.safetensors").rename(tmp_path / "model-00001-of-00002.safetensors")
    arrays = {name: np.full((2, 2), 7, np.float32) for name in TENSORS[5:]}
    save_file(arrays, tmp_path / "model-00002-of-00002.safetensors")

    weights = HuggingFaceWeights(tmp_path)

    assert weights.tensor(TENSORS[1]).tolist() == [[1, 1], [1, 1]]
    assert weights.tensor(TENSORS[-1]).tolist() == [[7, 7], [7, 7]]


def test_all_tokens_that_end_an_answer_are_taken_from_the_generation_settings(tmp_path):
    write_model(tmp_path)
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [2, 5]}')

    assert HuggingFaceWeights(tmp_path).config.eos_ids == (2, 5)


@pytest.mark.parametrize("place", ["tokenizer_config.json", "chat_template.jinja"])
def test_the_chat_template_is_found_in_both_places(tmp_path, place):
    write_model(tmp_path)
    template = "{{ messages }}"
    text = json.dumps({"chat_template": template}) if place.endswith(".json") else template
    (tmp_path / place).write_text(text)

    assert HuggingFaceWeights(tmp_path).config.chat_template == template


def test_special_tokens_are_read_plain_or_as_objects(tmp_path):
    write_model(tmp_path)
    tokens = {"bos_token": "<s>", "eos_token": {"content": "</s>", "lstrip": False}, "pad_token": None}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(tokens))

    assert HuggingFaceWeights(tmp_path).config.special_tokens == {"bos_token": "<s>", "eos_token": "</s>"}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"model_type": "mistral"}, "model type 'mistral'"),
        ({"hidden_act": "gelu"}, "activation 'gelu'"),
        ({"attention_bias": True}, "attention bias"),
        ({"mlp_bias": True}, "feed-forward bias"),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "rotary scaling"),
        ({"num_attention_heads": 3}, "head dimension 10"),
        ({"num_attention_heads": 4, "num_key_value_heads": 3}, "4 query heads cannot share 3"),
    ],
)
def test_what_we_cannot_run_is_refused_by_name(tmp_path, changes, complaint):
    with pytest.raises(UnsupportedModelError, match=complaint):
        HuggingFaceWeights(write_model(tmp_path, **changes))


def test_a_missing_field_is_named(tmp_path):
    write_model(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(without("vocab_size")))

    with pytest.raises(UnsupportedModelError, match=r"config.json lacks the field 'vocab_size'"):
        HuggingFaceWeights(tmp_path)


def test_missing_and_unknown_tensors_are_named(tmp_path):
    with pytest.raises(UnsupportedModelError, match=r"lacks tensors: model.layers.0.mlp.down_proj.weight"):
        HuggingFaceWeights(write_model(tmp_path, TENSORS[:-1]))
    with pytest.raises(UnsupportedModelError, match=r"unknown tensors: model.layers.0.self_attn.q_norm"):
        HuggingFaceWeights(write_model(tmp_path, [*TENSORS, "model.layers.0.self_attn.q_norm.weight"]))


def test_a_tied_head_that_is_stored_all_the_same_is_accepted(tmp_path):
    assert HuggingFaceWeights(write_model(tmp_path, [*TENSORS, "lm_head.weight"])).config.tied_embeddings


def test_a_missing_tokenizer_is_named(tmp_path):
    with pytest.raises(UnsupportedModelError, match=r"tokenizer.json is missing"):
        HuggingFaceWeights(write_model(tmp_path)).tokenizer_json()


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_a_configuration_that_is_no_object_is_refused(tmp_path, text):
    write_model(tmp_path)
    (tmp_path / "config.json").write_text(text)

    with pytest.raises(UnsupportedModelError, match=r"config.json does not hold"):
        HuggingFaceWeights(tmp_path)
