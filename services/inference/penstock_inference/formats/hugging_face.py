"""Read Hugging Face model directories: config.json, tokenizer.json or tokenizer.model, and model*.safetensors."""

from functools import cached_property
from pathlib import Path

from penstock_inference.formats import Floats, ModelConfig, UnsupportedModelError
from penstock_inference.formats.fields import Fields, read_fields, read_text
from penstock_inference.formats.llama_tensors import HEAD, find_biases, layer_head_norms, require_tensors
from penstock_inference.formats.rotary_scaling import read_rotary
from penstock_inference.formats.safetensors import SafetensorsFile
from penstock_inference.formats.sentencepiece_bpe import sentencepiece_tokenizer_json
from penstock_inference.formats.sentencepiece_model import AddedToken, read_sentencepiece

_ARCHITECTURES = ("llama", "mistral", "qwen2", "qwen3")
_TEMPLATE_TOKENS = ("bos_token", "eos_token", "unk_token", "pad_token")
_QWEN_FULL_LAYERS = 28  # what transformers assumes where a configuration does not say


class HuggingFaceWeights:
    """Implement ModelWeights on a directory that `save_pretrained` wrote for Llama, Mistral, Qwen2 or Qwen3."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._fields = read_fields(directory / "config.json")
        self._files: dict[str, SafetensorsFile] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._refuse_unsupported()
        for path in sorted(directory.glob("model*.safetensors")):
            file = SafetensorsFile(path)
            for name, shape in file.shapes().items():
                if name in self._files:
                    raise UnsupportedModelError(f"{directory} has the tensor {name} in two files")
                self._files[name], self._shapes[name] = file, shape
        if self._fields.get("tie_word_embeddings", False):
            self._shapes.pop(HEAD, None)
        require_tensors(directory, self.config, self._shapes)

    @cached_property
    def config(self) -> ModelConfig:
        """Say the model's shape."""
        fields = self._fields
        hidden_size, heads = fields.integer("hidden_size"), max(fields.integer("num_attention_heads"), 1)
        head_dim = fields.integer("head_dim", hidden_size // heads)
        rope = self._rope()
        return ModelConfig(
            architecture=fields.text("model_type"),
            layers=fields.integer("num_hidden_layers"),
            hidden_size=hidden_size,
            heads=heads,
            kv_heads=fields.integer("num_key_value_heads", heads),
            head_dim=head_dim,
            feed_forward_size=fields.integer("intermediate_size"),
            vocabulary_tokens=fields.integer("vocab_size"),
            rotary=read_rotary(rope, head_dim, rope.number("rope_theta")),
            rms_epsilon=fields.number("rms_norm_eps"),
            context_tokens=fields.integer("max_position_embeddings"),
            tied_embeddings=bool(fields.get("tie_word_embeddings", False)),
            eos_ids=self._eos_ids(),
            chat_template=self._chat_template(),
            special_tokens=self._special_tokens(),
            biases=find_biases(self._shapes),
            has_head_norms=layer_head_norms(0)["query_norm"] in self._shapes,
            attention_windows=self._attention_windows(),
        )

    def tensor(self, name: str) -> Floats:
        """Read a tensor as float32."""
        if name not in self._files:
            raise UnsupportedModelError(f"{self._directory} lacks the tensor {name}")
        return self._files[name].tensor(name)

    def tokenizer_json(self) -> str:
        """Give tokenizer.json as it is, or make it of SentencePiece's file."""
        path, pieces = self._directory / "tokenizer.json", self._directory / "tokenizer.model"
        if path.exists() or not pieces.exists():
            return read_text(path)
        if self._tokenizer_config.get("add_bos_token", True) and "bos_token" not in (
            self._chat_template() or ""
        ):
            raise UnsupportedModelError(f"{pieces}: a BOS token before each text is not supported")
        return sentencepiece_tokenizer_json(read_sentencepiece(pieces, self._added_tokens()))

    def _added_tokens(self) -> dict[int, AddedToken]:
        """Find the tokens beside SentencePiece's, where transformers 5 puts them and where older versions did."""
        named = read_fields(self._directory / "added_tokens.json", missing_ok=True)
        added = {named.integer(text): AddedToken(text, is_special=False) for text in named}
        decoder = self._tokenizer_config.fields_of("added_tokens_decoder")
        for token in decoder:
            if not token.isdecimal():
                raise UnsupportedModelError(f"{decoder.source}: {token!r} is no token")
            fields = decoder.fields_of(token)
            added[int(token)] = AddedToken(fields.text("content"), is_special=bool(fields.get("special")))
        return added

    def _refuse_unsupported(self) -> None:
        fields = self._fields
        quantization = fields.fields_of("quantization_config").get("quant_method")
        reasons = {
            f"model type {fields.get('model_type')!r}": fields.get("model_type") not in _ARCHITECTURES,
            f"activation {fields.get('hidden_act')!r}": fields.get("hidden_act") != "silu",
            f"quantisation by {quantization!r}": quantization is not None,
        }
        for reason, is_present in reasons.items():
            if is_present:
                raise UnsupportedModelError(f"{self._directory}: {reason} is not supported")

    def _rope(self) -> Fields:
        """Find the rotary settings, under the name of transformers 5 or under the one before."""
        fields = self._fields
        settings = fields.fields_of("rope_parameters") or fields.fields_of("rope_scaling")
        settings.setdefault("rope_theta", fields.number("rope_theta", 10_000.0))
        if "original_max_position_embeddings" in fields:
            settings.setdefault(
                "original_max_position_embeddings", fields["original_max_position_embeddings"]
            )
        return settings

    def _attention_windows(self) -> tuple[int, ...]:
        fields, layers = self._fields, self._fields.integer("num_hidden_layers")
        if layers > len(self._shapes):
            return ()  # it is a lie, which is refused with its number
        window = fields.integer("sliding_window", 0)
        is_qwen = fields.text("model_type").startswith("qwen")
        if (
            not window
            or fields["model_type"] == "llama"
            or (is_qwen and not fields.get("use_sliding_window"))
        ):
            return ()
        if fields.get("layer_types") is not None:
            kinds = fields.items_of("layer_types", str)
        else:
            full = min(fields.integer("max_window_layers", _QWEN_FULL_LAYERS), layers) if is_qwen else 0
            kinds = ["full_attention"] * full + ["sliding_attention"] * (layers - full)
        windows = {"full_attention": 0, "sliding_attention": window}
        if len(kinds) != layers or window < 0 or not set(kinds) <= set(windows):
            raise UnsupportedModelError(
                f"{self._directory}: attention of types {set(kinds)} is not supported"
            )
        return tuple(windows[kind] for kind in kinds)

    def _eos_ids(self) -> tuple[int, ...]:
        generation = read_fields(self._directory / "generation_config.json", missing_ok=True)
        ids = generation.get("eos_token_id", self._fields.get("eos_token_id"))
        if ids is None:
            return ()
        fields = Fields(self._directory, {"eos_token_id": ids if isinstance(ids, list) else [ids]})
        return tuple(fields.items_of("eos_token_id", int))

    def _chat_template(self) -> str | None:
        path = self._directory / "chat_template.jinja"
        if path.exists():
            return read_text(path)
        template = self._tokenizer_config.get("chat_template")
        return template if isinstance(template, str) else None

    def _special_tokens(self) -> dict[str, str]:
        tokens = self._tokenizer_config
        named = {name: tokens[name] for name in _TEMPLATE_TOKENS if tokens.get(name) is not None}
        return {
            name: tokens.fields_of(name).text("content") if isinstance(token, dict) else str(token)
            for name, token in named.items()
        }

    @cached_property
    def _tokenizer_config(self) -> Fields:
        return read_fields(self._directory / "tokenizer_config.json", missing_ok=True)
