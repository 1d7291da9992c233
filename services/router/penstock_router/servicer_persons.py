"""Forget a person in every service: one call, a receipt of each, and what is kept all the same."""

from typing import Any

import grpc.aio
from penstock.cache.v1 import answer_cache_pb2, answer_cache_service_pb2, answer_cache_service_pb2_grpc
from penstock.guardrail.v1 import erasure_service_pb2, erasure_service_pb2_grpc
from penstock.router.v1 import person_pb2, person_service_pb2, person_service_pb2_grpc
from servicekit.context import outgoing

from penstock_router.identity import Identity
from penstock_router.peers import unavailable

_KEPT = (
    (
        "billing",
        "what was used and charged, under the user's id",
        "accounts must be kept as long as tax law says; no text is in them",
    ),
    (
        "router",
        "API keys made out to the user",
        "revoking a key is a decision of its own: penstock keys revoke",
    ),
)


class PersonServicer(person_service_pb2_grpc.PersonServiceServicer):
    """Erases persons. What one service did stays done when another fails: the caller does it again."""

    def __init__(self, identity: Identity, guardrail: grpc.aio.Channel, cache: grpc.aio.Channel) -> None:
        self._identity = identity
        self._guardrail: Any = erasure_service_pb2_grpc.ErasureServiceStub(guardrail)
        self._cache: Any = answer_cache_service_pb2_grpc.AnswerCacheServiceStub(cache)

    async def ErasePerson(
        self, request: person_service_pb2.ErasePersonRequest, context: Any
    ) -> person_service_pb2.ErasePersonResponse:
        """Erase a person: the guardrail first, since without its keys what others hold tells nothing redacted."""
        principal = await self._identity.authenticate(tuple(context.invocation_metadata() or ()))
        principal.require_organization(request.parent.removeprefix("organizations/"))
        principal.require_role("admin", "ErasePerson")
        erased = await self._erased(request)
        forgotten = await self._forgotten(request)
        erasure = person_pb2.PersonErasure(
            guardrail=erased.receipt,
            cache=forgotten.receipt,
            cache_entries=forgotten.entries,
            kept=[
                person_pb2.KeptRecords(service=service, records=records, reason=reason)
                for service, records, reason in _KEPT
            ],
        )
        return person_service_pb2.ErasePersonResponse(erasure=erasure)

    async def _erased(
        self, request: person_service_pb2.ErasePersonRequest
    ) -> erasure_service_pb2.ErasePersonResponse:
        asked = erasure_service_pb2.ErasePersonRequest(parent=request.parent, user=request.user)
        try:
            erased: erasure_service_pb2.ErasePersonResponse = await self._guardrail.ErasePerson(
                asked, **outgoing()
            )
        except grpc.aio.AioRpcError as error:
            raise unavailable(error, "guardrail") from error
        return erased

    async def _forgotten(
        self, request: person_service_pb2.ErasePersonRequest
    ) -> answer_cache_service_pb2.InvalidateAnswersResponse:
        asked = answer_cache_service_pb2.InvalidateAnswersRequest(
            name=f"{request.parent}/answerCache", selector=answer_cache_pb2.AnswerSelector(user=request.user)
        )
        try:
            forgotten: answer_cache_service_pb2.InvalidateAnswersResponse = (
                await self._cache.InvalidateAnswers(asked, **outgoing())
            )
        except grpc.aio.AioRpcError as error:
            raise unavailable(error, "cache") from error
        return forgotten
