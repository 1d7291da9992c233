"""The inference service, as the cache calls it: texts to vectors, briefly or not at all."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import grpc.aio
import numpy as np
from penstock.inference.v1 import inference_service_pb2, inference_service_pb2_grpc
from servicekit.channel import connect
from servicekit.context import new_request_id, outgoing
from servicekit.errors import DeadlineExceeded
from servicekit.logging import get_logger
from servicekit.metrics import Metrics

from penstock_cache.breaker import Breaker
from penstock_cache.semantic.vectors import Vector

TEXTS_MAX = 32  # of one list; more would not be answered in time
LISTS_MAX = 4  # under way at once
FINGERPRINT_SECONDS_MAX = 10.0

log = get_logger(__name__)


class EmbedPeer:
    """Embeds texts, and never makes anyone wait for an encoder that is away, slow or overloaded.

    Args:
        channel: to the inference service.
        model: id of the encoder.
        metrics: counts texts by outcome.
    """

    def __init__(self, channel: grpc.aio.Channel, model: str, metrics: Metrics) -> None:
        self.fingerprint = ""  # of the encoder; vectors of different ones are not comparable
        self._stub = inference_service_pb2_grpc.InferenceServiceStub(channel)
        self._model = model
        self._breaker = Breaker()
        self._lists = 0
        self._checked_at = -FINGERPRINT_SECONDS_MAX
        texts = metrics.counter("cache_embeddings_total", "Texts to embed, by outcome.", ["outcome"])
        self._embedded = texts.labels("embedded")
        self._given_up = texts.labels("given_up")

    async def embed(self, texts: Sequence[tuple[str, str]], seconds_max: float) -> list[Vector | None]:
        """Give the unit vectors of texts, each with the organization that asks, in order.

        None stands for what was not embedded in time. Beyond TEXTS_MAX texts, or
        while LISTS_MAX lists are under way, nothing is embedded.
        """
        asked = texts[:TEXTS_MAX]
        vectors: list[Vector | None] = []
        if self._lists < LISTS_MAX and self._breaker.allows(time.monotonic()):
            self._lists += 1
            try:
                vectors = await self._embed(asked, seconds_max)
            finally:
                self._lists -= 1
        vectors += [None] * (len(texts) - len(vectors))
        embedded = sum(vector is not None for vector in vectors)
        self._embedded.inc(embedded)
        self._given_up.inc(len(texts) - embedded)
        return vectors

    async def _embed(self, texts: Sequence[tuple[str, str]], seconds_max: float) -> list[Vector | None]:
        request = inference_service_pb2.EmbedRequest()
        request_id = new_request_id()
        for organization, text in texts:
            item = request.items.add(model=self._model, text=text)
            item.context.request_id = request_id
            item.context.organization = organization
        try:
            async with asyncio.timeout(seconds_max):
                await self._check_fingerprint(seconds_max)
                response = await self._stub.Embed(request, **outgoing(seconds_max, wait_for_ready=False))
        except (grpc.aio.AioRpcError, TimeoutError, DeadlineExceeded) as error:
            log.info("embedding_given_up", error=type(error).__name__)
            self._breaker.failed(time.monotonic())
            self._checked_at = -FINGERPRINT_SECONDS_MAX
            return []
        self._breaker.succeeded()
        return [_vector(result) for result in response.results]

    async def _check_fingerprint(self, seconds_max: float) -> None:
        """Ask now and then which encoder it is; one may have taken another's place."""
        if time.monotonic() - self._checked_at < FINGERPRINT_SECONDS_MAX:
            return
        request = inference_service_pb2.ListModelsRequest()
        response = await self._stub.ListModels(request, **outgoing(seconds_max, wait_for_ready=False))
        self._checked_at = time.monotonic()
        for model in response.models:
            if model.id == self._model:
                self.fingerprint = model.fingerprint


def _vector(result: inference_service_pb2.EmbedResult) -> Vector | None:
    return None if result.status.code else np.frombuffer(result.vector, "<f4")


@asynccontextmanager
async def connect_encoder(address: str, model: str, metrics: Metrics) -> AsyncIterator[EmbedPeer]:
    """Open the channel to the inference service."""
    (service,) = inference_service_pb2.DESCRIPTOR.services_by_name.values()
    async with connect(address, [service]) as channel:
        channel.get_state(try_to_connect=True)  # or the first question would find it not ready
        yield EmbedPeer(channel, model, metrics)
