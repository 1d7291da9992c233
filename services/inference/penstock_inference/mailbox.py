"""What the batch loop produced for one request and its reader has not taken yet."""

import asyncio
import math
from dataclasses import dataclass

from servicekit.errors import ServiceError

from penstock_inference.answer import Delta, FinishReason
from penstock_inference.answer_text import Logprobs
from penstock_inference.job import Outcome
from penstock_inference.tool_calls import ToolCallDelta


@dataclass(frozen=True, slots=True)
class AnswerDelta:
    """New text of one answer, of one token or of several."""

    index: int  # among the answers to the request
    text: str
    completion_tokens: int
    logprobs: Logprobs
    finish_reason: FinishReason | None
    tool_calls: tuple[ToolCallDelta, ...] = ()
    prompt_logprobs: Logprobs = ()


class Mailbox:
    """Hold results until they are worth a message: the first and the last at once, the others at most every interval.

    A reader that does not take them costs no slot and no more memory than the context window's text.
    """

    def __init__(self, interval_seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._interval_seconds = interval_seconds
        self._deltas: dict[int, list[Delta]] = {}
        self._error: ServiceError | None = None
        self._ready = asyncio.Event()
        self._due = -math.inf
        self._timer: asyncio.TimerHandle | None = None

    def put(self, index: int, outcome: Outcome) -> None:
        """Add a result; call it in the event loop."""
        if isinstance(outcome, ServiceError):
            self._error = outcome
            self._ready.set()
            return
        self._deltas.setdefault(index, []).append(outcome)
        if outcome.finish_reason or self._loop.time() >= self._due:
            self._ready.set()
        elif self._timer is None:
            self._timer = self._loop.call_at(self._due, self._ready.set)

    async def take(self) -> list[AnswerDelta]:
        """Wait for results and give them, one delta an answer.

        Raises:
            ServiceError: the request failed, and all that came before has been taken.
        """
        await self._ready.wait()
        if not self._deltas:
            assert self._error is not None
            raise self._error
        if self._error is None:
            self._ready.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._due = self._loop.time() + self._interval_seconds
        taken, self._deltas = self._deltas, {}
        return [_merge(index, deltas) for index, deltas in taken.items()]


def _merge(index: int, deltas: list[Delta]) -> AnswerDelta:
    return AnswerDelta(
        index,
        "".join(delta.text for delta in deltas),
        deltas[-1].completion_tokens,
        tuple(logprob for delta in deltas for logprob in delta.logprobs),
        deltas[-1].finish_reason,
        tuple(call for delta in deltas for call in delta.tool_calls),
        deltas[0].prompt_logprobs,
    )
