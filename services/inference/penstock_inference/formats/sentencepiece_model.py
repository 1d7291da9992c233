"""Read SentencePiece's own files, `tokenizer.model`: a protobuf message of pieces and of how texts come to them.

The fields and their numbers are those of sentencepiece_model.proto (Apache 2.0); only the few that are needed are read.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from penstock_inference.formats import UnsupportedModelError
from penstock_inference.formats.sentencepiece_bpe import SentencePieceVocabulary

_PIECES, _TRAINER, _NORMALIZER = 1, 2, 3  # fields of the whole
_TEXT, _SCORE, _KIND = 1, 2, 3  # of a piece
_MODEL_TYPE = 3  # of the trainer
_CHARACTER_MAP, _SPACE_PREFIX, _TRIMS_SPACES = 2, 3, 4  # of the normalizer
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED = 1, 2, 3, 4  # kinds of pieces
_MODEL_TYPES = {1: "unigram", 2: "BPE", 3: "word", 4: "char"}
_BPE = 2

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # how a value is written
_VARINT_BYTES_MAX = 10
_FLOAT = struct.Struct("<f")

Values = Mapping[int, Sequence[int | bytes]]  # by field


@dataclass(frozen=True, slots=True)
class AddedToken:
    """A token that was added to the vocabulary, or a piece that texts are cut at."""

    text: str
    is_special: bool


def read_sentencepiece(path: Path, added: Mapping[int, AddedToken]) -> SentencePieceVocabulary:
    """Read a vocabulary, with the tokens that were added to it, by id.

    Raises UnsupportedModelError for a damaged file, and for what is not cut by merges of what is written.
    """
    model = _read_message(path, path.read_bytes())
    normalizer = _read_message(path, _bytes(path, model, _NORMALIZER))
    _refuse_unsupported(path, _read_message(path, _bytes(path, model, _TRAINER)), normalizer)
    pieces = [_read_message(path, piece) for piece in model.get(_PIECES, ()) if isinstance(piece, bytes)]
    tokens = [_text(path, piece) for piece in pieces]
    for token in sorted(added):
        if token == len(tokens):
            tokens.append(added[token].text)
        elif token > len(tokens) or tokens[token] != added[token].text:
            raise UnsupportedModelError(f"{path} has another token {token} than {added[token].text!r}")
    kinds = [_number(piece, _KIND, _NORMAL) for piece in pieces]
    special = {token for token, one in added.items() if one.is_special}
    special |= {token for token, kind in enumerate(kinds) if kind in (_UNKNOWN, _CONTROL)}
    user_defined = {token for token, kind in enumerate(kinds) if kind == _USER_DEFINED} | added.keys()
    return SentencePieceVocabulary(
        tokens=tokens,
        scores=[_score(path, piece) for piece in pieces] + [0.0] * (len(tokens) - len(pieces)),
        normal_ids=[token for token, kind in enumerate(kinds) if kind == _NORMAL and token not in added],
        special_ids=sorted(special),
        user_defined_ids=sorted(user_defined - special),
        has_space_prefix=bool(_number(normalizer, _SPACE_PREFIX, 1)),
    )


def _refuse_unsupported(path: Path, trainer: Values, normalizer: Values) -> None:
    kind = _number(trainer, _MODEL_TYPE, 1)
    reasons = {
        f"SentencePiece of type {_MODEL_TYPES.get(kind, kind)}": kind != _BPE,
        "replacing characters before a text is cut": _bytes(path, normalizer, _CHARACTER_MAP),
        "removing spaces before a text is cut": _number(normalizer, _TRIMS_SPACES, 1),
    }
    for reason, is_present in reasons.items():
        if is_present:
            raise UnsupportedModelError(f"{path}: {reason} is not supported")


def _text(path: Path, piece: Values) -> str:
    try:
        return _bytes(path, piece, _TEXT).decode()
    except UnicodeDecodeError as error:
        raise _damaged(path) from error


def _score(path: Path, piece: Values) -> float:
    written = _bytes(path, piece, _SCORE) or bytes(_FLOAT.size)
    if len(written) != _FLOAT.size:
        raise _damaged(path)
    (score,) = _FLOAT.unpack(written)
    return float(score)


def _number(values: Values, field: int, default: int) -> int:
    value = values.get(field, [default])[-1]
    return value if isinstance(value, int) else default


def _bytes(path: Path, values: Values, field: int) -> bytes:
    value = values.get(field, [b""])[-1]
    if not isinstance(value, bytes):
        raise _damaged(path)
    return value


def _read_message(path: Path, message: bytes) -> Values:
    """Read the fields of a message: whole numbers, and the bytes of everything else."""
    values: dict[int, list[int | bytes]] = {}
    place = 0
    while place < len(message):
        tag, place = _read_varint(path, message, place)
        field, written = divmod(tag, 8)
        value: int | bytes
        if written == _VARINT:
            value, place = _read_varint(path, message, place)
        else:
            length = {_FIXED32: 4, _FIXED64: 8}.get(written)
            if written == _BYTES:
                length, place = _read_varint(path, message, place)
            if length is None or place + length > len(message):
                raise _damaged(path)
            value, place = message[place : place + length], place + length
        values.setdefault(field, []).append(value)
    return values


def _read_varint(path: Path, message: bytes, start: int) -> tuple[int, int]:
    """Give a number of seven bits a byte, the lowest first, and the place behind it."""
    value = 0
    for place in range(start, min(start + _VARINT_BYTES_MAX, len(message))):
        value |= (message[place] & 0x7F) << 7 * (place - start)
        if message[place] < 0x80:  # noqa: PLR2004 - the bit that says that there is more
            return value, place + 1
    raise _damaged(path)


def _damaged(path: Path) -> UnsupportedModelError:
    return UnsupportedModelError(f"{path} is not a SentencePiece model, or is damaged")
