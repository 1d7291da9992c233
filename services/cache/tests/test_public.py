"""What callers reach through the router: standing, forgetting and feedback, through the real server."""

import time

import grpc.aio
import pytest
import pytest_asyncio
from penstock.cache.v1 import (
    answer_cache_pb2,
    answer_cache_service_pb2,
    answer_feedback_service_pb2,
    cache_entry_pb2,
)
from penstock.cache.v1 import cache_service_pb2 as wire
from penstock.cache.v1.answer_cache_service_pb2_grpc import AnswerCacheServiceStub
from penstock.cache.v1.answer_feedback_service_pb2_grpc import AnswerFeedbackServiceStub
from penstock.cache.v1.cache_service_pb2_grpc import CacheServiceStub
from penstock_cache.server import build
from penstock_cache.settings import CacheSettings
from servicekit.channel import connect
from servicekit.errors import from_rpc_error
from servicekit.server import running

NAME = "organizations/acme/answerCache"


@pytest_asyncio.fixture
async def channel(tmp_path):
    settings = CacheSettings(grpc_port=0, http_port=0, data_dir=tmp_path)
    async with build(settings) as service, running(service) as server, connect(server.address) as opened:
        yield opened


def item(kind, organization="acme", conversation=b"c"):
    made = kind(conversation_digest=conversation * 32)
    made.context.organization = made.partition.organization = organization
    made.context.request_id, made.context.user = "r", "u"
    made.partition.scope = cache_entry_pb2.SHARING_SCOPE_ORGANIZATION
    made.partition.operation, made.partition.model, made.partition.prompt_version = "chat", "smollm2", "7"
    made.partition.conditions_digest, made.partition.instructions_digest = b"1" * 32, b"2" * 32
    return made


async def store(channel, organization="acme", *, ahead=False):
    stored = item(wire.StoreItem, organization)
    stored.ahead = ahead
    stored.answer.MergeFrom(cache_entry_pb2.CachedAnswer(body=b"a", cost_nanos=70, generation_ms=900))
    stored.tags.append("t")
    await CacheServiceStub(channel).Store(wire.StoreRequest(items=[stored]))


async def look_up(channel, organization="acme", conversation=b"c"):
    request = wire.LookupRequest(items=[item(wire.LookupItem, organization, conversation)])
    [result] = (await CacheServiceStub(channel).Lookup(request)).results
    return result.HasField("hit")


async def standing(channel, name=NAME):
    request = answer_cache_service_pb2.GetAnswerCacheRequest(name=name)
    return (await AnswerCacheServiceStub(channel).GetAnswerCache(request)).answer_cache


async def invalidate(channel, name=NAME, **selector):
    request = answer_cache_service_pb2.InvalidateAnswersRequest(
        name=name, selector=answer_cache_pb2.AnswerSelector(**selector)
    )
    return await AnswerCacheServiceStub(channel).InvalidateAnswers(request)


async def test_an_organization_sees_what_its_own_answers_save(channel):
    await store(channel)
    await store(channel, "beta")
    for conversation in (b"c", b"c", b"d"):
        await look_up(channel, conversation=conversation)
    await look_up(channel, "beta")
    shown = await standing(channel)
    assert (shown.answers, shown.lookups, shown.exact_hits) == (1, 3, 2)
    assert (shown.saved_cost_nanos, shown.saved_generation_ms) == (140, 1800)
    assert shown.size_bytes > 0
    assert await standing(channel, "organizations/new/answerCache") == answer_cache_pb2.AnswerCache(
        name="organizations/new/answerCache"
    )


@pytest.mark.parametrize(
    "selector",
    [{"user": "u"}, {"tag": "t"}, {"model": "smollm2"}, {"prompt_version": "7"}, {"everything": True}],
)
async def test_answers_are_forgotten_by_what_names_them_and_the_receipt_holds(channel, selector):
    await store(channel)
    forgotten = await invalidate(channel, **selector)
    assert forgotten.entries == 1
    assert not await look_up(channel)
    request = answer_cache_service_pb2.VerifyInvalidationRequest(
        name=NAME, receipt=forgotten.receipt, selector=answer_cache_pb2.AnswerSelector(**selector)
    )
    stub = AnswerCacheServiceStub(channel)
    holds = answer_cache_service_pb2.VerifyInvalidationResponse(
        signature_holds=True, chain_holds=True, selector_holds=True
    )
    assert await stub.VerifyInvalidation(request) == holds
    request.selector.user = "somebody else"
    assert not (await stub.VerifyInvalidation(request)).selector_holds


async def test_nobody_forgets_the_answers_of_another_organization(channel):
    await store(channel)
    assert not (await invalidate(channel, "organizations/beta/answerCache", everything=True)).entries
    assert await look_up(channel)


async def test_who_says_nothing_to_forget_is_refused(channel):
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await invalidate(channel)
    assert from_rpc_error(refused.value).reason == "INVALID_ARGUMENT"


async def test_an_answer_that_is_not_known_cannot_be_reported(channel):
    request = answer_feedback_service_pb2.ReportAnswerRequest(
        name="organizations/acme/cachedAnswers/ab12", verdict=wire.VERDICT_WRONG
    )
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await AnswerFeedbackServiceStub(channel).ReportAnswer(request)
    assert from_rpc_error(refused.value).reason == "RESOURCE_NOT_FOUND"


async def test_what_was_answered_ahead_is_told_apart_until_it_is_asked_for(channel):
    await store(channel, ahead=True)
    request = wire.LookupRequest(items=[item(wire.LookupItem)])
    stub = CacheServiceStub(channel)
    tiers = [(await stub.Lookup(request)).results[0].hit.tier for _ in range(2)]
    assert tiers == [cache_entry_pb2.CACHE_TIER_L4, cache_entry_pb2.CACHE_TIER_L1]
    shown = await standing(channel)
    assert (shown.ahead_answers, shown.ahead_useful, shown.ahead_wasted) == (1, 1, 0)


async def test_looking_whether_an_answer_is_known_ahead_is_no_use_of_it(channel):
    await store(channel, ahead=True)
    asked = item(wire.LookupItem)
    asked.ahead = True
    stub = CacheServiceStub(channel)
    assert (await stub.Lookup(wire.LookupRequest(items=[asked]))).results[0].HasField("hit")
    shown = await standing(channel)
    assert (shown.ahead_useful, shown.lookups) == (0, 0)


async def test_the_time_of_a_lookup_can_be_made_to_tell_nothing(tmp_path):
    settings = CacheSettings(grpc_port=0, http_port=0, data_dir=tmp_path, lookup_seconds_min=0.05)
    async with build(settings) as service, running(service) as server, connect(server.address) as opened:
        await store(opened)
        for conversation, is_hit in ((b"c", True), (b"d", False)):
            began = time.monotonic()
            assert await look_up(opened, conversation=conversation) is is_hit
            assert time.monotonic() - began >= settings.lookup_seconds_min
