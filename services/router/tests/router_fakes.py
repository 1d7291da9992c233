"""Peers of the router, written by hand: small, honest to the contract, and told by a test when to fail."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
from google.protobuf.timestamp_pb2 import Timestamp
from penstock.billing.v1 import (
    hold_service_pb2,
    hold_service_pb2_grpc,
    usage_correction_service_pb2,
    usage_correction_service_pb2_grpc,
    usage_service_pb2,
    usage_service_pb2_grpc,
)
from penstock.cache.v1 import (
    answer_cache_service_pb2,
    answer_cache_service_pb2_grpc,
    answer_feedback_service_pb2,
    answer_feedback_service_pb2_grpc,
    cache_entry_pb2,
    cache_service_pb2,
    cache_service_pb2_grpc,
)
from penstock.guardrail.v1 import finding_pb2, guardrail_service_pb2, guardrail_service_pb2_grpc
from penstock.inference.v1 import inference_service_pb2, inference_service_pb2_grpc
from penstock.router.v1 import chat_completion_pb2
from servicekit.errors import NotFound, ResourceExhausted
from testkit.waiting import SECONDS_MAX

EMAIL = "ada@example.com"
TOKEN = "[EMAIL_ADDRESS_1:k7q2]"
FORBIDDEN = "-----BEGIN PRIVATE KEY-----"


class FakeGuardrail(guardrail_service_pb2_grpc.GuardrailServiceServicer):
    """Knows one address, which it replaces by a token, and one key, which it refuses."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def Inspect(self, request: Any, context: Any) -> Any:
        return guardrail_service_pb2.InspectResponse(results=[self._inspect(item) for item in request.items])

    def _inspect(self, item: Any) -> Any:
        result = guardrail_service_pb2.InspectResult(
            action=finding_pb2.ACTION_ALLOW,
            classification=finding_pb2.CLASSIFICATION_PUBLIC,
            policy_version="p1",
        )
        for index, segment in enumerate(item.segments):
            self.seen.append(segment.text)
            if FORBIDDEN in segment.text:
                result.action = finding_pb2.ACTION_REFUSE
                result.findings.add(type="PRIVATE_KEY", segment_index=index, action=finding_pb2.ACTION_REFUSE)
            if "Rome" in segment.text:
                result.findings.add(type="PLACE", segment_index=index, action=finding_pb2.ACTION_ALLOW)
            if item.direction == finding_pb2.DIRECTION_INPUT and EMAIL in segment.text:
                result.redactions.add(segment_index=index, text=segment.text.replace(EMAIL, TOKEN))
                result.findings.add(
                    type="EMAIL_ADDRESS", segment_index=index, action=finding_pb2.ACTION_REDACT
                )
                result.classification = finding_pb2.CLASSIFICATION_CONFIDENTIAL
                result.redaction_session = "session"
            if (
                item.direction == finding_pb2.DIRECTION_OUTPUT
                and TOKEN in segment.text
                and item.redaction_session
            ):
                result.redactions.add(segment_index=index, text=segment.text.replace(TOKEN, EMAIL))
        return result

    async def InspectStream(self, request_iterator: Any, context: Any) -> AsyncIterator[Any]:
        held: dict[int, str] = {}
        session = ""
        async for request in request_iterator:
            if request.HasField("open"):
                session = request.open.redaction_session
                continue
            finish = request.HasField("finish")
            index = request.finish.choice_index if finish else request.delta.choice_index
            held[index] = held.get(index, "") + request.delta.text
            text, action = held[index], finding_pb2.ACTION_ALLOW
            if FORBIDDEN in text:
                action, text = finding_pb2.ACTION_REFUSE, ""
            elif not finish and "[" in text:
                text = ""
            held[index] = held[index] if not text else ""
            if session:
                text = text.replace(TOKEN, EMAIL)
            yield guardrail_service_pb2.InspectStreamResponse(
                choice_index=index, text=text, action=action, finished=finish
            )


class FakeCache(
    cache_service_pb2_grpc.CacheServiceServicer,
    answer_cache_service_pb2_grpc.AnswerCacheServiceServicer,
    answer_feedback_service_pb2_grpc.AnswerFeedbackServiceServicer,
):
    """Keeps what it is given, by partition and conversation."""

    def __init__(self) -> None:
        self.entries: dict[bytes, Any] = {}
        self.stored = asyncio.Event()
        self.looked_up: list[Any] = []
        self.kept: list[Any] = []
        self.by_meaning: Any = None  # a CacheHit for every question that has a text
        self.shadow = False  # whether that is only to be compared
        self.compared: list[Any] = []
        self.flights: dict[bytes, str] = {}  # who generates
        self.predicted: list[str] = []  # what comes after every question

    async def Lookup(self, request: Any, context: Any) -> Any:
        response = cache_service_pb2.LookupResponse()
        for item in request.items:
            result = response.results.add()
            self.looked_up.append(item)
            entry = self.entries.get(_key(item))
            if entry is not None:
                at = Timestamp()
                at.GetCurrentTime()
                result.hit.answer.CopyFrom(entry)
                result.hit.store_time.CopyFrom(at)
                result.hit.similarity = 1
                result.hit.tier = cache_entry_pb2.CACHE_TIER_L1
            elif self.by_meaning is not None and item.query_text:
                (result.shadow if self.shadow else result.hit).CopyFrom(self.by_meaning)
            if item.predictions_max:
                for text in self.predicted:
                    result.predictions.add(query_text=text, probability=0.5)
            if item.flight_id and not result.HasField("hit"):
                result.flight.leader_flight_id = self.flights.setdefault(_key(item), item.flight_id)
        return response

    async def AwaitFlight(self, request: Any, context: Any) -> Any:
        item = request.item
        while True:
            (result,) = (await self.Lookup(cache_service_pb2.LookupRequest(items=[item]), context)).results
            if result.HasField("hit") or result.flight.leader_flight_id == item.flight_id:
                return cache_service_pb2.AwaitFlightResponse(result=result)
            await asyncio.sleep(0.01)

    async def EndFlights(self, request: Any, context: Any) -> Any:
        ended = {item.flight_id for item in request.items}
        self.flights = {key: leader for key, leader in self.flights.items() if leader not in ended}
        return cache_service_pb2.EndFlightsResponse()

    async def Feedback(self, request: Any, context: Any) -> Any:
        self.compared.extend(request.items)
        return cache_service_pb2.FeedbackResponse(
            results=[cache_service_pb2.FeedbackResult() for _ in request.items]
        )

    async def InvalidateAnswers(self, request: Any, context: Any) -> Any:
        count = len(self.entries)
        self.entries.clear()
        return answer_cache_service_pb2.InvalidateAnswersResponse(entries=count)

    async def GetAnswerCache(self, request: Any, context: Any) -> Any:
        return answer_cache_service_pb2.GetAnswerCacheResponse()

    async def ReportAnswer(self, request: Any, context: Any) -> Any:
        return answer_feedback_service_pb2.ReportAnswerResponse()

    async def Store(self, request: Any, context: Any) -> Any:
        for item in request.items:
            self.entries[_key(item)] = item.answer
            self.kept.append(item)
            self.flights.pop(_key(item), None)
        self.stored.set()
        return cache_service_pb2.StoreResponse(
            results=[cache_service_pb2.StoreResult() for _ in request.items]
        )


def _key(item: Any) -> bytes:
    return bytes(item.partition.SerializeToString(deterministic=True) + item.conversation_digest)


class FakeBilling(
    hold_service_pb2_grpc.HoldServiceServicer,
    usage_service_pb2_grpc.UsageServiceServicer,
    usage_correction_service_pb2_grpc.UsageCorrectionServiceServicer,
):
    """Prices input at 1,000,000 and output at 2,000,000 nanos a million tokens, so at 1 and 2 nanos a token."""

    def __init__(self) -> None:
        self.authorized: dict[str, Any] = {}
        self.settled: dict[str, Any] = {}
        self.released: set[str] = set()
        self.max_tokens: int | None = None
        self.rates: list[Any] = []
        self.refuse = False
        self.closed = asyncio.Event()
        self.lapsed: list[Any] = []
        self.extended: list[Any] = []
        self.held = asyncio.Event()  # cleared: who asks for admission waits
        self.held.set()

    async def Authorize(self, request: Any, context: Any) -> Any:
        await self.held.wait()
        response = hold_service_pb2.AuthorizeResponse()
        for item in request.items:
            result = response.results.add()
            if self.refuse:
                result.status.CopyFrom(ResourceExhausted("BUDGET_EXCEEDED", "Used up.").to_status())
                continue
            self.authorized[item.operation_id] = item
            result.max_tokens = item.max_tokens if self.max_tokens is None else self.max_tokens
            result.clamped = result.max_tokens < item.max_tokens
            result.rate_limits.extend(self.rates)
            for sku in item.skus:
                result.prices.add(
                    sku=sku, input_nanos_per_million=1_000_000, output_nanos_per_million=2_000_000
                )
        return response

    async def Settle(self, request: Any, context: Any) -> Any:
        for item in request.items:
            self.settled[item.operation_id] = item
        self.closed.set()
        return hold_service_pb2.SettleResponse(
            results=[hold_service_pb2.SettleResult() for _ in request.items]
        )

    async def Release(self, request: Any, context: Any) -> Any:
        self.released.update(item.operation_id for item in request.items)
        self.closed.set()
        return hold_service_pb2.ReleaseResponse(
            results=[hold_service_pb2.ReleaseResult() for _ in request.items]
        )

    async def Extend(self, request: Any, context: Any) -> Any:
        self.extended.extend(request.items)
        return hold_service_pb2.ExtendResponse(
            results=[hold_service_pb2.ExtendResult() for _ in request.items]
        )

    async def ClaimLapsedHolds(self, request: Any, context: Any) -> Any:
        claimed, self.lapsed = self.lapsed, []
        return hold_service_pb2.ClaimLapsedHoldsResponse(holds=claimed)

    async def QueryUsage(self, request: Any, context: Any) -> Any:
        response = usage_service_pb2.QueryUsageResponse()
        response.rows.add(group=[request.parent], operations=len(self.settled))
        return response

    async def CreateUsageCorrection(self, request: Any, context: Any) -> Any:
        response = usage_correction_service_pb2.CreateUsageCorrectionResponse()
        response.usage_correction.actor = dict(context.invocation_metadata())["x-api-key-id"]
        return response

    async def only_settlement(self) -> Any:
        """Wait for the one settlement of a test."""
        async with asyncio.timeout(SECONDS_MAX):
            await self.closed.wait()
        (item,) = self.settled.values()
        return item


VOCABULARY = ["ask", "the", "oracle", EMAIL]


def words_of(prompt: Any) -> list[str]:
    """Read an input as the fake's tokens."""
    if prompt.WhichOneof("input") == "tokens":
        return [VOCABULARY[token] for token in prompt.tokens.ids]
    return [
        word for text in (prompt.prompt, *(m.text for m in prompt.chat.messages)) for word in text.split()
    ]


@dataclass
class FakeInference(inference_service_pb2_grpc.InferenceServiceServicer):
    """Says the words it is given, one token each; counts a prompt's words; dies, hangs or refuses when told."""

    words: list[str] = field(default_factory=lambda: ["The", " capital", " is", " Paris."])
    prompts: list[Any] = field(default_factory=list)
    fail_after: int | None = None
    fail_code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE
    hang_after: int | None = None
    context_tokens: int = 2048
    pause_seconds: float = 0  # before each word
    dies: bool = False  # a failure takes the whole process with it
    down: bool = False
    produced: dict[str, int] = field(default_factory=dict)
    refused: int = 0  # calls that came while it was down
    hung: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)  # ends a hang
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)

    async def CountTokens(self, request: Any, context: Any) -> Any:
        response = inference_service_pb2.CountTokensResponse()
        for item in request.items:
            words = len(words_of(item.input))
            response.results.add(prompt_tokens=words, context_tokens=self.context_tokens)
        return response

    async def DecodeTokens(self, request: Any, context: Any) -> Any:
        response = inference_service_pb2.DecodeTokensResponse()
        for item in request.items:
            response.results.add(text=" ".join(VOCABULARY[token] for token in item.tokens.ids))
        return response

    async def ListModels(self, request: Any, context: Any) -> Any:
        await self._check_up(context)
        response = inference_service_pb2.ListModelsResponse()
        response.models.add(id="smollm2", engine="onnxruntime-cpu", weights_kind="int8")
        return response

    async def Generate(self, request: Any, context: Any) -> AsyncIterator[Any]:
        await self._check_up(context)
        self.prompts.append(request)
        started = inference_service_pb2.GenerateResponse()
        words = words_of(request.input)
        started.started.prompt_tokens = len(words)
        if request.sampling.prompt_logprobs:
            started.started.first_token_utf8 = words[0].encode()
            for word in words[1:]:
                started.started.prompt_logprobs.add(token=f" {word}", utf8=f" {word}".encode(), logprob=-2)
        yield started
        try:
            for index in range(request.n or 1):
                async for response in self._answer(request, index, context):
                    yield response
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    async def _answer(self, request: Any, index: int, context: Any) -> AsyncIterator[Any]:
        words = self.words[: request.sampling.max_tokens]
        for count, word in enumerate(words, 1):
            if self.fail_after is not None and count > self.fail_after:
                self.down = self.dies
                await context.abort(self.fail_code, "killed")
            if self.hang_after is not None and count > self.hang_after:
                self.hung.set()
                await self.go_on.wait()
            await asyncio.sleep(self.pause_seconds)
            self.produced[request.operation_id] = self.produced.get(request.operation_id, 0) + 1
            delta = inference_service_pb2.GenerateResponse()
            delta.delta.choice_index = index
            delta.delta.text = word
            delta.delta.completion_tokens = count
            yield delta
        finished = inference_service_pb2.GenerateResponse()
        finished.finished.choice_index = index
        finished.finished.completion_tokens = len(words)
        cut = len(words) < len(self.words)
        finished.finished.finish_reason = (
            chat_completion_pb2.FINISH_REASON_LENGTH if cut else chat_completion_pb2.FINISH_REASON_STOP
        )
        yield finished

    async def GetUsage(self, request: Any, context: Any) -> Any:
        await self._check_up(context)
        response = inference_service_pb2.GetUsageResponse()
        for item in request.items:
            result = response.results.add()
            if item.operation_id in self.produced:
                tokens = self.produced[item.operation_id]
                result.attempts.add(model="smollm2", prompt_tokens=3, completion_tokens=tokens, ended=True)
            else:
                result.status.CopyFrom(NotFound("RESOURCE_NOT_FOUND", "Not journaled.").to_status())
        return response

    async def _check_up(self, context: Any) -> None:
        if self.down:
            self.refused += 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "restarting")

    async def Embed(self, request: Any, context: Any) -> Any:
        response = inference_service_pb2.EmbedResponse()
        for item in request.items:
            response.results.add(vector=b"\x00\x00\x80\x3f" * 4, prompt_tokens=len(item.text.split()))
        return response
