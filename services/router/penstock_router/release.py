"""The output guard: what a model said leaves only after inspection, whole or as it flows."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

from penstock.guardrail.v1 import finding_pb2, guardrail_service_pb2
from penstock.router.v1 import chat_completion_pb2, chat_message_pb2
from servicekit.background import gathered
from servicekit.errors import PermissionDenied

from penstock_router.conversation import apply, asked_segments, redact, segments
from penstock_router.operation import Operation
from penstock_router.peers import GuardrailPeer, OutputInspection
from penstock_router.providers import Delta, Event, Finished

ChatChoice = chat_completion_pb2.ChatChoice
ChatMessage = chat_message_pb2.ChatMessage
ChoiceDelta = chat_completion_pb2.ChatChoiceDelta
Completion = chat_completion_pb2.ChatCompletion
Parameters = chat_completion_pb2.ChatCompletionParameters

_TAKEN_OUT = (finding_pb2.ACTION_REDACT, finding_pb2.ACTION_REFUSE)
_GUARDED_AS = {"chat": "chat", "completion": "chat", "embedding": "embed"}
_FILTERED = chat_completion_pb2.FINISH_REASON_CONTENT_FILTER


class Guard:
    """Inspects what goes to models and what they say."""

    def __init__(self, guardrail: GuardrailPeer) -> None:
        self._guardrail = guardrail

    async def screen(self, operation: Operation, parameters: Parameters) -> Parameters:
        """Give the parameters as a model may see them.

        Raises:
            PermissionDenied: they may not pass (CONTENT_REFUSED).
        """
        return redact(parameters, await self.screen_texts(operation, asked_segments(parameters)))

    async def screen_texts(
        self, operation: Operation, texts: list[finding_pb2.Segment]
    ) -> Sequence[finding_pb2.Redaction]:
        """Inspect texts that go to a model, note the decision, and give what replaces them."""
        result = await self._guardrail.inspect(
            guardrail_service_pb2.InspectItem(
                context=operation.context,
                direction=finding_pb2.DIRECTION_INPUT,
                segments=texts,
                operation=_GUARDED_AS[operation.kind],
            )
        )
        if result.action == finding_pb2.ACTION_REFUSE:
            raise _refused(result.findings)
        operation.redaction_session = result.redaction_session
        operation.policy_version = result.policy_version
        operation.classification = result.classification
        operation.private_only = result.action == finding_pb2.ACTION_RESTRICT_TO_PRIVATE
        operation.regions = result.regions
        operation.note_redacted(result.findings)
        return result.redactions

    async def release(self, operation: Operation, said: Completion) -> Completion:
        """Give an answer as it may leave: restored, redacted, or cut off with finish reason content_filter."""
        completion = Completion()
        completion.CopyFrom(said)
        await gathered([self.release_choice(operation, choice) for choice in completion.choices])
        return completion

    @asynccontextmanager
    async def release_stream(self, operation: Operation) -> AsyncIterator["StreamRelease"]:
        """Open the inspection of answers that flow."""
        async with self._guardrail.inspect_stream(
            operation.context, operation.redaction_session
        ) as inspection:
            yield StreamRelease(self, operation, inspection)

    async def release_choice(self, operation: Operation, choice: ChatChoice) -> None:
        """Inspect one whole answer in place."""
        texts = segments([choice.message])
        if not texts:
            return
        result = await self._guardrail.inspect(
            guardrail_service_pb2.InspectItem(
                context=operation.context,
                direction=finding_pb2.DIRECTION_OUTPUT,
                segments=texts,
                redaction_session=operation.redaction_session,
            )
        )
        if _replaced(result.findings):
            operation.note_found_in_answer(result.findings)
            # Log probabilities spell out the tokens that were redacted.
            del choice.logprobs[:]
        apply([choice.message], result.redactions)
        if result.action == finding_pb2.ACTION_REFUSE:
            _cut_off(choice, result)


class StreamRelease:
    """Turns the events of answers into what may leave, delta by delta.

    Text leaves as soon as the guardrail lets it. Tool calls, refusals and log probabilities wait for the end of their
    answer: the first two are inspected whole, the last would spell out what is redacted later.
    """

    def __init__(self, guard: Guard, operation: Operation, inspection: OutputInspection) -> None:
        self._guard = guard
        self._operation = operation
        self._inspection = inspection
        self._answers: dict[int, _Held] = {}

    async def release(self, event: Event) -> list[ChoiceDelta]:
        """Take an event and give what may leave."""
        if isinstance(event, Delta):
            return await self._delta(event)
        if isinstance(event, Finished):
            return await self._finish(event)
        return []

    def refused_all(self, answers: int) -> bool:
        """Tell whether nothing of any answer may leave any more, so that going on would be for nothing."""
        return len(self._answers) == answers and all(held.refused for held in self._answers.values())

    async def _delta(self, event: Delta) -> list[ChoiceDelta]:
        held = self._answers.setdefault(event.index, _Held())
        held.keep(event)
        if held.refused or not event.text:
            return []
        decision = await self._inspection.feed(event.index, event.text)
        return [*self._decided(event.index, held, decision)]

    async def _finish(self, event: Finished) -> list[ChoiceDelta]:
        held = self._answers.setdefault(event.index, _Held())
        if held.refused:
            return []
        decision = await self._inspection.finish(event.index)
        deltas = [*self._decided(event.index, held, decision)]
        if held.refused:
            return deltas
        last = ChoiceDelta(index=event.index, finish_reason=event.reason)
        if held.message is not None:
            choice = ChatChoice(message=held.message, finish_reason=event.reason)
            await self._guard.release_choice(self._operation, choice)
            last.finish_reason = choice.finish_reason
            last.refusal = choice.message.refusal
            last.tool_calls.extend(
                chat_completion_pb2.ToolCallDelta(
                    index=position, id=call.id, name=call.function.name, arguments=call.function.arguments
                )
                for position, call in enumerate(choice.message.tool_calls)
            )
        if not held.found:
            last.logprobs.extend(held.logprobs)
        return [*deltas, last]

    def _decided(
        self, index: int, held: "_Held", decision: guardrail_service_pb2.InspectStreamResponse
    ) -> Iterator[ChoiceDelta]:
        if _replaced(decision.findings):
            held.found = True
            self._operation.note_found_in_answer(decision.findings)
        if decision.text:
            yield ChoiceDelta(index=index, content=decision.text)
        if decision.action == finding_pb2.ACTION_REFUSE:
            held.refused = True
            yield ChoiceDelta(index=index, finish_reason=_FILTERED)


class _Held:
    """What waits for the end of one answer."""

    def __init__(self) -> None:
        self.refused = False
        self.found = False
        self.logprobs: list[chat_completion_pb2.TokenLogprob] = []
        self.message: ChatMessage | None = None

    def keep(self, event: Delta) -> None:
        self.logprobs.extend(event.logprobs)
        if not event.tool_calls and not event.refusal:
            return
        if self.message is None:
            self.message = ChatMessage(role=chat_message_pb2.CHAT_ROLE_ASSISTANT)
        if event.refusal:
            self.message.refusal += event.refusal
        for delta in event.tool_calls:
            while len(self.message.tool_calls) <= delta.index:
                self.message.tool_calls.add()
            call = self.message.tool_calls[delta.index]
            call.id = call.id or delta.id
            call.function.name = call.function.name or delta.name
            call.function.arguments += delta.arguments


def _cut_off(choice: ChatChoice, result: guardrail_service_pb2.InspectResult) -> None:
    """End an answer as its stream would have ended: with the text before what is refused, and nothing else."""
    text = choice.message.text if result.redactions else ""
    choice.message.CopyFrom(ChatMessage(role=choice.message.role, text=text))
    choice.finish_reason = _FILTERED


def _replaced(findings: Sequence[finding_pb2.Finding]) -> bool:
    """Tell whether anything that was found does not pass as it is."""
    return any(finding.action in _TAKEN_OUT for finding in findings)


def _refused(findings: Sequence[finding_pb2.Finding]) -> PermissionDenied:
    types = sorted({finding.type for finding in findings if finding.action == finding_pb2.ACTION_REFUSE})
    return PermissionDenied(
        "CONTENT_REFUSED",
        f"The guardrail refused the content: {', '.join(types)}.",
        metadata={"types": ",".join(types)},
    )
