"""AnswerCacheService and AnswerFeedbackService, which callers reach through the router: wire to domain and back."""

from typing import Any

from penstock.cache.v1 import (
    answer_cache_pb2,
    answer_cache_service_pb2,
    answer_cache_service_pb2_grpc,
    answer_feedback_service_pb2,
    answer_feedback_service_pb2_grpc,
)
from servicekit.errors import ServiceError

from penstock_cache.feedback import Judged, Learner, Verdict
from penstock_cache.forgetting import Forgetting
from penstock_cache.standing import Standings
from penstock_cache.wire import read_receipt, read_selector, write_receipt, write_standing


class AnswerCacheServicer(answer_cache_service_pb2_grpc.AnswerCacheServiceServicer):
    """Show an organization's cache, and forget what is in it."""

    def __init__(self, standings: Standings, forgetting: Forgetting) -> None:
        self._standings = standings
        self._forgetting = forgetting

    async def GetAnswerCache(
        self, request: answer_cache_service_pb2.GetAnswerCacheRequest, _context: Any
    ) -> answer_cache_service_pb2.GetAnswerCacheResponse:
        """Tell what is held and what it saved."""
        shown = answer_cache_pb2.AnswerCache(name=request.name)
        write_standing(self._standings.of(_organization(request.name)), shown)
        return answer_cache_service_pb2.GetAnswerCacheResponse(answer_cache=shown)

    async def InvalidateAnswers(
        self, request: answer_cache_service_pb2.InvalidateAnswersRequest, _context: Any
    ) -> answer_cache_service_pb2.InvalidateAnswersResponse:
        """Forget answers."""
        receipt = await self._forgetting.forget(_organization(request.name), read_selector(request.selector))
        response = answer_cache_service_pb2.InvalidateAnswersResponse(entries=receipt.entries)
        write_receipt(receipt, response.receipt)
        return response

    async def VerifyInvalidation(
        self, request: answer_cache_service_pb2.VerifyInvalidationRequest, _context: Any
    ) -> answer_cache_service_pb2.VerifyInvalidationResponse:
        """Check a receipt."""
        holds = await self._forgetting.verify(
            read_receipt(request.receipt), _organization(request.name), read_selector(request.selector)
        )
        return answer_cache_service_pb2.VerifyInvalidationResponse(
            signature_holds=holds.signature, chain_holds=holds.chain, selector_holds=holds.selector
        )


class AnswerFeedbackServicer(answer_feedback_service_pb2_grpc.AnswerFeedbackServiceServicer):
    """Hear whether answers fitted."""

    def __init__(self, learner: Learner) -> None:
        self._learner = learner

    async def ReportAnswer(
        self, request: answer_feedback_service_pb2.ReportAnswerRequest, _context: Any
    ) -> answer_feedback_service_pb2.ReportAnswerResponse:
        """Learn from a verdict."""
        entry_id = request.name.rpartition("/")[2]
        judged = Judged(_organization(request.name), entry_id, Verdict(request.verdict))
        [learnt] = await self._learner.learn([judged])
        if isinstance(learnt, ServiceError):
            raise learnt
        return answer_feedback_service_pb2.ReportAnswerResponse()


def _organization(name: str) -> str:
    """Give `{organization}` of `organizations/{organization}/...`; the contract's rules have checked the form."""
    return name.split("/")[1]
