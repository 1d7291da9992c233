"""Choose tokens from logits by the C++ beside this package (native/drawing.hpp), which leaves the interpreter free."""

import ctypes
import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from penstock_inference.sampling import Floats

_LIBRARY = Path(__file__).parent / "lib" / "native.so"

EDIT = np.dtype(
    [("token", np.int32), ("bias", np.float32), ("repetition", np.float32), ("deduction", np.float32)]
)


class Rule(ctypes.Structure):
    """How a token is chosen from a row, and the changes of its logits before; their arrays are kept by who made it."""

    _fields_ = (
        ("edits", ctypes.c_void_p),  # of type EDIT
        ("edit_count", ctypes.c_int64),
        ("allowed", ctypes.c_void_p),  # Bits; None: every token may come
        ("uniform", ctypes.c_double),
        ("temperature", ctypes.c_double),  # 0: the likeliest token is taken
        ("min_p", ctypes.c_double),
        ("top_p", ctypes.c_double),
        ("top_k", ctypes.c_int64),
    )


class _Kernels(ctypes.Structure):
    _fields_ = (
        (
            "choose",
            ctypes.CFUNCTYPE(
                None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p
            ),
        ),
        (
            "normaliser",
            ctypes.CFUNCTYPE(
                ctypes.c_double, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p
            ),
        ),
    )


class Drawing:
    """The arithmetic for one level of vector instructions. All levels give the same bits."""

    def __init__(self, kernels: _Kernels) -> None:
        self._choose = kernels.choose
        self._normaliser = kernels.normaliser

    def choose(self, logits: Floats, rows: Sequence[int], rules: Sequence[Rule]) -> list[int]:
        """Choose a token from each of these rows of logits `[rows, vocabulary]`, which stay as they are.

        There is none (-1) where the largest logit is not finite, before or after the changes.
        """
        if not rows:
            return []
        assert logits.dtype == np.float32
        assert logits.strides[1] == logits.itemsize
        assert 0 <= min(rows) <= max(rows) < len(logits)
        assert len(rows) == len(rules)
        count, start, stride = len(rows), logits.ctypes.data, logits.strides[0]
        pointers = ctypes.c_void_p * count
        places = pointers(*[start + row * stride for row in rows])
        wanted = pointers(*[ctypes.addressof(rule) for rule in rules])
        chosen = (ctypes.c_int64 * count)()
        self._choose(places, wanted, count, logits.shape[1], chosen)
        return list(chosen)

    def normaliser(self, logits: Floats, likeliest: int = 0) -> tuple[float, list[int]]:
        """Give log(sum(exp(logits))) of one row `[vocabulary]`, and so many of its likeliest tokens, in order."""
        assert logits.dtype == np.float32
        assert logits.flags.c_contiguous
        tokens = (ctypes.c_int64 * min(likeliest, logits.size))()
        value = self._normaliser(logits.ctypes.data, logits.size, len(tokens), tokens)
        return value, list(tokens)


@functools.cache
def drawing(level: int = 0) -> Drawing:
    """Give what is fastest on this processor, or one of the levels from 1; LookupError if it has no such level."""
    if not _LIBRARY.exists():
        raise FileNotFoundError(f"{_LIBRARY} is missing: services/inference/native/build makes it")
    find = ctypes.CDLL(str(_LIBRARY)).penstock_drawing
    find.restype = ctypes.POINTER(_Kernels)
    found = find(level)
    if not found:
        raise LookupError(
            f"This processor has no level {level} of vector instructions that drawing is compiled for"
        )
    return Drawing(found.contents)
