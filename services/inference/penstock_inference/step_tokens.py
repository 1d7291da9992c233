"""What the logits of a step say: the next tokens, how likely prompts were, and whose numbers are nonsense."""

from dataclasses import dataclass, field

import numpy as np

from penstock_inference.engines import Logits
from penstock_inference.plan import Choice, Plan
from penstock_inference.sampler import choose_tokens
from penstock_inference.sampling import Floats
from penstock_inference.sequence import Sequence


@dataclass(frozen=True, slots=True)
class SampledToken:
    """A token that a step gave, with the logits that its probability is measured by, where that is wanted."""

    sequence: Sequence
    token: int
    logits: Floats | None  # [vocabulary], a copy


@dataclass(frozen=True, slots=True)
class ScoredChunk:
    """The logits of a part of a prompt `[tokens, vocabulary]`, a copy, and what came after each."""

    sequence: Sequence
    next_tokens: list[int]
    logits: Floats


@dataclass(frozen=True, slots=True)
class StepTokens:
    """What a step gave, for whom somebody still waits, and who can have no token: their logits are not finite."""

    sampled: list[SampledToken] = field(default_factory=list)
    scored: list[ScoredChunk] = field(default_factory=list)
    unfit: list[Sequence] = field(default_factory=list)

    @property
    def guessed(self) -> int:
        """Count the tokens that came of a guess and not of a step of their own."""
        return len(self.sampled) - len({sampled.sequence for sampled in self.sampled})


def read_logits(plan: Plan, logits: Logits) -> StepTokens:
    """Choose the next tokens, and copy what prompts are scored by."""
    read = StepTokens()
    _score(plan, logits, read)
    choices = plan.choices
    while choices:
        choices = _choose(choices, logits, read)
    return read


def _score(plan: Plan, logits: Logits, read: StepTokens) -> None:
    """Copy the logits of prompts whose own probability is wanted; the last token's are those of the answer's first."""
    assert plan.batch is not None
    row = sum(row.logit_rows for row in plan.batch.decode)
    for sequence, chunk in zip(plan.prefilling, plan.batch.prefills, strict=True):
        if chunk.wants_all_logits:
            start = chunk.past_tokens + 1
            next_tokens = sequence.prompt[start : start + len(chunk.tokens)]
            rows = logits[row : row + len(next_tokens)]
            if np.isfinite(rows.max(axis=1)).all():
                read.scored.append(ScoredChunk(sequence, next_tokens, rows.copy()))
            else:
                read.unfit.append(sequence)
        row += chunk.logit_rows


def _choose(choices: list[Choice], logits: Logits, read: StepTokens) -> list[Choice]:
    """Choose a token of each row, and give what is to be chosen then: behind those tokens that were guessed."""
    samplers = [choice.sequence.sampler for choice in choices]
    tokens = choose_tokens(logits, samplers, [choice.row for choice in choices])
    further = []
    for choice, token in zip(choices, tokens, strict=True):
        sequence = choice.sequence
        if sequence in read.unfit:
            continue
        if token is None:
            read.unfit.append(sequence)
        elif not sequence.cancelled:  # else the next plan ends it, were this its last token too
            sequence.append(token)
            wanted = sequence.sampler.top_logprobs is not None
            read.sampled.append(SampledToken(sequence, token, logits[choice.row].copy() if wanted else None))
            if [token] == choice.guesses[:1] and not sequence.finished:
                further.append(Choice(sequence, choice.row + 1, choice.guesses[1:]))
    return further
