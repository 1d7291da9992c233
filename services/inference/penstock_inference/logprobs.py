"""Log probabilities of what was chosen and of what was likeliest, from the model's own logits."""

from dataclasses import dataclass

import numpy as np

from penstock_inference.sampling import Floats, largest


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token with the natural logarithm of its probability, and the likeliest tokens at its position."""

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()  # (token, logprob), likeliest first


def token_logprob(logits: Floats, token: int, top_tokens: int) -> TokenLogprob:
    """Measure a token against all others: logits `[vocabulary]` before penalties and cut-offs."""
    peak = float(logits.max())
    normaliser = peak + float(np.log(np.exp(logits - np.float32(peak)).sum(dtype=np.float64)))
    top: tuple[tuple[int, float], ...] = ()
    if top_tokens:
        places = largest(logits, top_tokens)
        places = places[np.argsort(-logits[places], kind="stable")]
        top = tuple((int(place), float(logits[place]) - normaliser) for place in places)
    return TokenLogprob(token, float(logits[token]) - normaliser, top)
