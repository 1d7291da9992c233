"""Write a byte-level BPE vocabulary (GPT-2's scheme) as a tokenizer.json."""

from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

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
    """Build the tokenizer, without post-processor or BOS. Raises UnsupportedModelError for one that cannot be."""
    tokens = vocabulary.tokens
    named = [*vocabulary.control_ids, *vocabulary.user_defined_ids]
    if max(named, default=0) >= len(tokens) or not all(" " in merge for merge in vocabulary.merges):
        raise UnsupportedModelError("the vocabulary is damaged: a token or a part of a merge is missing")
    ids = {token: i for i, token in enumerate(tokens)}
    merges = [(left, right) for left, right in (merge.split(" ", 1) for merge in vocabulary.merges)]
    try:
        tokenizer = Tokenizer(models.BPE(vocab=ids, merges=merges, fuse_unk=False, byte_fallback=False))
    except Exception as error:  # the library raises nothing narrower
        raise UnsupportedModelError(f"the vocabulary is damaged: {error}") from error
    words = _WORDS.get(vocabulary.pre_tokenizer)
    if words is None:
        raise UnsupportedModelError(f"the pre-tokenizer {vocabulary.pre_tokenizer!r} is not supported")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(words)
    if vocabulary.pre_tokenizer in _COMPOSED:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.decoder = decoders.ByteLevel()
    control = [AddedToken(tokens[i], special=True, normalized=False) for i in vocabulary.control_ids]
    tokenizer.add_special_tokens(control)
    tokenizer.add_tokens([AddedToken(tokens[i], normalized=False) for i in vocabulary.user_defined_ids])
    return str(tokenizer.to_str())


def _words_of_gpt4(digits: str) -> list[pre_tokenizers.PreTokenizer]:
    """Cut as GPT-4 does: contractions in any case, words with a sign before them, so many digits at once."""
    rule = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|" + digits + r"| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    cut = pre_tokenizers.Split(Regex(rule), "isolated")
    return [cut, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]


_WORDS_OF_GPT2 = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
_WORDS: dict[str, list[pre_tokenizers.PreTokenizer]] = {
    "gpt-2": [_WORDS_OF_GPT2],
    "smollm": [pre_tokenizers.Digits(individual_digits=True), _WORDS_OF_GPT2],
    "llama-bpe": _words_of_gpt4(r"\p{N}{1,3}"),
    "qwen2": _words_of_gpt4(r"\p{N}"),
}
_COMPOSED = ("qwen2",)  # these read letters and their accents as one character
