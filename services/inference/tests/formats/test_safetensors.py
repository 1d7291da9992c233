import json
from pathlib import Path

import numpy as np
import pytest
from penstock_inference.formats import UnsupportedModelError
from penstock_inference.formats.safetensors import SafetensorsFile
from safetensors.numpy import save_file


def write_file(path: Path, header: dict[str, object], data: bytes) -> Path:
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def test_a_file_that_the_library_wrote_is_read(tmp_path):
    floats = np.arange(6, dtype=np.float32).reshape(2, 3)
    save_file(
        {"a": floats, "b": floats.astype(np.float16)}, tmp_path / "x.safetensors", metadata={"by": "us"}
    )

    file = SafetensorsFile(tmp_path / "x.safetensors")

    assert file.shapes() == {"a": (2, 3), "b": (2, 3)}
    assert np.array_equal(file.tensor("a"), floats)
    assert np.array_equal(file.tensor("b"), floats)
    assert file.tensor("b").dtype == np.float32


def test_bfloat16_is_the_upper_half_of_a_float32(tmp_path):
    header = {"a": {"dtype": "BF16", "shape": [3], "data_offsets": [0, 6]}}
    path = write_file(tmp_path / "x.safetensors", header, bytes.fromhex("803f 00c0 803e".replace(" ", "")))

    assert SafetensorsFile(path).tensor("a").tolist() == [1.0, -2.0, 0.25]


def test_other_types_are_refused_by_name(tmp_path):
    save_file({"a": np.zeros(2, np.int64)}, tmp_path / "x.safetensors")

    with pytest.raises(UnsupportedModelError, match="a has type I64"):
        SafetensorsFile(tmp_path / "x.safetensors").tensor("a")


def test_a_missing_tensor_is_named(tmp_path):
    save_file({"a": np.zeros(2, np.float32)}, tmp_path / "x.safetensors")

    with pytest.raises(UnsupportedModelError, match="lacks the tensor b"):
        SafetensorsFile(tmp_path / "x.safetensors").tensor("b")


def test_a_file_that_is_cut_short_is_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    save_file({"a": np.zeros(100, np.float32)}, path)
    path.write_bytes(path.read_bytes()[:-4])

    with pytest.raises(UnsupportedModelError, match="is cut short"):
        SafetensorsFile(path).tensor("a")


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 64, b"\x10" + b"\0" * 7 + b"no JSON at all.."])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)

    with pytest.raises(UnsupportedModelError):
        SafetensorsFile(path)
