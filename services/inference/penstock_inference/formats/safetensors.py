"""Read Hugging Face model directories: config.json, tokenizer.json and *.safetensors."""

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from penstock_inference.formats import Floats, ModelConfig, Q8Blocks, UnsupportedModelError, require_tensors

_DTYPES = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}
_HEADER_BYTES_MAX = 100 << 20  # the format's own limit
_TEMPLATE_TOKENS = ("bos_token", "eos_token", "unk_token", "pad_token")


class SafetensorsFile:
    """Map one .safetensors file: a length, a JSON header, then the tensors' bytes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as file:
            header_bytes = int.from_bytes(file.read(8), "little")
            if not 2 <= header_bytes <= _HEADER_BYTES_MAX:
                raise UnsupportedModelError(f"{path} is not a safetensors file")
            header = _parse_object(path, file.read(header_bytes))
        header.pop("__metadata__", None)
        self._header: dict[str, dict[str, Any]] = header
        self._data = np.memmap(path, np.uint8, "r", offset=8 + header_bytes)

    def names(self) -> set[str]:
        """Name the tensors in the file."""
        return set(self._header)

    def tensor(self, name: str) -> Floats:
        """Read a tensor as float32."""
        if name not in self._header:
            raise UnsupportedModelError(f"{self._path} lacks the tensor {name}")
        entry = self._header[name]
        if entry["dtype"] not in _DTYPES:
            raise UnsupportedModelError(f"{self._path}: {name} has type {entry['dtype']}")
        start, end = entry["data_offsets"]
        if not 0 <= start <= end <= len(self._data):
            raise UnsupportedModelError(f"{self._path} is cut short: {name} ends at byte {end}")
        raw = self._data[start:end].view(_DTYPES[entry["dtype"]])
        return _as_float32(raw, bfloat16=entry["dtype"] == "BF16").reshape(entry["shape"])


class HuggingFaceWeights:
    """Implement ModelWeights on a directory that `save_pretrained` wrote for LlamaForCausalLM."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._config = read_object(directory / "config.json")
        self._files: dict[str, SafetensorsFile] = {}
        for path in sorted(directory.glob("*.safetensors")):
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

    def q8_blocks(self, name: str) -> Q8Blocks | None:
        """Say that there are no 8-bit codes: these files hold floats."""
        assert name in self._files
        return None

    def tokenizer_json(self) -> str:
        """Give tokenizer.json as it is."""
        return (self._directory / "tokenizer.json").read_text(encoding="utf-8")

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
        settings: dict[str, Any] = self._config.get("rope_parameters") or self._config.get("rope_scaling") or {}
        return settings

    def _tied_head(self) -> set[str]:
        return {"lm_head.weight"} if self.config.tied_embeddings else set()

    def _eos_ids(self) -> tuple[int, ...]:
        generation = read_object(self._directory / "generation_config.json", missing_ok=True)
        ids = generation.get("eos_token_id", self._config.get("eos_token_id"))
        if ids is None:
            return ()
        return (ids,) if isinstance(ids, int) else tuple(ids)

    def _chat_template(self) -> str | None:
        path = self._directory / "chat_template.jinja"
        if path.exists():
            return path.read_text(encoding="utf-8")
        template = self._tokenizer_config.get("chat_template")
        return template if isinstance(template, str) else None

    def _special_tokens(self) -> dict[str, str]:
        found = {name: self._tokenizer_config.get(name) for name in _TEMPLATE_TOKENS}
        texts = {name: token["content"] if isinstance(token, dict) else token for name, token in found.items()}
        return {name: text for name, text in texts.items() if text is not None}

    @cached_property
    def _tokenizer_config(self) -> dict[str, Any]:
        return read_object(self._directory / "tokenizer_config.json", missing_ok=True)


def read_object(path: Path, *, missing_ok: bool = False) -> dict[str, Any]:
    """Read a JSON object. Raises UnsupportedModelError."""
    if missing_ok and not path.exists():
        return {}
    if not path.exists():
        raise UnsupportedModelError(f"{path} is missing")
    return _parse_object(path, path.read_bytes())


def _parse_object(path: Path, text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise UnsupportedModelError(f"{path} does not hold JSON: {error}") from error
    if not isinstance(value, dict):
        raise UnsupportedModelError(f"{path} is not a JSON object")
    return value


def _as_float32(raw: npt.NDArray[Any], *, bfloat16: bool) -> Floats:
    """Widen; a bfloat16 is the upper half of a float32."""
    if bfloat16:
        return (raw.astype(np.uint32) << 16).view(np.float32)
    return raw.astype(np.float32)
