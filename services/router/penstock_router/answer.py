"""Answers put together from events, and taken apart again into chunks. Pure."""

from collections.abc import Iterable, Iterator

from penstock.billing.v1 import limit_pb2
from penstock.router.v1 import chat_completion_pb2, chat_message_pb2, receipt_pb2

from penstock_router.attempt import Attempt
from penstock_router.providers import Delta, Event, Finished, UsageReported

Completion = chat_completion_pb2.ChatCompletion
Chunk = chat_completion_pb2.ChatCompletionChunk

_ENDED = frozenset({chat_completion_pb2.FINISH_REASON_STOP, chat_completion_pb2.FINISH_REASON_TOOL_CALLS})


class AnswerBuilder:
    """Collects events into a completion."""

    def __init__(self) -> None:
        self._choices: dict[int, _ChoiceBuilder] = {}

    def add(self, event: Event) -> None:
        """Take an event in."""
        if isinstance(event, Delta | Finished):
            choice = self._choices.get(event.index)
            if choice is None:
                choice = self._choices[event.index] = _ChoiceBuilder()
            choice.add(event)

    def build(self, attempt: Attempt) -> Completion:
        """Give the completion, without what only the request knows (id, time, model, receipt)."""
        return Completion(
            choices=[choice.build(index) for index, choice in sorted(self._choices.items())],
            usage=chat_completion_pb2.Usage(
                prompt_tokens=attempt.prompt_tokens,
                completion_tokens=attempt.completion_tokens,
                total_tokens=attempt.prompt_tokens + attempt.completion_tokens,
                cached_prompt_tokens=attempt.cached_prompt_tokens,
                reasoning_tokens=attempt.reasoning_tokens,
            ),
            system_fingerprint=attempt.fingerprint,
        )


class _ChoiceBuilder:
    def __init__(self) -> None:
        self._texts: list[str] = []
        self._refusals: list[str] = []
        self._logprobs: list[chat_completion_pb2.TokenLogprob] = []
        self._calls: dict[int, chat_message_pb2.ToolCall] = {}
        self._reason = chat_completion_pb2.FINISH_REASON_UNSPECIFIED

    def add(self, event: Delta | Finished) -> None:
        if isinstance(event, Finished):
            self._reason = event.reason
            return
        self._texts.append(event.text)
        self._refusals.append(event.refusal)
        self._logprobs.extend(event.logprobs)
        for delta in event.tool_calls:
            call = self._calls.setdefault(delta.index, chat_message_pb2.ToolCall())
            call.id = call.id or delta.id
            call.function.name = call.function.name or delta.name
            call.function.arguments += delta.arguments

    def build(self, index: int) -> chat_completion_pb2.ChatChoice:
        calls = [call for _, call in sorted(self._calls.items())]
        message = chat_message_pb2.ChatMessage(role=chat_message_pb2.CHAT_ROLE_ASSISTANT, tool_calls=calls)
        text, refusal = "".join(self._texts), "".join(self._refusals)
        if text or not calls:
            message.text = text
        if refusal:
            message.refusal = refusal
        return chat_completion_pb2.ChatChoice(
            index=index, message=message, finish_reason=self._reason, logprobs=self._logprobs
        )


def events_of(said: Completion) -> Iterator[Event]:
    """Give an answer as the events that could have made it."""
    for choice in said.choices:
        calls = [
            chat_completion_pb2.ToolCallDelta(
                index=position, id=call.id, name=call.function.name, arguments=call.function.arguments
            )
            for position, call in enumerate(choice.message.tool_calls)
        ]
        message, tokens = choice.message, said.usage.completion_tokens
        yield Delta(choice.index, message.text, tokens, choice.logprobs, calls, message.refusal)
        yield Finished(choice.index, choice.finish_reason, tokens)
    usage = said.usage
    yield UsageReported(
        usage.prompt_tokens, usage.cached_prompt_tokens, usage.completion_tokens, usage.reasoning_tokens
    )


class ChunkWriter:
    """Writes what is new as the chunks of one stream."""

    def __init__(self, completion_id: str, created: int, model: str) -> None:
        self._id = completion_id
        self._created = created
        self._model = model
        self._speaking: set[int] = set()

    def write(
        self, delta: chat_completion_pb2.ChatChoiceDelta, rate_limits: Iterable[limit_pb2.RateLimit] = ()
    ) -> Chunk:
        """Write a delta; an answer's first says who speaks, and the stream's first how the caller's rates stand."""
        chunk = Chunk(id=self._id, created=self._created, model=self._model, choices=[delta])
        if delta.index not in self._speaking:
            chunk.choices[0].role = chat_message_pb2.CHAT_ROLE_ASSISTANT
            if not self._speaking:
                chunk.rate_limits.extend(rate_limits)
            self._speaking.add(delta.index)
        return chunk

    def last(self, usage: chat_completion_pb2.Usage | None, receipt: receipt_pb2.Receipt) -> Chunk:
        """Write the chunk that ends the stream."""
        return Chunk(id=self._id, created=self._created, model=self._model, usage=usage, receipt=receipt)


def is_whole(completion: Completion, *, limited: bool) -> bool:
    """Tell whether every answer came to its own end, or to the end that its caller set."""
    whole = _ENDED | {chat_completion_pb2.FINISH_REASON_LENGTH} if limited else _ENDED
    return all(choice.finish_reason in whole for choice in completion.choices)


def replay(completion: Completion) -> Iterator[chat_completion_pb2.ChatChoiceDelta]:
    """Take a completion apart as a stream would have brought it: what each answer says, then why it ended."""
    for choice in completion.choices:
        yield chat_completion_pb2.ChatChoiceDelta(
            index=choice.index,
            content=choice.message.text,
            refusal=choice.message.refusal,
            tool_calls=[
                chat_completion_pb2.ToolCallDelta(
                    index=position, id=call.id, name=call.function.name, arguments=call.function.arguments
                )
                for position, call in enumerate(choice.message.tool_calls)
            ],
            logprobs=choice.logprobs,
        )
        yield chat_completion_pb2.ChatChoiceDelta(index=choice.index, finish_reason=choice.finish_reason)
