"""Make tokens that occurred before less likely."""

from dataclasses import dataclass

import numpy as np

from penstock_inference.sampling import Floats


@dataclass(frozen=True, slots=True)
class Penalties:
    """How much occurring before costs a token. The defaults cost nothing."""

    presence: float = 0.0  # off the logit of a token that the answer has
    frequency: float = 0.0  # off the logit, for each time the answer has it
    repetition: float = (
        1.0  # divides a positive and multiplies a negative logit of a token in prompt or answer
    )

    @property
    def neutral(self) -> bool:
        """Tell whether nothing is changed."""
        return self == Penalties()


class PenaltyTally:
    """Count what one sequence has said; each step costs as much as it has different tokens.

    Repetition is CTRL's (arXiv 1909.05858), presence and frequency are OpenAI's; in this order.
    """

    def __init__(self, penalties: Penalties, prompt: list[int], answer_tokens_max: int) -> None:
        self._penalties = penalties
        seen = dict.fromkeys(prompt) if penalties.repetition != 1 else {}
        self._places = {token: place for place, token in enumerate(seen)}
        self._ids = np.empty(len(seen) + answer_tokens_max, np.int64)
        self._ids[: len(seen)] = list(seen)
        self._counts = np.zeros(self._ids.size, np.float32)

    def add(self, token: int) -> None:
        """Count a token of the answer."""
        place = self._places.setdefault(token, len(self._places))
        self._ids[place] = token
        self._counts[place] += 1

    def apply(self, logits: Floats) -> None:
        """Change logits `[vocabulary]` in place."""
        penalties, seen = self._penalties, len(self._places)
        ids, counts = self._ids[:seen], self._counts[:seen]
        values = logits[ids]
        factor = np.float32(penalties.repetition)
        values = np.where(values > 0, values / factor, values * factor)
        values -= np.float32(penalties.frequency) * counts
        values -= np.float32(penalties.presence) * (counts > 0)
        logits[ids] = values
