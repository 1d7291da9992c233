"""An encoder that is away, slow or overloaded costs no one more than a moment, and comes back by itself."""

import asyncio

import numpy as np
import pytest
from penstock.inference.v1 import inference_service_pb2 as wire
from penstock.inference.v1.inference_service_pb2_grpc import (
    InferenceServiceServicer,
    InferenceServiceStub,
    add_InferenceServiceServicer_to_server,
)
from penstock_cache.breaker import FAILURES_MAX, OPEN_SECONDS, Breaker
from penstock_cache.peers import LISTS_MAX, TEXTS_MAX, EmbedPeer
from servicekit.metrics import Metrics
from testkit.waiting import SECONDS_MAX, until

VECTOR = np.arange(4, dtype="<f4")


class Encoder(InferenceServiceServicer):
    """Answers at once, or never, and counts what it was asked."""

    def __init__(self):
        self.lists = 0
        self.hangs = False
        self.fingerprint = "1"

    async def ListModels(self, _request, _context):
        return wire.ListModelsResponse(models=[wire.LoadedModel(id="minilm", fingerprint=self.fingerprint)])

    async def Embed(self, request, _context):
        self.lists += 1
        if self.hangs:
            await asyncio.Event().wait()
        return wire.EmbedResponse(results=[wire.EmbedResult(vector=VECTOR.tobytes()) for _ in request.items])


@pytest.fixture
def grpc_servicer():
    return Encoder()


@pytest.fixture
def grpc_add_to_server():
    return add_InferenceServiceServicer_to_server


@pytest.fixture
def grpc_stub_cls():
    return InferenceServiceStub


@pytest.fixture
def peer(grpc_channel):
    return EmbedPeer(grpc_channel, "minilm", Metrics())


TEXT = [("acme", "hello")]


async def test_texts_come_back_as_vectors_in_order_with_the_encoder_named(peer):
    vectors = await peer.embed([*TEXT, *TEXT], SECONDS_MAX)
    assert np.array_equal(vectors, [VECTOR, VECTOR])
    assert peer.fingerprint == "1"


async def test_what_a_list_may_not_hold_is_not_embedded(peer, grpc_servicer):
    vectors = await peer.embed(TEXT * (TEXTS_MAX + 2), SECONDS_MAX)
    assert [vector is None for vector in vectors] == [False] * TEXTS_MAX + [True] * 2
    assert grpc_servicer.lists == 1


async def test_a_hanging_encoder_is_given_up_and_then_not_asked(peer, grpc_servicer):
    grpc_servicer.hangs = True
    for _ in range(FAILURES_MAX):
        assert await peer.embed(TEXT, 0.05) == [None]

    async def is_left_alone():
        before = grpc_servicer.lists
        assert await peer.embed(TEXT, 0.05) == [None]
        return grpc_servicer.lists == before

    await until(is_left_alone)
    assert grpc_servicer.lists <= FAILURES_MAX + 1


async def test_so_many_lists_and_no_more_are_under_way(peer, grpc_servicer):
    await peer.embed(TEXT, SECONDS_MAX)
    grpc_servicer.hangs = True
    waiting = [asyncio.create_task(peer.embed(TEXT, SECONDS_MAX)) for _ in range(LISTS_MAX)]
    await until(lambda: grpc_servicer.lists >= 1 + LISTS_MAX)
    assert await peer.embed(TEXT, SECONDS_MAX) == [None]
    assert grpc_servicer.lists == 1 + LISTS_MAX
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    grpc_servicer.hangs = False
    [vector] = await peer.embed(TEXT, SECONDS_MAX)
    assert vector is not None


def test_a_breaker_lets_one_call_try_again_after_a_while():
    breaker = Breaker()
    for _ in range(FAILURES_MAX):
        assert breaker.allows(0.0)
        breaker.failed(0.0)
    assert not breaker.allows(OPEN_SECONDS / 2)
    assert breaker.allows(OPEN_SECONDS)
    assert not breaker.allows(OPEN_SECONDS)
    breaker.succeeded()
    assert breaker.allows(OPEN_SECONDS)
