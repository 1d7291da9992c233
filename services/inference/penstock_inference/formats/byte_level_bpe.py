"""Write a byte-level BPE vocabulary (GPT-2's scheme) as a tokenizer.json."""

from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from penstock_inference.formats import UnsupportedModelError


@dataclass(frozen=True, slots=True)
class ByteLevelVocabulary:
    """What a GGUF file says about its tokenizer."""

    tokens: Sequence[str]  # in GPT-2's printable alphabet, by id
    merges: Sequence[str]  # "left right", best first
    control_ids: Sequence[int]
    user_defined_ids: Sequence[int]
    pre_tokenizer: str  # llama.cpp's name for the rule that cuts text into words


def byte_level_tokenizer_json(vocabulary: ByteLevelVocabulary) -> str:
    """Build the tokenizer, without normaliser, post-processor or BOS."""
    tokens = vocabulary.tokens
    ids = {token: i for i, token in enumerate(tokens)}
    merges = [(left, right) for left, right in (merge.split(" ", 1) for merge in vocabulary.merges)]
    tokenizer = Tokenizer(models.BPE(vocab=ids, merges=merges, fuse_unk=False, byte_fallback=False))
    tokenizer.pre_tokenizer = _pre_tokenizer(vocabulary.pre_tokenizer)
    tokenizer.decoder = decoders.ByteLevel()
    control = [AddedToken(tokens[i], special=True, normalized=False) for i in vocabulary.control_ids]
    tokenizer.add_special_tokens(control)
    tokenizer.add_tokens([AddedToken(tokens[i], normalized=False) for i in vocabulary.user_defined_ids])
    return str(tokenizer.to_str())


def _pre_tokenizer(name: str) -> pre_tokenizers.PreTokenizer:
    words = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    if name == "gpt-2":
        return words
    if name == "smollm":
        return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), words])
    raise UnsupportedModelError(f"the pre-tokenizer {name!r} is not supported")
