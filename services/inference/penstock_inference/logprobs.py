"""Log probabilities of what was chosen and of what was likeliest, from the model's own logits."""

from dataclasses import dataclass

from penstock_inference.drawing import drawing
from penstock_inference.sampling import Floats


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token with the natural logarithm of its probability, and the likeliest tokens at its position."""

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()  # (token, logprob), likeliest first


def token_logprob(logits: Floats, token: int, top_tokens: int) -> TokenLogprob:
    """Measure a token against all others: logits `[vocabulary]` before penalties and cut-offs."""
    normaliser, likeliest = drawing().normaliser(logits, top_tokens)
    top = tuple((place, float(logits[place]) - normaliser) for place in likeliest)
    return TokenLogprob(token, float(logits[token]) - normaliser, top)
