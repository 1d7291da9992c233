from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from penstock_inference.engines import Engine
from penstock_inference.engines.loading import load_engine
from penstock_inference.formats.byte_level_bpe import ByteLevelVocabulary, byte_level_tokenizer_json

VOCABULARY_TOKENS = 320


def _save_decoder(directory: Path, architecture: str = "Llama", *, dtype: str = "float32", **changes: object):
    """Save a small decoder with random weights, as transformers saves models, and give it."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    shape = {
        "vocab_size": VOCABULARY_TOKENS,
        "hidden_size": 96,
        "intermediate_size": 160,
        "num_hidden_layers": 3,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "initializer_range": 0.1,
        "eos_token_id": 0,
        "bos_token_id": None,
        "tie_word_embeddings": False,
    }
    torch.manual_seed(20261121)
    config = getattr(transformers, f"{architecture}Config")(**(shape | changes))
    model_class = getattr(transformers, f"{architecture}ForCausalLM")
    saved = model_class(config).to(getattr(torch, dtype))
    for name, values in saved.named_parameters():
        if name.endswith(("bias", "norm.weight")):  # else they are all 0 or 1, and could be left out unseen
            torch.nn.init.normal_(values, mean=float(name.endswith("weight")), std=0.2)
    saved.save_pretrained(directory, max_shard_size="300KB")
    tokens = ["<|end|>", *(chr(0x100 + place) for place in range(68))]
    vocabulary = ByteLevelVocabulary(tokens, [], control_ids=[0], user_defined_ids=[], pre_tokenizer="gpt-2")
    (directory / "tokenizer.json").write_text(byte_level_tokenizer_json(vocabulary), encoding="utf-8")
    model = model_class(config).eval()  # a fresh one: half floats round rotary frequencies, too
    model.load_state_dict(saved.float().state_dict())
    return model


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory):
    """A small random Llama: its directory, and the same model in transformers."""
    directory = tmp_path_factory.mktemp("llama")
    return directory, _save_decoder(directory)


@pytest.fixture(scope="session")
def save_decoder():
    """Save a small random decoder of another shape or architecture."""
    return _save_decoder


@pytest.fixture(scope="session")
def open_llama(llama, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Engine]:
    """Open an engine on the small Llama."""
    cache_dir = tmp_path_factory.mktemp("models")

    def open_engine(kind: str = "int8", slots_max: int = 6, context_tokens_max: int = 64) -> Engine:
        return load_engine(
            str(llama[0]),
            kind=kind,
            slots_max=slots_max,
            context_tokens_max=context_tokens_max,
            prefill_chunk_tokens_max=32,
            threads=2,
            cache_dir=cache_dir,
        ).engine

    return open_engine


@pytest.fixture
def engine(open_llama: Callable[..., Engine]) -> Iterator[Engine]:
    """A fresh engine of the kind that is served, with 6 slots of 64 tokens."""
    engine = open_llama()
    yield engine
    engine.close()
