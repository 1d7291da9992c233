"""Choose the next token of each sequence in a step."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from penstock_inference.penalties import Penalties, PenaltyTally
from penstock_inference.sampling import Bools, Controls, Floats, draw_token


@dataclass(frozen=True, slots=True)
class SamplingParameters:
    """How the tokens of an answer are chosen."""

    controls: Controls = field(default_factory=Controls)
    penalties: Penalties = field(default_factory=Penalties)
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    min_tokens: int = 0  # before so many, no end token is chosen
    end_tokens: tuple[int, ...] = ()
    top_logprobs: int | None = (
        None  # how many likeliest tokens to report beside the chosen; None: report nothing
    )


class TokenMask(Protocol):
    """What an answer's form lets come next."""

    def forbidden(self) -> Bools:
        """Tell which tokens may not come next `[vocabulary]`; one at least may."""

    def advance(self, token: int) -> None:
        """Go on by a token that may come."""


class Sampler:
    """The choosing of one sequence: its parameters, what it said so far, and its own stream of random numbers.

    The stream is Philox (Salmon et al., SC 2011) keyed by (seed, choice), one number a token, so the same seed gives
    the same tokens whatever else is in the batch.
    """

    def __init__(
        self,
        parameters: SamplingParameters,
        prompt: list[int],
        answer_tokens_max: int,
        key: tuple[int, int],
        mask: TokenMask | None = None,
    ) -> None:
        self._parameters = parameters
        self._bias_ids = np.fromiter(parameters.logit_bias, np.int64)
        self._bias = np.fromiter(parameters.logit_bias.values(), np.float32)
        neutral = parameters.penalties.neutral
        self._tally = None if neutral else PenaltyTally(parameters.penalties, prompt, answer_tokens_max)
        self._mask = mask
        self._edits = not neutral or bool(parameters.logit_bias) or mask is not None
        self._tokens = 0
        self._random = np.random.Generator(np.random.Philox(key=np.array(key, np.uint64)))

    @property
    def top_logprobs(self) -> int | None:
        """Say how many likeliest tokens to report, None when no log probability is wanted."""
        return self._parameters.top_logprobs

    @property
    def takes_argmax(self) -> bool:
        """Tell whether the next token is that of the largest logit as it is."""
        return self._parameters.controls.greedy and not self._edits and not self._may_not_end()

    def choose(self, logits: Floats) -> int:
        """Choose from logits `[vocabulary]`, which stay as they are."""
        if self._edits or self._may_not_end():
            logits = self._edit(logits.copy())
        controls = self._parameters.controls
        return draw_token(logits, controls, 0.0 if controls.greedy else self._random.random())

    def record(self, token: int) -> None:
        """Remember a token of the answer."""
        self._tokens += 1
        if self._tally is not None:
            self._tally.add(token)
        if self._mask is not None:
            self._mask.advance(token)

    def _may_not_end(self) -> bool:
        return self._tokens < self._parameters.min_tokens

    def _edit(self, logits: Floats) -> Floats:
        logits[self._bias_ids] += self._bias
        if self._tally is not None:
            self._tally.apply(logits)
        if self._may_not_end():
            logits[list(self._parameters.end_tokens)] = -np.inf
        if self._mask is not None:
            logits[self._mask.forbidden()] = -np.inf
        return logits


def choose_tokens(logits: Floats, samplers: Sequence[Sampler]) -> list[int | None]:
    """Choose a token from each row of logits `[samplers, vocabulary]`, which stay as they are.

    Row by row, so that a row's weights stay in the processor's cache: one pass over all was measured to be no faster.
    There is none (None) in a row whose largest logit is not finite: what computed it overflowed.
    """
    likeliest: list[int] = logits.argmax(axis=1).tolist()
    tokens: list[int | None] = []
    for sampler, row, best in zip(samplers, logits, likeliest, strict=True):
        if not math.isfinite(row[best]):  # argmax finds NaN and infinity first
            tokens.append(None)
            continue
        token = best if sampler.takes_argmax else sampler.choose(row)
        sampler.record(token)
        tokens.append(token)
    return tokens
