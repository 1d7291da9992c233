"""Read Hugging Face model directories: config.json, tokenizer.json and model*.safetensors."""

from functools import cached_property
from pathlib import Path
from typing import Any

from penstock_inference.formats import Floats, ModelConfig, UnsupportedModelError
from penstock_inference.formats.json_files import JsonObject, read_object, read_text
from penstock_inference.formats.llama_tensors import HEAD, require_tensors
from penstock_inference.formats.safetensors import SafetensorsFile

_TEMPLATE_TOKENS = ("bos_token", "eos_token", "unk_token", "pad_token")


class HuggingFaceWeights:
    """Implement ModelWeights on a directory that `save_pretrained` wrote for LlamaForCausalLM."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._config = read_object(directory / "config.json")
        self._files: dict[str, SafetensorsFile] = {}
        for path in sorted(directory.glob("model*.safetensors")):
            file = SafetensorsFile(path)
            self._files.update(dict.fromkeys(file.names(), file))
        require_tensors(directory, self.config, set(self._files) - self._tied_head())

    @cached_property
    def config(self) -> ModelConfig:
        """Say the model's shape."""
        self._refuse_unsupported()
        config = self._config
        heads = config["num_attention_heads"]
        return ModelConfig(
            architecture=config["model_type"],
            layers=config["num_hidden_layers"],
            hidden_size=config["hidden_size"],
            heads=heads,
            kv_heads=config.get("num_key_value_heads") or heads,
            head_dim=config.get("head_dim") or config["hidden_size"] // heads,
            feed_forward_size=config["intermediate_size"],
            vocabulary_tokens=config["vocab_size"],
            rope_base=float(self._rope().get("rope_theta", config.get("rope_theta", 10_000.0))),
            rms_epsilon=config["rms_norm_eps"],
            context_tokens=config["max_position_embeddings"],
            tied_embeddings=config.get("tie_word_embeddings", False),
            eos_ids=self._eos_ids(),
            chat_template=self._chat_template(),
            special_tokens=self._special_tokens(),
        )

    def tensor(self, name: str) -> Floats:
        """Read a tensor as float32."""
        if name not in self._files:
            raise UnsupportedModelError(f"{self._directory} lacks the tensor {name}")
        return self._files[name].tensor(name)

    def tokenizer_json(self) -> str:
        """Give tokenizer.json as it is."""
        return read_text(self._directory / "tokenizer.json")

    def _refuse_unsupported(self) -> None:
        config = self._config
        reasons = {
            f"model type {config.get('model_type')!r}": config.get("model_type") != "llama",
            f"activation {config.get('hidden_act')!r}": config.get("hidden_act") != "silu",
            "attention bias": config.get("attention_bias"),
            "feed-forward bias": config.get("mlp_bias"),
            f"rotary scaling {self._rope()}": self._rope().get("rope_type", "default") != "default",
        }
        for reason, is_present in reasons.items():
            if is_present:
                raise UnsupportedModelError(f"{self._directory}: {reason} is not supported")

    def _rope(self) -> dict[str, Any]:
        """Find the rotary settings, under the name of transformers 5 or under the one before."""
        config = self._config
        settings: dict[str, Any] = config.get("rope_parameters") or config.get("rope_scaling") or {}
        return settings

    def _tied_head(self) -> set[str]:
        return {HEAD} if self.config.tied_embeddings else set()

    def _eos_ids(self) -> tuple[int, ...]:
        generation = read_object(self._directory / "generation_config.json", missing_ok=True)
        ids = generation.get("eos_token_id", self._config.get("eos_token_id"))
        if ids is None:
            return ()
        return (ids,) if isinstance(ids, int) else tuple(ids)

    def _chat_template(self) -> str | None:
        path = self._directory / "chat_template.jinja"
        if path.exists():
            return read_text(path)
        template = self._tokenizer_config.get("chat_template")
        return template if isinstance(template, str) else None

    def _special_tokens(self) -> dict[str, str]:
        found = {name: self._tokenizer_config.get(name) for name in _TEMPLATE_TOKENS}
        return {
            name: token["content"] if isinstance(token, dict) else token
            for name, token in found.items()
            if token is not None
        }

    @cached_property
    def _tokenizer_config(self) -> JsonObject:
        return read_object(self._directory / "tokenizer_config.json", missing_ok=True)
