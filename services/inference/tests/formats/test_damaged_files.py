"""Files that lie, whether by accident or with intent: refused with a reason, in bounded time and memory."""

import json
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from penstock_inference.formats import ModelWeights, UnsupportedModelError
from penstock_inference.formats.gguf import GgufWeights
from penstock_inference.formats.gguf_file import GgufFile
from penstock_inference.formats.hugging_face import HuggingFaceWeights
from penstock_inference.formats.llama_tensors import EMBEDDING, FINAL_NORM
from penstock_inference.formats.safetensors import SafetensorsFile
from penstock_inference.tokenizer import Tokenizer

from .test_gguf import Q4_1, tensors, write_gguf
from .test_hugging_face import write_model

MEMORY_BYTES_MAX = 16 << 20  # the files have 100 KB
LIES = [0, 1, 2**31 - 1, 2**32 - 1, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1]

changes = st.lists(
    st.tuples(
        st.floats(0, 1),  # where, as a share of the part that is damaged
        st.one_of(
            st.sampled_from(LIES).map(lambda value: struct.pack("<Q", value)),
            st.binary(min_size=1, max_size=9),
        ),
    ),
    min_size=1,
    max_size=4,
)
kept = st.one_of(st.just(1.0), st.floats(0, 1))
damaging = settings(
    max_examples=150, deadline=5000, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def damage(content: bytes, spots: list[tuple[float, bytes]], kept: float, header_bytes: int) -> bytes:
    """Overwrite spots of the header, then cut the end off."""
    damaged = bytearray(content)
    for place, patch in spots:
        start = int(place * header_bytes)
        damaged[start : start + len(patch)] = patch
    return bytes(damaged[: int(kept * len(content))])


def read_all(open_weights: Callable[[], ModelWeights]) -> None:
    """Read whatever can be read; what cannot must say so, and take no more than a file of its size may."""
    tracemalloc.start()
    try:
        weights = open_weights()
        for name in (EMBEDDING, FINAL_NORM):
            weights.tensor(name)
        weights.config.rotary.tables(8)
        Tokenizer(weights.tokenizer_json())
    except UnsupportedModelError as refusal:
        assert str(refusal)  # noqa: PT017 - what is not damaged enough to notice is read, and that is right
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < MEMORY_BYTES_MAX


@pytest.fixture(scope="module")
def gguf_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "model.gguf"
    return write_gguf(path, tensors(), kinds={"blk.0.attn_v.weight": Q4_1})


@damaging
@given(spots=changes, kept=kept)
def test_a_damaged_gguf_file_is_read_or_refused(tmp_path, gguf_file, spots, kept):
    path = tmp_path / "model.gguf"
    path.write_bytes(damage(gguf_file.read_bytes(), spots, kept, header_bytes=1700))

    read_all(lambda: GgufWeights(path))


@pytest.mark.parametrize(
    ("after", "lie", "complaint"),
    [
        (b"GGUF\x03\0\0\0", 2**62, "claims 4611686018427387904 tensors"),
        (b"GGUF\x03\0\0\0" + struct.pack("<Q", 11), 2**40, "claims 1099511627776 fields"),
        (b"tokenizer.ggml.tokens" + struct.pack("<II", 9, 8), 2**60, "claims 1152921504606846976 items"),
        (b"tokenizer.ggml.tokens" + struct.pack("<II", 9, 8), 2**22, "bytes are missing"),
        (struct.pack("<Q", 17) + b"token_embd.weight", 9, "has 9 dimensions"),
        (b"token_embd.weight" + struct.pack("<I", 2), 2**61, "cut short|overlap"),
        (b"token_embd.weight" + struct.pack("<IQQI", 2, 64, 4, 0), 2**50, "cut short"),
        (b"blk.0.ffn_up.weight" + struct.pack("<IQQI", 2, 64, 96, 0), 0, "overlap"),
    ],
)
def test_a_lie_in_a_gguf_file_is_named(tmp_path, gguf_file, after, lie, complaint):
    content = gguf_file.read_bytes()
    place = content.index(after) + len(after)
    path = tmp_path / "model.gguf"
    path.write_bytes(content[:place] + struct.pack("<Q", lie) + content[place + 8 :])

    with pytest.raises(UnsupportedModelError, match=complaint):
        GgufFile(path)


@damaging
@given(spots=changes, kept=kept, place=st.sampled_from(["config.json", "model.safetensors"]))
def test_a_damaged_directory_is_read_or_refused(tmp_path, spots, kept, place):
    write_model(tmp_path)
    content = (tmp_path / place).read_bytes()
    (tmp_path / place).write_bytes(damage(content, spots, kept, header_bytes=min(len(content), 1200)))

    read_all(lambda: HuggingFaceWeights(tmp_path))


@damaging
@given(field=st.sampled_from(["hidden_size", "rope_scaling", "layer_types", "eos_token_id"]), data=st.data())
def test_a_field_of_any_type_is_read_or_refused(tmp_path, field, data):
    leaf = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8))
    value = data.draw(st.recursive(leaf, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
    write_model(tmp_path, model_type="mistral", sliding_window=4, **{field: value})

    read_all(lambda: HuggingFaceWeights(tmp_path))


@pytest.mark.parametrize("layers", [2**28, 2**64])
def test_more_layers_than_tensors_cost_nothing_before_they_are_refused(tmp_path, layers):
    write_model(tmp_path, model_type="mistral", sliding_window=4, num_hidden_layers=layers)

    read_all(lambda: HuggingFaceWeights(tmp_path))


def test_a_window_that_no_graph_can_hold_is_refused(tmp_path):
    with pytest.raises(UnsupportedModelError, match="attention windows cannot be"):
        HuggingFaceWeights(write_model(tmp_path, model_type="mistral", sliding_window=10**40))


@pytest.mark.parametrize("end", [-1, 10, 2**63])
def test_an_end_token_that_the_model_does_not_have_is_refused(tmp_path, end):
    with pytest.raises(UnsupportedModelError, match=f"10 tokens have no end tokens .{end},"):
        HuggingFaceWeights(write_model(tmp_path, eos_token_id=end))


@pytest.mark.parametrize(
    ("entries", "complaint"),
    [
        ({"a": (2, [0, 8]), "b": (2, [4, 12])}, "b begins at byte 4 and not at 8"),
        ({"a": (2, [0, 8]), "b": (2, [12, 20])}, "b begins at byte 12 and not at 8"),
        ({"a": (2, [4, 12])}, "a begins at byte 4 and not at 0"),
        ({"a": (2, [0, 8]), "b": (0, [8, 8]), "c": (5, [8, 28])}, "cut short: c ends at byte 28"),
        ({"a": (2, [0, 12])}, r"a has 12 bytes for \[2\] in F32"),
        ({"a": (-2, [0, -8])}, r"a has the shape \[-2\]"),
        ({"a": (2**62, [0, 2**64])}, "cut short"),
    ],
)
def test_a_lie_in_a_safetensors_file_is_named(tmp_path, entries, complaint):
    header = {
        name: {"dtype": "F32", "shape": [size], "data_offsets": offsets}
        for name, (size, offsets) in entries.items()
    }
    text = json.dumps(header).encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(24))

    with pytest.raises(UnsupportedModelError, match=complaint):
        SafetensorsFile(path)


def test_a_header_as_long_as_the_format_allows_is_not_read_before_it_is_there(tmp_path):
    path: Path = tmp_path / "x.safetensors"
    path.write_bytes((100 << 20).to_bytes(8, "little") + b"{}")

    read_all(lambda: SafetensorsFile(path))
