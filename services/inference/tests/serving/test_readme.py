"""The README says what the code says."""

import json
import re
from pathlib import Path

import pytest
from penstock_inference.settings import AdapterSettings, EncoderSettings, InferenceSettings, ModelSettings
from servicekit.settings import ServiceSettings

README = (Path(__file__).parents[2] / "README.md").read_text()


def test_the_settings_table_is_that_of_the_code() -> None:
    rows = dict(re.findall(r"^\| `(PENSTOCK_INFERENCE_\w+)` \| (\S+)", README, re.MULTILINE))
    own = set(InferenceSettings.model_fields) - set(ServiceSettings.model_fields) | {"grpc_port"}
    assert set(rows) == {InferenceSettings.variable(name) for name in own}
    settings = InferenceSettings()
    for name in own - {"models", "adapters", "adapters_dir", "encoders", "cache_dir"}:
        assert json.loads(rows[InferenceSettings.variable(name)]) == getattr(settings, name)


def test_the_model_table_is_that_of_the_code() -> None:
    rows = dict(re.findall(r"^\| `([a-z_]+)` \| `?([^|`]*?)`? \|", README, re.MULTILINE))
    model = ModelSettings(id="x", reference="y")
    for name in set(ModelSettings.model_fields) - {"id", "reference"}:
        assert rows[name] in {str(getattr(model, name)), json.dumps(getattr(model, name))}
    assert set(EncoderSettings.model_fields) == {"id", "reference", "kind", "at_start"}
    assert set(AdapterSettings.model_fields) == {"id", "base", "reference", "at_start"}


def test_the_example_for_a_file_of_ones_own_is_a_setting(monkeypatch) -> None:
    example = re.search(r"PENSTOCK_INFERENCE_MODELS='(.*)'", README)
    assert example is not None
    monkeypatch.setenv("PENSTOCK_INFERENCE_MODELS", example[1])
    (model,) = InferenceSettings().models
    assert (model.id, model.reference, model.slots) == ("mine", "/models/mine.gguf", 8)


def test_two_models_of_one_id_are_refused(monkeypatch, capsys) -> None:
    monkeypatch.setenv("PENSTOCK_INFERENCE_MODELS", '[{"id": "all-minilm-l6-v2", "reference": "x.gguf"}]')
    with pytest.raises(SystemExit, match="2"):
        InferenceSettings.load()
    assert "same id" in capsys.readouterr().err
