"""Native gRPC through the edge: reflection, health, a typed stub, and grpcurl as an SRE would use it."""

import json
import os
import shutil
import subprocess

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from penstock.router.v1 import (
    chat_completion_pb2,
    chat_completion_service_pb2,
    chat_completion_service_pb2_grpc,
    chat_message_pb2,
)
from servicekit.errors import from_rpc_error
from stack_fixture import MODEL, ROOT, Stack

pytestmark = pytest.mark.stack

PORTS = {"router": 50051, "guardrail": 50052, "cache": 50053, "billing": 50054, "inference": 50055}


def grpcurl(
    stack: Stack, what: str, *, options: tuple[str, ...] = (), symbol: str = "", address: str = ""
) -> str:
    """Run grpcurl as an SRE would: what is a verb (list, describe) or a method to call."""
    program = shutil.which("grpcurl", path=f"{ROOT}/.tools/bin{os.pathsep}{os.environ['PATH']}")
    assert program, "make setup-test installs grpcurl into .tools/bin"
    header = ("-H", f"authorization: Bearer {stack.key}")
    command = [
        program,
        "-plaintext",
        *header,
        *options,
        address or stack.grpc,
        what,
        *([symbol] if symbol else []),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def asked(text: str) -> chat_completion_pb2.ChatCompletionParameters:
    message = chat_message_pb2.ChatMessage(role=chat_message_pb2.CHAT_ROLE_USER, text=text)
    return chat_completion_pb2.ChatCompletionParameters(
        model=MODEL, messages=[message], temperature=0, max_completion_tokens=32
    )


async def test_a_typed_stub_completes_and_streams(stack: Stack) -> None:
    metadata = (("authorization", f"Bearer {stack.key}"),)
    async with grpc.aio.insecure_channel(stack.grpc) as channel:
        stub = chat_completion_service_pb2_grpc.ChatCompletionServiceStub(channel)
        parameters = asked("What is the capital of France? Answer in one short sentence.")
        request = chat_completion_service_pb2.CreateChatCompletionRequest(parameters=parameters)
        response = await stub.CreateChatCompletion(request, metadata=metadata, timeout=60)
        assert "Paris" in response.chat_completion.choices[0].message.text
        stream = stub.StreamChatCompletion(
            chat_completion_service_pb2.StreamChatCompletionRequest(parameters=parameters), metadata=metadata
        )
        texts = [c.content async for message in stream for c in message.chunk.choices]
        assert "Paris" in "".join(texts)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.CreateChatCompletion(request, timeout=60)
    assert from_rpc_error(refused.value).reason == "API_KEY_MISSING"


@pytest.mark.parametrize("name", PORTS)
async def test_every_service_serves_health_and_names_itself(stack: Stack, name: str) -> None:
    port = PORTS[name] + int(stack.environment["PENSTOCK_PORT_OFFSET"])
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        health = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
    assert health.status == health_pb2.HealthCheckResponse.SERVING
    assert f"penstock.{name}.v1" in grpcurl(stack, "list", address=f"127.0.0.1:{port}")


def test_grpcurl_lists_describes_checks_and_completes(stack: Stack) -> None:
    services = grpcurl(stack, "list")
    assert "penstock.router.v1.ChatCompletionService" in services
    assert "penstock.billing.v1.UsageService" in services
    described = grpcurl(stack, "describe", symbol="penstock.router.v1.ChatCompletionService")
    assert "rpc StreamChatCompletion" in described
    assert "SERVING" in grpcurl(stack, "grpc.health.v1.Health/Check")
    parameters = {
        "model": MODEL,
        "messages": [{"role": "CHAT_ROLE_USER", "text": "Say hello."}],
        "max_completion_tokens": 8,
    }
    method = "penstock.router.v1.ChatCompletionService/CreateChatCompletion"
    answer = json.loads(grpcurl(stack, method, options=("-d", json.dumps({"parameters": parameters}))))
    assert answer["chat_completion"]["choices"][0]["message"]["text"]
