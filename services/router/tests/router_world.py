"""What the router's tests share: the world around a router, and how to ask it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import grpc.aio
import pytest
from aiohttp import web
from penstock.router.v1 import (
    chat_completion_pb2,
    chat_completion_service_pb2,
    chat_completion_service_pb2_grpc,
    chat_message_pb2,
)
from penstock_router.settings import RouterSettings
from router_fakes import FakeBilling, FakeCache, FakeGuardrail, FakeInference
from servicekit.errors import from_rpc_error

SECRET = "psk_" + "a" * 43
AUTHORIZED = (("authorization", f"Bearer {SECRET}"),)


@dataclass
class World:
    """The router under test and its peers."""

    guardrail: FakeGuardrail
    cache: FakeCache
    billing: FakeBilling
    inference: FakeInference
    channel: grpc.aio.Channel
    settings: RouterSettings

    @property
    def chat(self) -> Any:
        return chat_completion_service_pb2_grpc.ChatCompletionServiceStub(self.channel)


Handler = Callable[[web.Request], Any]


@dataclass
class Upstream:
    """An HTTP API of OpenAI's form; a test sets what it answers."""

    url: str = ""
    handler: Handler | None = None
    requests: int = 0
    bodies: list[Any] = field(default_factory=list)


Create = chat_completion_service_pb2.CreateChatCompletionRequest
Stream = chat_completion_service_pb2.StreamChatCompletionRequest


def parameters(text: str = "What is the capital of France?", model: str = "smollm2", **more: Any) -> Any:
    message = chat_message_pb2.ChatMessage(role=chat_message_pb2.CHAT_ROLE_USER, text=text)
    return chat_completion_pb2.ChatCompletionParameters(model=model, messages=[message], **more)


async def ask(world: World, metadata: Any = AUTHORIZED, **how: Any) -> Any:
    response = await world.chat.CreateChatCompletion(Create(parameters=parameters(**how)), metadata=metadata)
    return response.chat_completion


async def stream(world: World, **how: Any) -> list[Any]:
    call = world.chat.StreamChatCompletion(Stream(parameters=parameters(**how)), metadata=AUTHORIZED)
    return [response.chunk async for response in call]


async def refusal(awaitable: Any) -> Any:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await awaitable
    return from_rpc_error(caught.value)


def text_of(chunks: list[Any]) -> str:
    return "".join(choice.content for chunk in chunks for choice in chunk.choices)
