"""CacheService: wire to domain and back, nothing else."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from penstock.cache.v1 import cache_service_pb2, cache_service_pb2_grpc
from servicekit.errors import ServiceError

from penstock_cache.entry import Answer, Entry
from penstock_cache.feedback import Learner
from penstock_cache.forgetting import Forgetting
from penstock_cache.lookup import AnswerCache
from penstock_cache.policy import Circumstances
from penstock_cache.prediction.predictor import Predictor
from penstock_cache.question import Answered, Hit, Question, Tier
from penstock_cache.rooms import Rooms
from penstock_cache.single_flight import SingleFlight
from penstock_cache.wire import (
    VERDICTS,
    read_age_max,
    read_deadline,
    read_judged,
    read_receipt,
    read_seconds,
    read_selector,
    write_flight,
    write_found,
    write_kept,
    write_predictions,
    write_receipt,
)


@dataclass(frozen=True, slots=True)
class Beside:
    """What is served beside the cache itself."""

    flights: SingleFlight
    learner: Learner
    forgetting: Forgetting
    predictor: Predictor


class CacheServicer(cache_service_pb2_grpc.CacheServiceServicer):
    """Serve an AnswerCache. The clock gives seconds since the epoch."""

    def __init__(
        self,
        cache: AnswerCache,
        beside: Beside,
        rooms: Rooms,
        clock: Callable[[], float],
        lookup_seconds_min: float = 0.0,
    ) -> None:
        self._cache = cache
        self._flights = beside.flights
        self._learner = beside.learner
        self._forgetting = beside.forgetting
        self._predictor = beside.predictor
        self._rooms = rooms
        self._clock = clock
        self._lookup_seconds_min = lookup_seconds_min

    async def Lookup(
        self, request: cache_service_pb2.LookupRequest, _context: Any
    ) -> cache_service_pb2.LookupResponse:
        """Look for answers."""
        if not self._lookup_seconds_min:
            return await self._look_up(request)
        response, _ = await asyncio.gather(self._look_up(request), asyncio.sleep(self._lookup_seconds_min))
        return response

    async def Store(
        self, request: cache_service_pb2.StoreRequest, _context: Any
    ) -> cache_service_pb2.StoreResponse:
        """Keep answers."""
        answers = [self._answered(item) for item in request.items]
        response = cache_service_pb2.StoreResponse()
        for kept in await self._cache.keep(answers, self._clock()):
            write_kept(kept, response.results.add())
        for item in request.items:
            if item.flight_id:
                await self._flights.end(item.context.organization, item.flight_id)
        return response

    async def AwaitFlight(
        self, request: cache_service_pb2.AwaitFlightRequest, _context: Any
    ) -> cache_service_pb2.AwaitFlightResponse:
        """Wait for what another generates."""
        item = request.item
        question = self._question(item, read_age_max(item))
        response = cache_service_pb2.AwaitFlightResponse()
        found = await self._flights.wait(question, item.flight_id)
        if isinstance(found, Entry):
            write_found(Hit(found, Tier.L1, similarity=1.0), response.result)
        else:
            write_flight(found, response.result)
        return response

    async def RenewFlights(
        self, request: cache_service_pb2.RenewFlightsRequest, _context: Any
    ) -> cache_service_pb2.RenewFlightsResponse:
        """Lengthen leases."""
        leads = [
            await self._flights.renew(item.context.organization, item.flight_id) for item in request.items
        ]
        return cache_service_pb2.RenewFlightsResponse(leads=leads)

    async def EndFlights(
        self, request: cache_service_pb2.EndFlightsRequest, _context: Any
    ) -> cache_service_pb2.EndFlightsResponse:
        """End flights."""
        for item in request.items:
            await self._flights.end(item.context.organization, item.flight_id)
        return cache_service_pb2.EndFlightsResponse()

    async def Feedback(
        self, request: cache_service_pb2.FeedbackRequest, _context: Any
    ) -> cache_service_pb2.FeedbackResponse:
        """Learn whether answers fitted."""
        response = cache_service_pb2.FeedbackResponse()
        for learnt in await self._learner.learn([read_judged(item) for item in request.items]):
            result = response.results.add()
            if isinstance(learnt, ServiceError):
                result.status.CopyFrom(learnt.to_status())
            else:
                result.verdict = VERDICTS[learnt]
        return response

    async def Invalidate(
        self, request: cache_service_pb2.InvalidateRequest, _context: Any
    ) -> cache_service_pb2.InvalidateResponse:
        """Forget answers."""
        receipt = await self._forgetting.forget(request.organization, read_selector(request))
        response = cache_service_pb2.InvalidateResponse(entries=receipt.entries)
        write_receipt(receipt, response.receipt)
        return response

    async def VerifyErasure(
        self, request: cache_service_pb2.VerifyErasureRequest, _context: Any
    ) -> cache_service_pb2.VerifyErasureResponse:
        """Check a receipt."""
        erased = request.erased
        holds = await self._forgetting.verify(
            read_receipt(request.receipt), erased.organization, read_selector(erased)
        )
        return cache_service_pb2.VerifyErasureResponse(
            signature_holds=holds.signature, chain_holds=holds.chain, selector_holds=holds.selector
        )

    async def _look_up(self, request: cache_service_pb2.LookupRequest) -> cache_service_pb2.LookupResponse:
        questions = [
            self._question(item, read_age_max(item), exact_only=item.exact_only) for item in request.items
        ]
        response = cache_service_pb2.LookupResponse()
        found = await self._cache.look_up(questions, self._clock())
        for item, question, each in zip(request.items, questions, found, strict=True):
            result = response.results.add()
            write_found(each, result)
            if each is None and item.flight_id:
                write_flight(await self._flights.join(question, item.flight_id), result)
            if item.predictions_max and not isinstance(each, ServiceError):
                predictions = self._predictor.observe(question, self._clock())
                write_predictions(predictions[: item.predictions_max], result)
        return response

    def _question(
        self,
        item: cache_service_pb2.LookupItem | cache_service_pb2.StoreItem,
        age_seconds_max: float,
        *,
        exact_only: bool = False,
    ) -> Question:
        context = item.context
        room = self._rooms.read(item.partition)
        return Question(
            context.organization,
            context.user,
            read_deadline(context),
            room,
            room.key(item.conversation_digest),
            age_seconds_max,
            item.query_text,
            item.history_digest,
            exact_only=exact_only,
            ahead=item.ahead,
        )

    def _answered(self, item: cache_service_pb2.StoreItem) -> Answered:
        wire = item.answer
        return Answered(
            question=self._question(item, math.inf),
            answer=Answer(wire.body, wire.cost_nanos, wire.generation_ms),
            ttl_seconds=read_seconds(item.ttl) if item.HasField("ttl") else math.inf,
            tags=tuple(item.tags),
            circumstances=Circumstances(
                item.outcome, item.classification, item.temperature, item.tools_offered, item.ahead
            ),
        )
