"""Read sentence encoders: directories that sentence-transformers wrote around a BERT."""

from pathlib import Path

from penstock_inference.formats import Floats, SentenceEncoderConfig, UnsupportedModelError
from penstock_inference.formats.fields import Fields, read_fields, read_text
from penstock_inference.formats.safetensors import SafetensorsFile


class SentenceEncoderWeights:
    """The tensors of a BERT with mean pooling, by Hugging Face's names."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        config = read_fields(directory / "config.json")
        self._refuse_unsupported(config)
        self.config = SentenceEncoderConfig(
            layers=config["num_hidden_layers"],
            hidden_size=config["hidden_size"],
            heads=config["num_attention_heads"],
            norm_epsilon=config["layer_norm_eps"],
            input_tokens_max=read_fields(directory / "sentence_bert_config.json")["max_seq_length"],
        )
        self._file = SafetensorsFile(directory / "model.safetensors")

    def tensor(self, name: str) -> Floats:
        """Read a tensor as float32. Raises UnsupportedModelError if it is missing."""
        return self._file.tensor(name)

    def tokenizer_json(self) -> str:
        """Give tokenizer.json as it is."""
        return read_text(self._directory / "tokenizer.json")

    def _refuse_unsupported(self, config: Fields) -> None:
        pooling = read_fields(self._directory / "1_Pooling" / "config.json")
        modes = {name for name, value in pooling.items() if name.startswith("pooling_mode_") and value}
        reasons = {
            f"model type {config.get('model_type')!r}": config.get("model_type") != "bert",
            f"activation {config.get('hidden_act')!r}": config.get("hidden_act") != "gelu",
            f"pooling by {sorted(modes)}": modes != {"pooling_mode_mean_tokens"},
        }
        for reason, is_present in reasons.items():
            if is_present:
                raise UnsupportedModelError(f"{self._directory}: {reason} is not supported")
