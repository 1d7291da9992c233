"""One answer from its prompt to its last token."""

import enum
import math
from dataclasses import dataclass

from penstock_inference.answer_text import AnswerText
from penstock_inference.logprobs import TokenLogprob
from penstock_inference.sampler import Choice, Sampler


class FinishReason(enum.Enum):
    """Why an answer is whole."""

    STOP = "stop"  # the model's end token, or a stop text
    LENGTH = "length"  # as many tokens as were asked for, or as the context window holds


@dataclass(frozen=True, slots=True)
class EndConditions:
    """When an answer ends."""

    end_tokens: frozenset[int]
    max_tokens: int
    min_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Urgency:
    """Whose turn it is: lower priority numbers go first, and nothing is computed after the deadline."""

    priority: int = 5
    deadline: float = math.inf  # on the monotonic clock, in seconds


@dataclass(frozen=True, slots=True)
class Delta:
    """What one step added to an answer."""

    text: str
    completion_tokens: int  # produced so far
    logprob: TokenLogprob | None = None
    finish_reason: FinishReason | None = None


class Sequence:
    """A prompt and the answer to it, in a slot of the engine while it runs.

    The scheduler owns `turn`, `slot`, `computed_tokens`, `cached_tokens` and `cancelled`.
    """

    def __init__(
        self,
        prompt: list[int],
        *,
        organization: str,
        urgency: Urgency,
        ends: EndConditions,
        sampler: Sampler,
        text: AnswerText,
    ) -> None:
        assert prompt, "there is nothing to compute logits from"
        self.prompt = prompt
        self.organization = organization
        self.urgency = urgency
        self.ends = ends
        self.sampler = sampler
        self.tokens: list[int] = []
        self.turn = (urgency.priority, 0)  # who is lower goes first
        self.slot: int | None = None
        self.computed_tokens = 0  # rows of KV that hold this sequence
        self.cached_tokens = 0  # those of them that were copied from another
        self.cancelled = False
        self.finished = False
        self._text = text

    @property
    def prefilling(self) -> bool:
        """Tell whether some of the prompt is still to be computed."""
        return self.computed_tokens < len(self.prompt)

    def accept(self, choice: Choice) -> Delta:
        """Append a token and say what became of the answer."""
        assert not self.finished
        self.tokens.append(choice.token)
        text, reason = self._text_and_reason(choice.token)
        if reason is FinishReason.LENGTH:
            text += self._text.finish()
        self.finished = reason is not None
        logprob = None if choice.token in self.ends.end_tokens else choice.logprob
        return Delta(text, len(self.tokens), logprob, reason)

    def _text_and_reason(self, token: int) -> tuple[str, FinishReason | None]:
        if token in self.ends.end_tokens:
            return self._text.finish(), FinishReason.STOP
        produced = len(self.tokens)
        released = self._text.feed(token, may_stop=produced >= self.ends.min_tokens)
        if released.stopped:
            return released.text, FinishReason.STOP
        return released.text, FinishReason.LENGTH if produced >= self.ends.max_tokens else None
