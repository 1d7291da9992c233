"""GuardrailService: wire to domain and back, nothing else."""

from collections.abc import AsyncIterator
from types import MappingProxyType
from typing import Any

from penstock.context.v1.request_context_pb2 import RequestContext
from penstock.guardrail.v1 import finding_pb2, guardrail_service_pb2, guardrail_service_pb2_grpc
from servicekit.context import deadline_of, from_proto
from servicekit.errors import InvalidArgument, ServiceError

from penstock_guardrail.access import Asker
from penstock_guardrail.answer import Released
from penstock_guardrail.audited_stream import AuditedStream
from penstock_guardrail.case import Direction, Item
from penstock_guardrail.counters import Counters
from penstock_guardrail.policy import Action, Classification, Replacement
from penstock_guardrail.screen import Screen, computed
from penstock_guardrail.trail import Request
from penstock_guardrail.vault import Principal
from penstock_guardrail.verdict import Finding, Verdict

_ACTIONS = MappingProxyType(
    {
        Action.ALLOW: finding_pb2.ACTION_ALLOW,
        Action.REDACT: finding_pb2.ACTION_REDACT,
        Action.RESTRICT_TO_PRIVATE: finding_pb2.ACTION_RESTRICT_TO_PRIVATE,
        Action.REFUSE: finding_pb2.ACTION_REFUSE,
    }
)
_CLASSIFICATIONS = MappingProxyType(
    {
        Classification.PUBLIC: finding_pb2.CLASSIFICATION_PUBLIC,
        Classification.INTERNAL: finding_pb2.CLASSIFICATION_INTERNAL,
        Classification.CONFIDENTIAL: finding_pb2.CLASSIFICATION_CONFIDENTIAL,
        Classification.RESTRICTED: finding_pb2.CLASSIFICATION_RESTRICTED,
    }
)
_REPLACEMENTS = MappingProxyType(
    {
        Replacement.TOKEN: finding_pb2.REPLACEMENT_UNSPECIFIED,
        Replacement.MASK: finding_pb2.REPLACEMENT_MASK,
        Replacement.HASH: finding_pb2.REPLACEMENT_HASH,
    }
)
_DIRECTIONS = MappingProxyType(
    {finding_pb2.DIRECTION_INPUT: Direction.INPUT, finding_pb2.DIRECTION_OUTPUT: Direction.OUTPUT}
)

StreamRequest = guardrail_service_pb2.InspectStreamRequest
StreamResponse = guardrail_service_pb2.InspectStreamResponse


class GuardrailServicer(guardrail_service_pb2_grpc.GuardrailServiceServicer):
    """Serve a Screen."""

    def __init__(self, screen: Screen, counters: Counters) -> None:
        self._screen = screen
        self._counters = counters

    async def Inspect(
        self, request: guardrail_service_pb2.InspectRequest, _context: Any
    ) -> guardrail_service_pb2.InspectResponse:
        """Decide on whole texts."""
        response = guardrail_service_pb2.InspectResponse()
        for outcome, policy_version in await self._screen.inspect([_item(item) for item in request.items]):
            result = response.results.add(policy_version=policy_version)
            if isinstance(outcome, ServiceError):
                result.status.CopyFrom(outcome.to_status())
            else:
                self._counters.found(outcome.findings)
                _write_verdict(outcome, result)
        return response

    async def InspectStream(
        self, requests: AsyncIterator[StreamRequest], _context: Any
    ) -> AsyncIterator[StreamResponse]:
        """Decide on answers as they come."""
        opening = await anext(requests, None)
        if opening is None:
            return
        _check_opening(opening)
        context = from_proto(opening.open.context)
        stream = await self._screen.open_stream(
            _request(opening.open.context), opening.open.redaction_session
        )
        try:
            async for request in requests:
                context.check_deadline()
                choice, released = await _advanced(stream, request)
                self._counters.found(released.findings)
                self._counters.held(released.held_characters)
                yield _response(choice, released, finished=request.HasField("finish"))
        finally:
            await stream.abandon()


def _item(item: guardrail_service_pb2.InspectItem) -> Item:
    context = item.context
    return Item(
        _request(context, item.operation or "chat"),
        _DIRECTIONS[item.direction],
        [segment.text for segment in item.segments],
        item.redaction_session,
        deadline_of(context),
        [segment.role for segment in item.segments],
    )


def _request(context: RequestContext, operation: str = "chat") -> Request:
    asker = Asker(tuple(context.roles), operation, context.region)
    principal = Principal(context.organization, context.user)
    return Request(principal, asker, context.api_key, context.request_id)


def _write_verdict(verdict: Verdict, result: guardrail_service_pb2.InspectResult) -> None:
    result.action = _ACTIONS[verdict.action]
    result.classification = _CLASSIFICATIONS[verdict.classification]
    result.redaction_session = verdict.redaction_session
    result.regions.extend(verdict.regions)
    for position, text in verdict.texts.items():
        result.redactions.add(segment_index=position, text=text)
    result.findings.extend(map(_finding, verdict.findings))


def _finding(finding: Finding) -> finding_pb2.Finding:
    return finding_pb2.Finding(
        type=finding.type,
        segment_index=finding.segment,
        start=finding.start,
        end=finding.end,
        confidence=finding.confidence,
        recognizer=finding.recognizer,
        evidence=finding.evidence,
        action=_ACTIONS[finding.action],
        replacement=_REPLACEMENTS[finding.replacement],
    )


def _check_opening(request: StreamRequest) -> None:
    if not request.HasField("open"):
        raise _out_of_order("message", "The first message opens the stream.")
    if request.open.direction != finding_pb2.DIRECTION_OUTPUT:
        raise _out_of_order("open.direction", "Streams are of answers; prompts go through Inspect.")


async def _advanced(stream: AuditedStream, request: StreamRequest) -> tuple[int, Released]:
    if request.HasField("delta"):
        choice, text = request.delta.choice_index, request.delta.text
        return choice, await computed(len(text), lambda: stream.push(choice, text))
    if request.HasField("finish"):
        return request.finish.choice_index, await stream.finish(request.finish.choice_index)
    raise _out_of_order("message", "The stream is open already.")


def _response(choice: int, released: Released, *, finished: bool) -> StreamResponse:
    return StreamResponse(
        choice_index=choice,
        text=released.text,
        findings=map(_finding, released.findings),
        action=_ACTIONS[released.action],
        held_characters=released.held_characters,
        finished=finished,
    )


def _out_of_order(field: str, message: str) -> InvalidArgument:
    return InvalidArgument("INVALID_ARGUMENT", message, metadata={"field": field})
