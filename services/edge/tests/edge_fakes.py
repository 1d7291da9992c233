"""A router that does what the last message of a conversation says."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from penstock.router.v1 import (
    chat_completion_pb2,
    chat_completion_service_pb2,
    chat_completion_service_pb2_grpc,
    chat_message_pb2,
    embedding_pb2,
    embedding_service_pb2,
    embedding_service_pb2_grpc,
    model_pb2,
    model_service_pb2,
    model_service_pb2_grpc,
    receipt_pb2,
)
from servicekit import context as request_context
from servicekit.errors import ResourceExhausted, Unauthenticated, Unavailable

WORDS = ("one ", "two ", "three")


class FakeRouter(
    chat_completion_service_pb2_grpc.ChatCompletionServiceServicer,
    embedding_service_pb2_grpc.EmbeddingServiceServicer,
    model_service_pb2_grpc.ModelServiceServicer,
):
    """Answers "refuse", "break", "wait", "slowly", "forever" or anything else, and remembers what it saw."""

    def __init__(self) -> None:
        self.contexts: list[request_context.RequestContext] = []
        self.waiting = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.go_on = asyncio.Semaphore(0)

    async def CreateChatCompletion(self, request: Any, context: Any) -> Any:
        text = self._begin(request.parameters, context)
        if text == "wait":
            await self._wait_until_cancelled()
        if text == "slowly":
            self.waiting.set()
            await self.go_on.acquire()
        message = chat_message_pb2.ChatMessage(role="CHAT_ROLE_ASSISTANT", text=f"{len(text)} characters")
        return chat_completion_service_pb2.CreateChatCompletionResponse(
            chat_completion=chat_completion_pb2.ChatCompletion(
                id="chatcmpl-1",
                created=7,
                model=request.parameters.model,
                choices=[chat_completion_pb2.ChatChoice(message=message, finish_reason="FINISH_REASON_STOP")],
                usage=chat_completion_pb2.Usage(prompt_tokens=3, completion_tokens=3, total_tokens=6),
                receipt=self._receipt(),
            )
        )

    async def StreamChatCompletion(self, request: Any, context: Any) -> AsyncIterator[Any]:
        text = self._begin(request.parameters, context)
        yield self._part(role="CHAT_ROLE_ASSISTANT")
        for number, word in enumerate(WORDS):
            yield self._part(content=word)
            if text == "slowly":
                await self.go_on.acquire()
            if text == "wait":
                await self._wait_until_cancelled()
            if text == "break" and number == 1:
                raise Unavailable("STREAM_INTERRUPTED", "The engine is gone.")
        yield self._part(finish_reason="FINISH_REASON_STOP")
        usage = chat_completion_pb2.Usage(prompt_tokens=3, completion_tokens=3, total_tokens=6)
        yield self._chunk(usage=usage, receipt=self._receipt())

    async def CreateEmbedding(self, request: Any, context: Any) -> Any:
        inputs = request.parameters.inputs
        embeddings = [embedding_pb2.Embedding(index=i, values=[i, 0.5, -1]) for i in range(len(inputs))]
        usage = chat_completion_pb2.Usage(prompt_tokens=3, total_tokens=3)
        return embedding_service_pb2.CreateEmbeddingResponse(
            embeddings=embedding_pb2.EmbeddingList(
                embeddings=embeddings, model=request.parameters.model, usage=usage
            )
        )

    async def ListModels(self, request: Any, context: Any) -> Any:
        return model_service_pb2.ListModelsResponse(
            object="list", data=[model_pb2.Model(id="m", object="model", created=7, owned_by="us")]
        )

    def _begin(self, parameters: Any, context: Any) -> str:
        self.contexts.append(request_context.current())
        metadata = dict(context.invocation_metadata())
        if metadata.get("authorization") != "Bearer psk_right":
            raise Unauthenticated("API_KEY_INVALID", "The API key is not known.")
        text: str = parameters.messages[-1].text
        if text == "refuse":
            raise ResourceExhausted("RATE_LIMIT_EXCEEDED", "Too many requests.")
        return text

    async def _wait_until_cancelled(self) -> None:
        self.waiting.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    def _part(self, **delta: Any) -> Any:
        return self._chunk(choices=[chat_completion_pb2.ChatChoiceDelta(**delta)])

    def _chunk(self, **members: Any) -> Any:
        chunk = chat_completion_pb2.ChatCompletionChunk(id="chatcmpl-1", created=7, model="m", **members)
        return chat_completion_service_pb2.StreamChatCompletionResponse(chunk=chunk)

    def _receipt(self) -> receipt_pb2.Receipt:
        context = request_context.current()
        return receipt_pb2.Receipt(
            request_id=context.request_id,
            trace_id=context.traceparent[3:35],
            cost_nanos=1500,
            cache="CACHE_STATUS_MISS",
        )
