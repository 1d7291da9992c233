"""Read how rotary positions are stretched beyond the context that a model was first trained for."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from penstock_inference.formats import UnsupportedModelError
from penstock_inference.formats.fields import Fields
from penstock_inference.formats.rotary import Rotary

_HEAD_DIM_MAX = 4096
_Frequencies = npt.NDArray[np.float64]


def read_rotary(settings: Fields, head_dim: int, base: float) -> Rotary:
    """Read settings that are named as transformers names them in `rope_parameters`.

    Raises UnsupportedModelError for a kind of scaling that we do not know.
    """
    kind = settings.text("rope_type", settings.text("type", "default"))
    if kind not in _KINDS:
        known = ", ".join(sorted(_KINDS))
        raise UnsupportedModelError(f"{settings.source}: rotary scaling {kind!r} is not supported ({known})")
    if not 0 < head_dim <= _HEAD_DIM_MAX:
        raise UnsupportedModelError(f"{settings.source}: heads of {head_dim} dimensions are not supported")
    if settings.number("partial_rotary_factor", 1.0) != 1.0:
        raise UnsupportedModelError(f"{settings.source}: rotating a part of each head is not supported")
    if base <= 1 or settings.number("factor", 1.0) < 1:
        raise UnsupportedModelError(f"{settings.source}: rotary base {base} or its scaling is out of range")
    try:
        return _KINDS[kind](settings, base ** -(np.arange(0, head_dim, 2) / head_dim), base)
    except (ArithmeticError, ValueError) as error:
        raise UnsupportedModelError(f"{settings.source}: rotary scaling {kind!r}: {error}") from error


def _plain(_: Fields, frequencies: _Frequencies, __: float) -> Rotary:
    """Turn as trained. Dynamic NTK scaling, too, begins only beyond the context that we serve."""
    return Rotary(tuple(frequencies.tolist()))


def _linear(settings: Fields, frequencies: _Frequencies, _: float) -> Rotary:
    """Interpolate between positions (arXiv 2306.15595)."""
    return Rotary(tuple((frequencies / settings.number("factor")).tolist()))


def _llama3(settings: Fields, frequencies: _Frequencies, _: float) -> Rotary:
    """Slow down what turns rarely within the first context, and keep what turns often (Llama 3.1)."""
    slowest, fastest = settings.number("low_freq_factor"), settings.number("high_freq_factor")
    turns = settings.integer("original_max_position_embeddings") * frequencies / (2 * math.pi)
    if slowest >= fastest:
        raise ValueError("low_freq_factor is not below high_freq_factor")
    kept = np.clip((turns - slowest) / (fastest - slowest), 0, 1)
    return Rotary(tuple(_blend(frequencies, settings.number("factor"), kept).tolist()))


def _yarn(settings: Fields, frequencies: _Frequencies, base: float) -> Rotary:
    """Keep fast pairs, interpolate slow ones, and sharpen attention in turn (YaRN, arXiv 2309.00071)."""
    pairs, factor = len(frequencies), settings.number("factor")
    context = settings.integer("original_max_position_embeddings")

    def pair_that_turns(times: float) -> float:
        return pairs * math.log(context / (times * 2 * math.pi)) / math.log(base)

    first = pair_that_turns(settings.number("beta_fast", 32.0))
    last = pair_that_turns(settings.number("beta_slow", 1.0))
    if settings.get("truncate", True):
        first, last = math.floor(first), math.ceil(last)
    first, last = max(first, 0), min(last, 2 * pairs - 1)
    kept = 1 - np.clip((np.arange(pairs) - first) / max(last - first, 0.001), 0, 1)
    return Rotary(tuple(_blend(frequencies, factor, kept).tolist()), _yarn_magnitude(settings, factor))


def _yarn_magnitude(settings: Fields, factor: float) -> float:
    def scale(weight: float) -> float:
        return 0.1 * weight * math.log(factor) + 1

    if settings.get("mscale") and settings.get("mscale_all_dim"):
        default = scale(settings.number("mscale")) / scale(settings.number("mscale_all_dim"))
    else:
        default = scale(1)
    return settings.number("attention_factor", default)


def _blend(frequencies: _Frequencies, factor: float, kept: _Frequencies) -> _Frequencies:
    """Keep a share of each frequency, and take the rest from the slowed one."""
    return kept * frequencies + (1 - kept) * frequencies / factor


_KINDS: dict[str, Callable[[Fields, _Frequencies, float], Rotary]] = {
    "default": _plain,
    "dynamic": _plain,
    "linear": _linear,
    "llama3": _llama3,
    "yarn": _yarn,
}
