import json
from pathlib import Path

import numpy as np
import pytest
from penstock_inference.formats import UnsupportedModelError
from penstock_inference.formats.hugging_face import HuggingFaceWeights
from penstock_inference.formats.llama_tensors import layer_biases, layer_head_norms, layer_tensors
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
NAMES = layer_tensors(0)
SHAPES = {
    "model.embed_tokens.weight": (10, 32),
    "model.norm.weight": (32,),
    NAMES["attention_norm"]: (32,),
    NAMES["query"]: (32, 32),
    NAMES["key"]: (16, 32),
    NAMES["value"]: (16, 32),
    NAMES["output"]: (32, 32),
    NAMES["feed_forward_norm"]: (32,),
    NAMES["gate"]: (48, 32),
    NAMES["up"]: (48, 32),
    NAMES["down"]: (32, 48),
}
BIAS = layer_biases(0)["query"]
HEAD_NORMS = dict.fromkeys(layer_head_norms(0).values(), (16,))


def write_model(directory: Path, shapes: dict[str, tuple[int, ...]] = SHAPES, **changes: object) -> Path:
    (directory / "config.json").write_text(json.dumps(CONFIG | changes))
    arrays = {name: np.full(shape, place, np.float32) for place, (name, shape) in enumerate(shapes.items())}
    save_file(arrays, directory / "model.safetensors")
    return directory


def part(names: list[str]) -> dict[str, tuple[int, ...]]:
    return {name: SHAPES[name] for name in names}


def without(key: str) -> dict[str, object]:
    return {name: value for name, value in CONFIG.items() if name != key}


def test_the_configuration_is_read(tmp_path):
    config = HuggingFaceWeights(write_model(tmp_path)).config

    assert (config.heads, config.kv_heads, config.head_dim) == (2, 1, 16)
    assert config.rotary.frequencies[:2] == (1.0, 500000.0**-0.125)
    assert (config.biases, config.has_head_norms, config.attention_windows) == ((), False, ())
    assert config.eos_ids == (2,)
    assert config.chat_template is None
    assert config.special_tokens == {}


def test_rotary_settings_are_found_where_transformers_5_puts_them(tmp_path):
    parameters = {"rope_type": "default", "rope_theta": 256.0}
    config = HuggingFaceWeights(write_model(tmp_path, rope_parameters=parameters)).config

    assert config.rotary.frequencies[:3] == (1.0, 0.5, 0.25)


def test_tensors_are_found_in_several_files(tmp_path):
    first, second = part(list(SHAPES)[:5]), part(list(SHAPES)[5:])
    write_model(tmp_path, first)
    (tmp_path / "model.safetensors").rename(tmp_path / "model-00001-of-00002.safetensors")
    arrays = {name: np.full(shape, 7, np.float32) for name, shape in second.items()}
    save_file(arrays, tmp_path / "model-00002-of-00002.safetensors")

    weights = HuggingFaceWeights(tmp_path)

    assert weights.tensor("model.norm.weight").tolist() == [1] * 32
    assert np.array_equal(weights.tensor(NAMES["down"]), np.full((32, 48), 7))


def test_a_tensor_that_is_in_two_files_is_refused(tmp_path):
    write_model(tmp_path)
    save_file({NAMES["up"]: np.zeros((48, 32), np.float32)}, tmp_path / "model-2.safetensors")

    with pytest.raises(UnsupportedModelError, match=r"up_proj.weight in two files"):
        HuggingFaceWeights(tmp_path)


def test_what_the_other_architectures_add_is_found(tmp_path):
    shapes = SHAPES | {BIAS: (32,)} | HEAD_NORMS
    config = HuggingFaceWeights(write_model(tmp_path, shapes, model_type="qwen3")).config

    assert config.biases == ("query",)
    assert config.has_head_norms
    assert type(config).from_json(config.to_json()) == config


@pytest.mark.parametrize(
    ("changes", "windows"),
    [
        ({"model_type": "mistral", "sliding_window": 8}, (8,)),
        ({"model_type": "mistral", "sliding_window": None}, ()),
        ({"model_type": "qwen2", "sliding_window": 8}, ()),
        ({"model_type": "qwen2", "sliding_window": 8, "use_sliding_window": True}, (0,)),
        (
            {
                "model_type": "qwen2",
                "sliding_window": 8,
                "use_sliding_window": True,
                "layer_types": ["sliding_attention"],
            },
            (8,),
        ),
    ],
)
def test_the_window_of_each_layer_is_what_its_architecture_means(tmp_path, changes, windows):
    assert HuggingFaceWeights(write_model(tmp_path, **changes)).config.attention_windows == windows


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
        ({"model_type": "gemma"}, "model type 'gemma'"),
        ({"hidden_act": "gelu"}, "activation 'gelu'"),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantisation by 'gptq'"),
        ({"rope_scaling": {"rope_type": "longrope", "factor": 8.0}}, "rotary scaling 'longrope'"),
        ({"rope_scaling": {"type": "linear", "factor": 0.5}}, "out of range"),
        ({"rope_scaling": {"type": "yarn", "factor": 8.0}}, "lacks the field 'original_max_position"),
        ({"rope_parameters": {"rope_theta": 1e4, "partial_rotary_factor": 0.5}}, "a part of each head"),
        ({"num_attention_heads": 3}, "head dimension 10"),
        ({"head_dim": 1 << 31}, "heads of 2147483648 dimensions"),
        ({"hidden_size": 0}, "heads of 0 dimensions"),
        (
            {"num_attention_heads": 4, "num_key_value_heads": 3, "head_dim": 16},
            "4 query heads cannot share 3",
        ),
        ({"num_hidden_layers": 0}, "layers cannot be 0"),
        ({"num_hidden_layers": 1 << 23}, "too few tensors for 8388608 layers"),
        ({"hidden_size": "wide"}, "'hidden_size' is 'wide', not a whole number"),
        ({"rms_norm_eps": float("inf")}, "'rms_norm_eps' is 'inf', not a number"),
        ({"rope_scaling": [8]}, "'rope_scaling' is '\\[8\\]', not an object"),
        ({"intermediate_size": 64}, r"gate_proj.weight has the shape \(48, 32\), not \(64, 32\)"),
        (
            {
                "model_type": "qwen2",
                "sliding_window": 4,
                "use_sliding_window": True,
                "layer_types": ["chunked_attention"],
            },
            "attention of types {'chunked_attention'}",
        ),
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
        HuggingFaceWeights(write_model(tmp_path, part(list(SHAPES)[:-1])))
    with pytest.raises(UnsupportedModelError, match=r"unknown tensors: model.layers.0.self_attn.rotary"):
        HuggingFaceWeights(write_model(tmp_path, SHAPES | {NAMES["query"].replace("q_proj", "rotary"): (1,)}))


def test_a_tied_head_that_is_stored_all_the_same_is_accepted(tmp_path):
    assert HuggingFaceWeights(write_model(tmp_path, SHAPES | {"lm_head.weight": (1,)})).config.tied_embeddings


def test_a_missing_tokenizer_is_named(tmp_path):
    with pytest.raises(UnsupportedModelError, match=r"tokenizer.json is missing"):
        HuggingFaceWeights(write_model(tmp_path)).tokenizer_json()


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_a_configuration_that_is_no_object_is_refused(tmp_path, text):
    write_model(tmp_path)
    (tmp_path / "config.json").write_text(text)

    with pytest.raises(UnsupportedModelError, match=r"config.json does not hold"):
        HuggingFaceWeights(tmp_path)
