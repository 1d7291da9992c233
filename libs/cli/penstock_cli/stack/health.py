"""See whether programs serve, as their callers would."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import grpc.aio
import httpx
from grpc_health.v1 import health_pb2, health_pb2_grpc

from penstock_cli.stack.program import Check, Program

CHECK_SECONDS_MAX = 1.0
HTTP_OK = 200


class HealthChecker:
    """Asks programs over connections that it keeps between questions."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self._channels: dict[str, grpc.aio.Channel] = {}

    async def serving(self, programs: Iterable[Program]) -> dict[str, bool]:
        """Ask all of them at once; tell by name who serves."""
        asked = list(programs)
        answers = await asyncio.gather(*(self._serves(program.check) for program in asked))
        return {program.name: answer for program, answer in zip(asked, answers, strict=True)}

    async def close(self) -> None:
        """Close the connections."""
        for channel in self._channels.values():
            await channel.close()

    async def _serves(self, check: Check) -> bool:
        return await (
            self._grpc_serves(check.target) if check.kind == "grpc" else self._http_serves(check.target)
        )

    async def _grpc_serves(self, address: str) -> bool:
        if address not in self._channels:
            # A server that comes up is found at the next question, not after gRPC's own growing patience.
            options = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 200)]
            self._channels[address] = grpc.aio.insecure_channel(address, options=options)
        stub = health_pb2_grpc.HealthStub(self._channels[address])
        try:
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=CHECK_SECONDS_MAX)
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    async def _http_serves(self, url: str) -> bool:
        try:
            answer = await self._http.get(url, timeout=CHECK_SECONDS_MAX)
        except httpx.TransportError:
            return False
        return answer.status_code == HTTP_OK


@asynccontextmanager
async def health_checker() -> AsyncIterator[HealthChecker]:
    """Open a checker; its connections close with the block."""
    async with httpx.AsyncClient(trust_env=False) as http:
        checker = HealthChecker(http)
        try:
            yield checker
        finally:
            await checker.close()
