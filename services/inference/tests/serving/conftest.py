"""The whole service over the real model, and a client that reads like prose."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from penstock_inference.server import build
from penstock_inference.settings import MINILM, SMOLLM2, InferenceSettings
from servicekit.channel import connect
from servicekit.server import running

sys.path.insert(0, str(Path(__file__).parent))

from inference_client import Client


@pytest.fixture(scope="session")
def inference_settings(model_cache_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable:
    """Make settings with a data directory of their own, and the converted models of all tests."""

    def make(data_dir: Path | None = None, **changes) -> InferenceSettings:
        data_dir = data_dir or tmp_path_factory.mktemp("data")
        model_cache_dir.mkdir(parents=True, exist_ok=True)
        (data_dir / "inference").mkdir(parents=True)
        (data_dir / "inference" / "models").symlink_to(model_cache_dir)
        model = SMOLLM2.model_copy(update={"slots": 12, "context_tokens": 512})
        settings = {"models": (model,), "encoders": (MINILM,), "grpc_port": 0, "data_dir": data_dir}
        return InferenceSettings(**(settings | {"drain_seconds": 30} | changes))

    return make


@asynccontextmanager
async def serving(settings: InferenceSettings) -> AsyncIterator[Client]:
    async with build(settings) as service, running(service) as server, connect(server.address) as channel:
        yield Client(channel, server, service)


@pytest.fixture(scope="session")
def serve() -> Callable:
    """Run a service of a test's own."""
    return serving


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def client(inference_settings: Callable) -> AsyncIterator[Client]:
    """A service for all tests that leave it as it was; its models are loaded."""
    async with serving(inference_settings()) as client:
        await client.loaded()
        yield client
        await asyncio.sleep(0)
