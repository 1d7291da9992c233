"""Write a SentencePiece vocabulary (BPE by scores, as Llama 2 and Mistral have it) as a tokenizer.json."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers

from penstock_inference.formats import UnsupportedModelError

SPACE = "\u2581"  # what pieces have in the place of one
BYTE_PIECES = tuple(f"<0x{byte:02X}>" for byte in range(256))


@dataclass(frozen=True, slots=True)
class SentencePieceVocabulary:
    """What a file says about its tokenizer."""

    tokens: Sequence[str]  # pieces, by id
    scores: Sequence[float]  # of each: the piece with the highest is merged first
    normal_ids: Sequence[int]  # those that text is made of
    special_ids: Sequence[int]  # control tokens, and the one for what is unknown
    user_defined_ids: Sequence[int]
    has_space_prefix: bool  # a text begins as if a space were before it


def sentencepiece_tokenizer_json(vocabulary: SentencePieceVocabulary) -> str:
    """Build the tokenizer, without BOS. Raises UnsupportedModelError for one that cannot be.

    SentencePiece merges neighbours whose piece has the highest score (Kudo and Richardson, EMNLP 2018); BPE those whose
    merge has the lowest rank. So each way to make a piece of two is a merge, ranked by the piece's score.
    """
    tokens = vocabulary.tokens
    ids = {token: place for place, token in enumerate(tokens)}
    whole = len(ids) == len(tokens) == len(vocabulary.scores) and all(map(math.isfinite, vocabulary.scores))
    if not whole:
        raise UnsupportedModelError("the vocabulary is damaged: pieces occur twice, or have no scores")
    if not ids.keys() >= set(BYTE_PIECES):
        raise UnsupportedModelError(
            "a SentencePiece vocabulary without a piece for each byte is not supported"
        )
    model = models.BPE(vocab=ids, merges=_merges(vocabulary), fuse_unk=True, byte_fallback=True)
    tokenizer = Tokenizer(model)
    spaces = [normalizers.Prepend(SPACE)] if vocabulary.has_space_prefix else []
    tokenizer.normalizer = normalizers.Sequence([*spaces, normalizers.Replace(" ", SPACE)])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    special = [AddedToken(tokens[i], special=True, normalized=False) for i in vocabulary.special_ids]
    tokenizer.add_special_tokens(special)
    tokenizer.add_tokens([AddedToken(tokens[i], normalized=False) for i in vocabulary.user_defined_ids])
    return str(tokenizer.to_str())


def _merges(vocabulary: SentencePieceVocabulary) -> list[tuple[str, str]]:
    """Give every way to make a piece of two others, the best first; of one piece's, the longest left part.

    SentencePiece takes the leftmost of equals, and to the left text has been merged already.
    """
    pieces = {vocabulary.tokens[i]: vocabulary.scores[i] for i in vocabulary.normal_ids}
    merges = [
        (score, left, right) for piece, score in pieces.items() for left, right in _halves(piece, pieces)
    ]
    merges.sort(key=lambda merge: (-merge[0], -len(merge[1])))
    return [(left, right) for _, left, right in merges]


def _halves(piece: str, pieces: dict[str, float]) -> Iterator[tuple[str, str]]:
    for end in range(1, len(piece)):
        left, right = piece[:end], piece[end:]
        if left in pieces and right in pieces:
            yield left, right
