"""Adapters as PEFT writes them, and what is refused of them."""

import json
from pathlib import Path

import numpy as np
import pytest
from penstock_inference.formats import UnsupportedModelError
from penstock_inference.formats.lora import read_lora
from safetensors.numpy import load_file, save_file
from small_decoder import ALPHA, CONFIG, RANK, write_adapter

QUERY = "base_model.model.model.layers.0.self_attn.q_proj"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write_adapter(tmp_path / "adapter", seed=1)


def change_settings(directory: Path, **changes: object) -> None:
    path = directory / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_tensor(directory: Path, name: str, values: np.ndarray | None) -> None:
    path = directory / "adapter_model.safetensors"
    tensors = load_file(path)
    tensors.pop(name, None)
    save_file(tensors if values is None else tensors | {name: values}, path)


def test_an_adapter_s_products_are_scaled_by_alpha_over_rank(directory: Path) -> None:
    stored = load_file(directory / "adapter_model.safetensors")
    pair = read_lora(directory, CONFIG).pairs[0, "query"]
    assert np.array_equal(pair.down, stored[f"{QUERY}.lora_A.weight"])
    assert np.allclose(pair.up, stored[f"{QUERY}.lora_B.weight"] * ALPHA / RANK)
    change_settings(directory, use_rslora=True)
    root = read_lora(directory, CONFIG).pairs[0, "query"]
    assert np.allclose(root.up, stored[f"{QUERY}.lora_B.weight"] * ALPHA / RANK**0.5)


def test_an_adapter_may_leave_parts_as_they_are(directory: Path) -> None:
    for side in "AB":
        change_tensor(directory, f"{QUERY}.lora_{side}.weight", None)
    assert (0, "query") not in read_lora(directory, CONFIG).pairs
    assert len(read_lora(directory, CONFIG).pairs) == 2 * 7 - 1


def test_other_weights_have_another_fingerprint(directory: Path, tmp_path: Path) -> None:
    other = write_adapter(tmp_path / "other", seed=2)
    assert read_lora(directory, CONFIG).fingerprint != read_lora(other, CONFIG).fingerprint


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"peft_type": "IA3"}, "adapter type 'IA3'"),
        ({"r": 0}, "rank 0 is not 1 to 256"),
        ({"r": 257}, "rank 257 is not 1 to 256"),
        ({"r": "4"}, "not a whole number"),
        ({"r": 8}, r"has the shape \(4, 64\), not \(8, 64\)"),
        ({"lora_alpha": None}, "lora_alpha"),
        ({"lora_alpha": float("nan")}, "not a number"),
        ({"use_dora": True}, "DoRA"),
        ({"bias": "all"}, "a bias"),
        ({"fan_in_fan_out": True}, "a transposed matrix"),
        ({"alpha_pattern": {"q_proj": 4}}, "a scale of its own"),
        ({"modules_to_save": ["lm_head"]}, "a whole module"),
    ],
)
def test_settings_that_we_cannot_follow_are_refused(directory: Path, changes: dict, complaint: str) -> None:
    change_settings(directory, **changes)
    with pytest.raises(UnsupportedModelError, match=complaint):
        read_lora(directory, CONFIG)


@pytest.mark.parametrize(
    ("name", "values", "complaint"),
    [
        (f"{QUERY}.lora_B.weight", None, "has the shape None"),
        (f"{QUERY}.lora_A.weight", np.zeros((4, 32), np.float32), r"has the shape \(4, 32\), not \(4, 64\)"),
        (f"{QUERY}.lora_A.weight", np.full((4, 64), np.inf, np.float32), "no finite number"),
        ("base_model.model.lm_head.lora_A.weight", np.zeros((4, 64), np.float32), "does not have: .*lm_head"),
        (
            QUERY.replace(".0.", ".2.") + ".lora_A.weight",
            np.zeros((4, 64), np.float32),
            "does not have: .*layers.2",
        ),
    ],
)
def test_tensors_that_do_not_fit_the_model_are_refused(
    directory: Path, name: str, values: np.ndarray | None, complaint: str
) -> None:
    change_tensor(directory, name, values)
    with pytest.raises(UnsupportedModelError, match=complaint):
        read_lora(directory, CONFIG)


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_an_adapter_whose_file_is_missing_or_cut_is_refused(directory: Path, name: str) -> None:
    path = directory / name
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UnsupportedModelError, match=f"{name}.*(JSON|cut short)"):
        read_lora(directory, CONFIG)
    path.unlink()
    with pytest.raises(UnsupportedModelError, match=f"{name} is missing"):
        read_lora(directory, CONFIG)


def test_an_adapter_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match="there is no adapter at"):
        read_lora(tmp_path / "lost", CONFIG)
