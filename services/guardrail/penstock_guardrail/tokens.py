"""Words of a view, and numbers for what they look like: all of a text at once, in arrays.

A token is a run of letters, a run of digits, or one other character that is no space. Rows are hashes of what a token
and its neighbours look like; the weights of the tagger stand in them. Everything about a token follows from at most
`REACH_CHARACTERS_MAX` characters before it and from the token after it, so a text may be read in parts.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

ROWS_BITS = 16
REACH_CHARACTERS_MAX = 160
# Tokens further apart are no neighbours.
NEIGHBOUR_CHARACTERS_MAX = 24
# Of longer tokens only that they are long is known.
_TOKEN_CHARACTERS_MAX = np.array(40)
_WINDOW = 8  # characters at each end of a token that its hash is made of

_SPACE, _OTHER, _DIGIT, _LOWER, _UPPER = range(5)
# Numbers that stand beside arrays are arrays without dimensions: numpy reads those in half the time.
_OTHERS = np.array(_OTHER, np.uint8)
_WINDOWS = np.array(_WINDOW)
_NEIGHBOUR_CHARACTERS = np.array(NEIGHBOUR_CHARACTERS_MAX)
_ONE = np.array(1)
_PRIME = np.array(0x9E3779B97F4A7C15, np.uint64)
_OTHER_PRIME = np.array(0xD6E8FEB86659FD93, np.uint64)
_ROW_SHIFT = np.array(64 - ROWS_BITS, np.uint64)

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
_PREFIX_MASKS = np.array([(1 << 8 * min(seen, 3)) - 1 for seen in _SEEN.tolist()], np.uint64)
_UNSHIFTS = (8 * (_WINDOW - _SEEN)).astype(np.uint64)
_SUFFIX_SHIFTS = (8 * (_WINDOW - np.minimum(_SEEN, 3))).astype(np.uint64)
# By a token's first and its last character: their sum, and how many are looked at, is its shape. A sign is its own.
_SIGN_SHAPE = np.array(1 << 20, np.uint64)
_FIRST_SHAPES = np.array(
    [int(_SIGN_SHAPE) + byte - 1 if of == _OTHER else 128 * of for byte, of in enumerate(_CLASSES)], np.uint64
)
_LAST_SHAPES = np.array([0 if of == _OTHER else 16 * of for of in _CLASSES], np.uint64)
_SHAPE_SHIFT = np.array(4, np.uint64)
_LOWER_SHAPE = np.array((128 + 16) * _LOWER >> 4, np.uint64)

# What is looked at: word, shape, suffix and prefix of the token, word and shape of the one before and of the one after,
# the word two before; and again of those before and after, each mixed with the shape of the token.
_LOOKED_AT = np.array([0, 4, 8, 12, 1, 5, 3, 7, 2, 1, 5, 3])
FEATURES = len(_LOOKED_AT)
WORD_FEATURES = (0, 4, 6, 8)
_MIXED = 3
# Multiplicative hashing (Knuth 6.4): each feature has a multiplier of its own.
_MULTIPLIERS = np.cumprod(np.full(FEATURES, _PRIME))[:, None]
_AROUND = np.array([[0], [-1], [-2], [1]])
_NONE = -1
_LOOK_OF_NONE, _LOOK_OF_LONG = 1, 2


class Tokens(NamedTuple):
    """Tokens of a view: where they start and end, and what they look like.

    Args:
        starts: [tokens] in the view.
        ends: [tokens], exclusive.
        looks: [4, tokens + 1], hashes of word, shape, suffix and prefix, the last for a token that is not there.
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

    @property
    def number(self) -> int:
        """Tell how many there are."""
        return len(self.starts)

    def word_rows(self) -> Ints:
        """Give a row for each word alone."""
        rows = self.looks[0, :-1] * _PRIME
        rows >>= _ROW_SHIFT
        return rows.view(np.int64)


def tokens_of(view: bytes) -> Tokens:
    """Find the tokens of a view. O(len(view))."""
    # A space at each end, so that every token begins and ends with a change.
    kinds = np.frombuffer(b" %b " % view.translate(_KINDS), np.uint8)
    of_view = kinds[1:]
    begins = of_view != kinds[:-1]
    begins |= of_view == _OTHERS
    places = begins.nonzero()[0]
    kept = of_view.take(places[:-1]).nonzero()[0]  # all but spaces
    return _described(view, places.take(kept), places.take(kept + _ONE))


def _described(view: bytes, starts: Ints, ends: Ints) -> Tokens:
    padding = bytes(_WINDOW)
    padded = padding + view.lower() + padding
    windows = np.ndarray((len(view) + _WINDOW + 1,), np.dtype("<u8"), padded, strides=(1,))
    lengths = ends - starts
    seen = np.minimum(lengths, _WINDOWS)
    head, tail = windows[_WINDOW:][starts], windows[ends]
    looks = np.empty((4, len(starts) + 1), np.uint64)
    looks[:, -1] = _LOOK_OF_NONE
    described = looks[:, :-1]
    words, shapes, prefixes = described[0], described[1], described[3]
    np.right_shift(tail, _SUFFIX_SHIFTS.take(seen), out=described[2])
    np.bitwise_and(head, _PREFIX_MASKS.take(seen), out=prefixes)
    tail >>= _UNSHIFTS.take(seen)
    tail *= _OTHER_PRIME
    np.multiply(prefixes, _PRIME, out=words)
    words ^= tail
    words ^= lengths.view(np.uint64)
    characters = np.frombuffer(view, np.uint8)
    np.add(_FIRST_SHAPES.take(characters.take(starts)), seen.view(np.uint64), out=shapes)
    shapes += _LAST_SHAPES.take(characters.take(ends - _ONE))
    is_lower, is_sign = shapes >> _SHAPE_SHIFT == _LOWER_SHAPE, shapes >= _SIGN_SHAPE
    is_long = lengths > _TOKEN_CHARACTERS_MAX
    if np.count_nonzero(is_long):
        described[:, is_long] = _LOOK_OF_LONG
    asks = is_lower | is_long
    asks |= is_sign
    return Tokens(starts, ends, looks, is_lower, is_long, is_sign, ~asks)


def rows_of(tokens: Tokens, chosen: Ints) -> Ints:
    """Give the rows of the weights of some tokens: [FEATURES, chosen]. O(len(tokens))."""
    around = tokens.looks.take(_places(tokens, chosen), axis=1).reshape(16, -1)
    features = around.take(_LOOKED_AT, axis=0)
    features[-_MIXED:] += around[4] * _OTHER_PRIME
    features *= _MULTIPLIERS
    features >>= _ROW_SHIFT
    return features.view(np.int64)


def _places(tokens: Tokens, chosen: Ints) -> Ints:
    """Give which token each is, is before it, two before, and after it; -1 when there is none."""
    places: Ints = chosen + _AROUND
    if places.size and places[2, 0] < _NONE:
        places[2, 0] = _NONE
    np.putmask(places[3], ~tokens.asks.take(chosen), _NONE)
    is_far = tokens.starts[1:] - tokens.ends[:-1] > _NEIGHBOUR_CHARACTERS
    if np.count_nonzero(is_far):
        # Whether a token is far from the one before it, and the last from what does not follow.
        alone = np.concatenate(([True], is_far, [True]))
        places[1:3, alone.take(chosen)] = _NONE
        places[2, alone.take(chosen - _ONE)] = _NONE
        places[3, alone.take(chosen + _ONE)] = _NONE
    return places
