"""Words of a view, and numbers for what they look like: all of a text at once, in arrays.

A token is a run of letters, a run of digits, or one other character that is no space. Rows are hashes of what a token
and its neighbours look like; the weights of the tagger stand in them. Everything about a token follows from at most
`REACH_CHARACTERS_MAX` characters before it and from the token after it, so a text may be read in parts.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

ROWS_BITS = 16
REACH_CHARACTERS_MAX = 160
# Tokens further apart are no neighbours.
NEIGHBOUR_CHARACTERS_MAX = 24
# Of longer tokens only that they are long is known.
_TOKEN_CHARACTERS_MAX = 40
_WINDOW = 8  # characters at each end of a token that its hash is made of
_PREFIX_MASK = np.uint64((1 << 24) - 1)
_SHAPE_SHIFT = np.uint64(4)

_SPACE, _OTHER, _DIGIT, _LOWER, _UPPER = range(5)
_PRIME = np.uint64(0x9E3779B97F4A7C15)
_OTHER_PRIME = np.uint64(0xD6E8FEB86659FD93)
_SALT = np.uint64(0x632BE59BD9B4E019)
_ROW_SHIFT = np.uint64(64 - ROWS_BITS)

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Hashes = npt.NDArray[np.uint64]


def _classes(lower: int) -> bytes:
    table = bytearray([_OTHER] * 256)
    for members, of in (
        (b" \t\r\x0b\x0c", _SPACE),
        (b"0123456789", _DIGIT),
        (b"abcdefghijklmnopqrstuvwxyz\xaa", _LOWER),
        (b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", lower),
    ):
        for member in members:
            table[member] = of
    return bytes(table)


_CLASSES = _classes(_UPPER)
_KINDS = _classes(_LOWER)
# By how many characters of a window are looked at.
_SEEN = np.arange(_WINDOW + 1)
_MASKS = np.array([(1 << 8 * length) - 1 for length in range(_WINDOW + 1)], np.uint64)
_UNSHIFTS = (8 * (_WINDOW - _SEEN)).astype(np.uint64)
_SUFFIX_SHIFTS = (8 * (_WINDOW - np.minimum(_SEEN, 3))).astype(np.uint64)
# By a token's first and its last character: their sum, and how many are looked at, is its shape. A sign is its own.
_SIGN_SHAPE = 1 << 20
_FIRST_SHAPES = np.array(
    [_SIGN_SHAPE + byte - 1 if of == _OTHER else 128 * of for byte, of in enumerate(_CLASSES)], np.uint64
)
_LAST_SHAPES = np.array([0 if of == _OTHER else 16 * of for of in _CLASSES], np.uint64)
_LOWER_SHAPE = np.uint64((128 + 16) * _LOWER >> 4)

# What is looked at: word, shape, suffix, prefix of the token; less of the one before it, two before, and after; and
# the first of the pairs: each of the last four is mixed with the shape.
_LOOKED_AT = np.array([0, 4, 8, 12, 1, 5, 9, 2, 6, 3, 7, 11, 1, 5, 2, 3])
FEATURES = len(_LOOKED_AT)
_PAIRS = 4
_SALTS = (np.arange(1, FEATURES + 1, dtype=np.uint64) * _SALT)[:, None]


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of a view: where they start and end, and what they look like.

    Args:
        starts: [tokens] in the view.
        ends: [tokens], exclusive.
        looks: [4, tokens + 1], hashes of word, shape, suffix and prefix, and zeros for a token that is not there.
        is_lower: [tokens], of small letters only at both ends.
        is_long: [tokens], longer than a name may be.
        is_sign: [tokens], neither letters nor digits.
        asks: [tokens], whether the token after it matters: after digits and words with a big letter it does.
    """

    starts: Ints
    ends: Ints
    looks: Hashes
    is_lower: Flags
    is_long: Flags
    is_sign: Flags
    asks: Flags

    def __len__(self) -> int:
        return len(self.starts)

    def word_rows(self) -> Ints:
        """Give a row for each word alone."""
        return (self.looks[0, :-1] * _PRIME >> _ROW_SHIFT).astype(np.int64)


def tokens_of(view: bytes) -> Tokens:
    """Find the tokens of a view. O(len(view))."""
    # A space at each end, so that every token begins and ends with a change.
    kinds = np.frombuffer(b" %b " % view.translate(_KINDS), np.uint8)
    of_view = kinds[1:]
    begins = of_view != kinds[:-1]
    begins |= of_view == _OTHER
    places = begins.nonzero()[0]
    kept = of_view.take(places[:-1]).nonzero()[0]  # all but spaces
    return _described(view, places.take(kept), places.take(kept + 1))


def _described(view: bytes, starts: Ints, ends: Ints) -> Tokens:
    count = len(starts)
    padding = bytes(_WINDOW)
    padded = padding + view.lower() + padding
    windows = np.ndarray((len(view) + _WINDOW + 1,), np.dtype("<u8"), padded, strides=(1,))
    lengths = ends - starts
    seen = np.minimum(lengths, _WINDOW)
    head, tail = windows[_WINDOW:][starts], windows[ends]
    looks = np.zeros((4, count + 1), np.uint64)
    words, shapes, suffixes, prefixes = looks[:, :-1]
    np.right_shift(tail, _SUFFIX_SHIFTS.take(seen), out=suffixes)
    head &= _MASKS.take(seen)
    tail >>= _UNSHIFTS.take(seen)
    np.bitwise_and(head, _PREFIX_MASK, out=prefixes)
    head *= _PRIME
    tail *= _OTHER_PRIME
    head ^= tail
    np.bitwise_xor(head, lengths.view(np.uint64), out=words)
    characters = np.frombuffer(view, np.uint8)
    np.add(_FIRST_SHAPES.take(characters.take(starts)), seen.view(np.uint64), out=shapes)
    shapes += _LAST_SHAPES.take(characters.take(ends - 1))
    is_lower, is_sign = shapes >> _SHAPE_SHIFT == _LOWER_SHAPE, shapes >= _SIGN_SHAPE
    is_long = lengths > _TOKEN_CHARACTERS_MAX
    if np.count_nonzero(is_long):
        looks[:, :-1][:, is_long] = 1
    asks = is_lower | is_long
    asks |= is_sign
    return Tokens(starts, ends, looks, is_lower, is_long, is_sign, ~asks)


def rows_of(tokens: Tokens, chosen: Ints) -> Ints:
    """Give the rows of the weights of some tokens: [FEATURES, chosen]. O(len(tokens))."""
    around = tokens.looks.take(_places(tokens, chosen), axis=1).reshape(16, -1)
    features = around.take(_LOOKED_AT, axis=0)
    pairs = features[-_PAIRS:]
    pairs[1:3] *= _OTHER_PRIME
    pairs[1] ^= around[7]
    pairs[2] ^= around[1]
    pairs *= _PRIME
    pairs ^= around[4] * _SALT
    features += _SALTS
    features *= _PRIME
    features ^= features >> np.uint64(29)
    features *= _OTHER_PRIME
    features >>= _ROW_SHIFT
    return features.view(np.int64)


def _places(tokens: Tokens, chosen: Ints) -> Ints:
    """Give which token each is, is before it, two before, and after it; none is the place after the last."""
    count = len(tokens)
    before, after = np.arange(-1, count), np.arange(1, count + 1)
    before[0] = before[-1] = count
    far = (tokens.starts[1:] - tokens.ends[:-1] > NEIGHBOUR_CHARACTERS_MAX).nonzero()[0]
    before[1:][far] = after[far] = count
    after[~tokens.asks] = count
    places = np.empty((4, len(chosen)), np.int64)
    places[0] = chosen
    places[1] = one = before.take(chosen)
    places[2] = before.take(one)
    places[3] = after.take(chosen)
    return places
