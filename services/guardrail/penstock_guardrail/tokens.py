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
_AFFIX_BITS = 24

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
_MASKS = np.array([(1 << 8 * length) - 1 for length in range(_WINDOW + 1)], np.uint64)
_UNSHIFTS = np.array([8 * (_WINDOW - length) for length in range(_WINDOW + 1)], np.uint64)
_SUFFIX_SHIFTS = np.array([8 * max(0, length - 3) for length in range(_WINDOW + 1)], np.uint64)

# What is looked at: word, shape, suffix, prefix of the token; less of the one before it, two before, and after.
_LOOKED_AT = np.array([0, 4, 8, 12, 1, 5, 9, 2, 6, 3, 7, 11])
FEATURES = len(_LOOKED_AT) + 4
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
    kinds = np.frombuffer(view.translate(_KINDS), np.uint8)
    begins = np.empty(len(view), np.bool_)
    begins[:1] = True
    np.not_equal(kinds[1:], kinds[:-1], out=begins[1:])
    begins |= kinds == _OTHER
    starts = np.flatnonzero(begins)
    ends = np.empty_like(starts)
    ends[:-1] = starts[1:]
    ends[-1:] = len(view)
    kept = kinds.take(starts) != _SPACE
    return _described(view, starts[kept], ends[kept])


def _described(view: bytes, starts: Ints, ends: Ints) -> Tokens:
    padding = bytes(_WINDOW)
    padded = padding + view.lower() + padding
    windows = np.ndarray((len(padded) - _WINDOW + 1,), np.dtype("<u8"), padded, strides=(1,))
    lengths = ends - starts
    seen = np.minimum(lengths, _WINDOW)
    head = windows[starts + _WINDOW] & _MASKS.take(seen)
    tail = windows[ends] >> _UNSHIFTS.take(seen)
    classes = np.frombuffer(view.translate(_CLASSES), np.uint8)
    first, last = classes.take(starts), classes.take(ends - 1)
    is_sign = first == _OTHER
    looks = np.zeros((4, len(starts) + 1), np.uint64)
    looks[0, :-1] = head * _PRIME ^ tail * _OTHER_PRIME ^ lengths.astype(np.uint64)
    sized = (first * np.uint64(8) + last) * np.uint64(16) + seen.astype(np.uint64)
    looks[1, :-1] = np.where(is_sign, head + np.uint64(1 << 20), sized)
    looks[2, :-1] = tail >> _SUFFIX_SHIFTS.take(seen)
    looks[3, :-1] = head & np.uint64((1 << _AFFIX_BITS) - 1)
    is_long = lengths > _TOKEN_CHARACTERS_MAX
    if is_long.any():
        looks[:, :-1][:, is_long] = 1
    is_lower = (first == _LOWER) & (last == _LOWER)
    asks = ~(is_lower | is_long | is_sign)
    return Tokens(starts, ends, looks, is_lower, is_long, is_sign, asks)


def rows_of(tokens: Tokens, chosen: Ints) -> Ints:
    """Give the rows of the weights of some tokens: [FEATURES, chosen]. O(len(chosen))."""
    count = len(tokens)
    looks = tokens.looks
    is_near = np.zeros(count + 2, np.bool_)
    is_near[1:count] = tokens.starts[1:] - tokens.ends[:-1] <= NEIGHBOUR_CHARACTERS_MAX
    before = np.where(is_near.take(chosen), chosen - 1, count)
    two_before = np.where(is_near.take(before), before - 1, count)
    after = np.where(is_near.take(chosen + 1) & tokens.asks.take(chosen), chosen + 1, count)
    places = np.concatenate((chosen, before, two_before, after))
    around = looks.take(places, axis=1).reshape(16, -1)
    shape = around[4]
    features = np.empty((FEATURES, len(chosen)), np.uint64)
    around.take(_LOOKED_AT, axis=0, out=features[:-4])
    features[-4] = _mixed(around[1], shape)
    features[-3] = _mixed(around[5] * _OTHER_PRIME ^ around[7], shape)
    features[-2] = _mixed(around[2] * _OTHER_PRIME ^ around[1], shape)
    features[-1] = _mixed(around[3], shape)
    features += _SALTS
    features *= _PRIME
    features ^= features >> np.uint64(29)
    features *= _OTHER_PRIME
    features >>= _ROW_SHIFT
    return features.view(np.int64)


def _mixed(first: Hashes, second: Hashes) -> Hashes:
    return first * _PRIME ^ second * _SALT
