"""A whole router in this process, with real stores of its own and hand-written peers."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import yaml
from aiohttp import web
from penstock.billing.v1 import (
    hold_service_pb2_grpc,
    usage_correction_service_pb2_grpc,
    usage_service_pb2_grpc,
)
from penstock.cache.v1 import (
    answer_cache_service_pb2_grpc,
    answer_feedback_service_pb2_grpc,
    cache_service_pb2_grpc,
)
from penstock.guardrail.v1 import guardrail_service_pb2_grpc
from penstock.inference.v1 import inference_service_pb2_grpc
from penstock_router.server import build
from penstock_router.settings import RouterSettings
from router_fakes import FakeBilling, FakeCache, FakeGuardrail, FakeInference
from router_world import SECRET, Upstream, World
from servicekit.channel import connect
from servicekit.metrics import Metrics
from servicekit.server import Service, running
from servicekit.settings import ServiceSettings


class _PeerSettings(ServiceSettings):
    service = "peers"


@pytest_asyncio.fixture
async def upstream() -> AsyncIterator[Upstream]:
    state = Upstream()

    async def handle(request: web.Request) -> web.StreamResponse:
        state.requests += 1
        state.bodies.append(await request.json())
        assert state.handler is not None
        return await state.handler(request)

    app = web.Application()
    app.router.add_post("/v1/chat/completions", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    state.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    yield state
    await runner.cleanup()


@pytest.fixture
def catalog(tmp_path: Path, upstream: Upstream) -> Path:
    path = tmp_path / "catalog.yaml"
    endpoints = [
        {"name": "inference", "kind": "inference", "private": True},
        {"name": "mock", "kind": "openai", "base_url": upstream.url},
    ]
    own = {"endpoint": "inference", "model": "smollm2", "sku": "inference/smollm2"}
    mock = {"endpoint": "mock", "model": "gpt", "sku": "mock/gpt"}
    able = ["chat", "completions", "tools", "structured_output", "images", "logprobs"]
    models = [
        {
            "id": "smollm2",
            "context_tokens": 2048,
            "capabilities": ["chat", "completions", "logprobs", "structured_output"],
            "targets": [own],
        },
        {"id": "gpt", "context_tokens": 128000, "capabilities": able, "targets": [mock]},
        {"id": "both", "capabilities": ["chat", "completions"], "targets": [mock, own]},
        {"id": "minilm", "capabilities": ["embeddings"], "targets": [{**own, "model": "minilm"}]},
    ]
    path.write_text(yaml.safe_dump({"endpoints": endpoints, "models": models}))
    return path


@pytest_asyncio.fixture
async def world(request: pytest.FixtureRequest, tmp_path: Path, catalog: Path) -> AsyncIterator[World]:
    """Run a router among fakes; the parameter, if there is one, is what its settings are besides."""
    guardrail, cache, billing, inference = FakeGuardrail(), FakeCache(), FakeBilling(), FakeInference()
    peers = Service(
        _PeerSettings(grpc_port=0, data_dir=tmp_path, drain_seconds=1),
        [
            (guardrail_service_pb2_grpc.add_GuardrailServiceServicer_to_server, guardrail),
            (cache_service_pb2_grpc.add_CacheServiceServicer_to_server, cache),
            (answer_cache_service_pb2_grpc.add_AnswerCacheServiceServicer_to_server, cache),
            (answer_feedback_service_pb2_grpc.add_AnswerFeedbackServiceServicer_to_server, cache),
            (hold_service_pb2_grpc.add_HoldServiceServicer_to_server, billing),
            (usage_service_pb2_grpc.add_UsageServiceServicer_to_server, billing),
            (usage_correction_service_pb2_grpc.add_UsageCorrectionServiceServicer_to_server, billing),
            (inference_service_pb2_grpc.add_InferenceServiceServicer_to_server, inference),
        ],
        Metrics(),
    )
    async with running(peers) as at:
        peers_at = {f"{name}_address": at.address for name in ("guardrail", "cache", "billing", "inference")}
        settings = RouterSettings(
            grpc_port=0,
            data_dir=tmp_path,
            catalog=catalog,
            bootstrap_key=SECRET,
            drain_seconds=2,
            peer_seconds_max=60,  # a busy machine is no reason to fail
            cache_seconds_max=5,  # nor to miss
            lease_seconds=3,
            **peers_at | getattr(request, "param", {}),
        )
        async with build(settings) as service, running(service) as router, connect(router.address) as channel:
            yield World(guardrail, cache, billing, inference, channel, settings)
