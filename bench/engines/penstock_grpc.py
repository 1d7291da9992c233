"""Our inference service, a process of its own, asked over gRPC: what its callers get."""

import asyncio
import shutil
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from harness import processes
from harness.paths import CACHE
from penstock.context.v1.request_context_pb2 import RequestContext
from penstock.inference.v1.generation_pb2 import GenerationInput, SamplingParameters
from penstock.inference.v1.inference_service_pb2 import GenerateRequest
from penstock.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from penstock_inference.settings import ModelSettings
from servicekit.channel import connect

from engines.client import Client, take_turns
from engines.streams import Produced

if TYPE_CHECKING:
    from penstock.inference.v1.inference_service_pb2_grpc import (
        InferenceServiceAsyncStub,
    )  # only the stub file has it

MODEL = "smollm2"
_DATA_DIR = CACHE / "generation_grpc"
_POLL_SECONDS = 0.1
_LOAD_SECONDS_MAX = 120.0


class OverGrpc(Client):
    """A client of the running service."""

    def __init__(self, stub: "InferenceServiceAsyncStub", text: str) -> None:
        super().__init__(self._open, text)
        self._stub = stub
        self._operations = count()

    async def _open(self, prompt: str, organization: str) -> AsyncGenerator[Produced]:
        request = GenerateRequest(
            context=RequestContext(request_id=f"bench-{next(self._operations)}", organization=organization),
            model=MODEL,
            input=GenerationInput(prompt=prompt),
            sampling=SamplingParameters(temperature=0, ignore_eos=True),
        )
        prompt_tokens = 0
        call = self._stub.Generate(request)
        try:
            async for event in call:
                if event.HasField("started"):
                    prompt_tokens = event.started.prompt_tokens
                elif event.HasField("delta"):
                    yield Produced(prompt_tokens, event.delta.completion_tokens)
        finally:
            call.cancel()


@asynccontextmanager
async def serving(gguf: str, threads: str, text: str) -> AsyncIterator[OverGrpc]:
    """Start the service, wait until it has loaded the model, and end it after."""
    port = processes.free_port()
    model = ModelSettings(id=MODEL, reference=gguf, speculative_tokens=0)  # as peers generate
    env = {
        "PENSTOCK_INFERENCE_GRPC_PORT": str(port),
        "PENSTOCK_INFERENCE_HTTP_PORT": str(processes.free_port()),
        "PENSTOCK_INFERENCE_MODELS": f"[{model.model_dump_json()}]",
        "PENSTOCK_INFERENCE_ENCODERS": "[]",
        "PENSTOCK_INFERENCE_THREADS": threads,
        "PENSTOCK_DATA_DIR": str(_DATA_DIR),
    }
    shutil.rmtree(_DATA_DIR / "inference" / "journal", ignore_errors=True)
    log = CACHE / "generation-service.log"
    server = processes.start([sys.executable, "-m", "penstock_inference"], log, env)
    try:
        async with connect(f"127.0.0.1:{port}") as channel:
            async with asyncio.timeout(_LOAD_SECONDS_MAX):
                await _until_serving(channel, server)
            yield OverGrpc(InferenceServiceStub(channel), text)
    finally:
        server.stop()


async def _until_serving(channel: grpc.aio.Channel, server: processes.Server) -> None:
    stub = health_pb2_grpc.HealthStub(channel)
    request = health_pb2.HealthCheckRequest(service="penstock.inference.v1.InferenceService")
    while True:
        if trouble := server.trouble():
            raise RuntimeError(trouble)
        try:
            if (await stub.Check(request)).status == health_pb2.HealthCheckResponse.SERVING:
                return
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
        await asyncio.sleep(_POLL_SECONDS)


def main(gguf: str, text: str, threads: str) -> None:
    """Take turns until the input ends."""
    take_turns(serving(gguf, threads, Path(text).read_text()))


if __name__ == "__main__":
    main(*sys.argv[1:])
