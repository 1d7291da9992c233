"""Choose the next token of each sequence in a step."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from penstock_inference.drawing import Rule, drawing
from penstock_inference.penalties import LogitEdits, Penalties
from penstock_inference.sampling import Bits, Controls, Floats


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

    def allowed(self) -> Bits:
        """Tell which tokens may come next; one at least may."""

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
        self._tokens = 0
        self._mask = mask
        self._penalizes = not parameters.penalties.neutral
        may_not_end = dict.fromkeys(parameters.end_tokens if parameters.min_tokens else (), -math.inf)
        bias = {**parameters.logit_bias, **may_not_end}
        self._edits = LogitEdits(parameters.penalties, bias, prompt, answer_tokens_max)
        controls = parameters.controls
        self._random = (
            None if controls.greedy else np.random.Generator(np.random.Philox(key=np.array(key, np.uint64)))
        )
        self._rule = Rule(
            edits=self._edits.table.ctypes.data,
            edit_count=len(self._edits),
            temperature=0 if controls.greedy else controls.temperature,
            min_p=controls.min_p,
            top_p=controls.top_p,
            top_k=controls.top_k,
        )

    @property
    def top_logprobs(self) -> int | None:
        """Say how many likeliest tokens to report, None when no log probability is wanted."""
        return self._parameters.top_logprobs

    def next_rule(self) -> Rule:
        """Say how the next token is chosen; it holds until that is recorded, and each call takes a random number."""
        rule = self._rule
        if self._random is not None:
            rule.uniform = self._random.random()
        if self._mask is not None:
            self._allowed = self._mask.allowed()
            rule.allowed = self._allowed.ctypes.data
        return rule

    def record(self, token: int) -> None:
        """Remember a token of the answer."""
        self._tokens += 1
        if self._penalizes:
            self._edits.add(token)
            self._rule.edit_count = len(self._edits)
        if self._mask is not None:
            self._mask.advance(token)
        if self._tokens == self._parameters.min_tokens:
            for end in self._parameters.end_tokens:
                self._edits.set_bias(end, self._parameters.logit_bias.get(end, 0.0))


def choose_tokens(
    logits: Floats, samplers: Sequence[Sampler], rows: Sequence[int] | None = None
) -> list[int | None]:
    """Choose a token for each sampler from its row of logits `[rows, vocabulary]`, which stay as they are.

    Without `rows` the first sampler's row is the first, and so on. No sampler may come twice. There is no token (None)
    where the largest logit is not finite: what computed it overflowed.
    """
    chosen = drawing().choose(
        logits, range(len(samplers)) if rows is None else rows, [sampler.next_rule() for sampler in samplers]
    )
    tokens = [None if token < 0 else token for token in chosen]
    for sampler, token in zip(samplers, tokens, strict=True):
        if token is not None:
            sampler.record(token)
    return tokens
