"""One answer as its caller sees it."""

import enum
from collections.abc import Callable
from dataclasses import dataclass

from penstock_inference.answer_text import AnswerText, Logprobs, Released
from penstock_inference.logprobs import TokenLogprob
from penstock_inference.sequence import EndConditions
from penstock_inference.tool_calls import ToolCallDelta, ToolCallParser


class FinishReason(enum.Enum):
    """Why an answer is whole."""

    STOP = "stop"  # the model's end token, or a stop text
    TOOL_CALLS = "tool_calls"  # the model waits for what the tools that it calls have to say
    LENGTH = "length"  # as many tokens as were asked for, or as the context window holds


@dataclass(frozen=True, slots=True)
class Delta:
    """What one step added to an answer."""

    text: str
    completion_tokens: int  # produced so far
    logprobs: Logprobs = ()
    finish_reason: FinishReason | None = None
    tool_calls: tuple[ToolCallDelta, ...] = ()
    prompt_logprobs: Logprobs = ()  # of the whole prompt, in the answer's first delta, when they are wanted


class Answer:
    """Put an answer together from its tokens."""

    def __init__(
        self,
        ends: EndConditions,
        text: AnswerText,
        calls: ToolCallParser | None = None,
        *,
        check_form: Callable[[], None] = lambda: None,
        scores_end: bool = False,
    ) -> None:
        """Begin; with a parser, what it finds to be calls of tools is given as such and not as text.

        `check_form` raises where the end token came because the form could be followed no further.
        Who scores a prompt wants every token's log probability, that of the end token, too: `scores_end`.
        """
        self._ends = ends
        self._text = text
        self._calls = calls
        self._check_form = check_form
        self._scores_end = scores_end
        self._tokens = 0
        self._prompt_logprobs: Logprobs = ()

    def scored(self, logprobs: Logprobs) -> None:
        """Take log probabilities of the next tokens of the prompt."""
        self._prompt_logprobs += logprobs

    def accept(self, token: int, logprob: TokenLogprob | None = None) -> Delta:
        """Append a token and say what became of the answer. Raises ServiceError if it cannot get the form it has to."""
        prompt_logprobs, self._prompt_logprobs = self._prompt_logprobs, ()
        if not self._ends.max_tokens:  # the prompt was to be read, and is
            return Delta("", 0, (), FinishReason.LENGTH, (), prompt_logprobs)
        self._tokens += 1
        released, reason = self._feed(token, logprob)
        if self._calls is None:
            return Delta(released.text, self._tokens, released.logprobs, reason, (), prompt_logprobs)
        parsed = self._calls.feed(released.text)
        if reason is not None:
            parsed += self._calls.finish()
        if reason is FinishReason.STOP and self._calls.calls:
            reason = FinishReason.TOOL_CALLS
        return Delta(parsed.content, self._tokens, released.logprobs, reason, parsed.calls, prompt_logprobs)

    def _feed(self, token: int, logprob: TokenLogprob | None) -> tuple[Released, FinishReason | None]:
        if token in self._ends.end_tokens:
            self._check_form()
            rest = self._text.finish()
            if self._scores_end and logprob is not None:
                rest = rest._replace(logprobs=(*rest.logprobs, logprob))
            return rest, FinishReason.STOP
        released = self._text.feed(token, logprob, may_stop=self._tokens >= self._ends.min_tokens)
        if released.stopped:
            return released, FinishReason.STOP
        if self._tokens < self._ends.max_tokens:
            return released, None
        rest = self._text.finish()
        whole = Released(released.text + rest.text, released.logprobs + rest.logprobs)
        return whole, FinishReason.LENGTH
