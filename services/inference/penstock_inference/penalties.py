"""Change the logits of single tokens: biases, and penalties for what occurred before."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from penstock_inference.drawing import EDIT


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


class LogitEdits:
    """The changes of single tokens' logits for one sequence: a table that each step reads as it stands.

    Biases are added first; then come CTRL's repetition (arXiv 1909.05858), and OpenAI's presence and frequency.
    """

    def __init__(
        self, penalties: Penalties, bias: Mapping[int, float], prompt: list[int], answer_tokens_max: int
    ) -> None:
        self._penalties = penalties
        self._counts: Counter[int] = Counter()
        seen = dict.fromkeys(prompt) if penalties.repetition != 1 else {}
        self._places = {token: place for place, token in enumerate(seen | dict.fromkeys(bias))}
        room = 0 if penalties.neutral else answer_tokens_max
        self.table = np.zeros(len(self._places) + room, EDIT)
        self.table["token"][: len(self._places)] = list(self._places)
        self.table["repetition"] = 1
        self.table["repetition"][: len(seen)] = penalties.repetition
        for token, value in bias.items():
            self.set_bias(token, value)

    def __len__(self) -> int:
        """Count the tokens that are changed: the first rows of the table."""
        return len(self._places)

    def set_bias(self, token: int, value: float) -> None:
        """Let something else be added to the logit of a token that had a bias from the start."""
        self.table["bias"][self._places[token]] = value

    def add(self, token: int) -> None:
        """Count a token of the answer."""
        self._counts[token] += 1
        place = self._places.setdefault(token, len(self._places))
        deduction = self._penalties.presence + self._penalties.frequency * self._counts[token]
        bias = self.table["bias"][place]
        self.table[place] = (token, bias, self._penalties.repetition, deduction)
