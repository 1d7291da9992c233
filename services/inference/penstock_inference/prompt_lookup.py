"""Guess how an answer goes on: as it did after the same two tokens when they came last, in the prompt or the answer.

Prompt lookup decoding (Saxena, 2023). Pure.
"""

from collections.abc import Iterable
from itertools import pairwise

_HIT_RATIO_FIRST = 0.3
_WEIGHT = 0.1  # of the newest observation


class PromptLookup:
    """Follow one sequence, at the same small cost for each token however long it is.

    Each token is held against what would have been guessed, whether an engine was asked to check it or not: so it is
    known for nothing when guessing begins to pay, and when it no longer does.
    """

    def __init__(self, prompt: list[int], answer: Iterable[int]) -> None:
        """Begin behind a prompt and what there is of the answer."""
        self._tokens = list(prompt)
        self._places = {pair: place for place, pair in enumerate(pairwise(prompt), start=2)}  # behind each
        self._next: int | None = None  # the place of the token that is guessed to come next
        self._hit_ratio = _HIT_RATIO_FIRST
        for token in answer:
            self.append(token)

    @property
    def likelihood(self) -> float:
        """Say how often the next guess has been right of late; 0 if there is none."""
        return 0.0 if self._next is None else self._hit_ratio

    def append(self, token: int) -> None:
        """Take the next token. Guesses that were right go on where they were."""
        pair = (self._tokens[-1], token)
        if self._next is not None:
            hit = self._tokens[self._next] == token
            self._hit_ratio += _WEIGHT * (hit - self._hit_ratio)
            self._next = self._next + 1 if hit else None
        if self._next is None:
            self._next = self._places.get(pair)
        self._tokens.append(token)
        self._places[pair] = len(self._tokens)

    def guess(self, tokens: int) -> list[int]:
        """Give the next tokens, or none. What has begun to repeat itself is taken to go on so."""
        if self._next is None:
            return []
        period = len(self._tokens) - self._next
        return [self._tokens[self._next + place % period] for place in range(tokens)]
