"""The composition root."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from penstock.inference.v1.inference_service_pb2_grpc import add_InferenceServiceServicer_to_server
from servicekit.metrics import Metrics
from servicekit.server import AddServicer, Service

from penstock_inference.catalog import AdapterLoader, Load
from penstock_inference.generate import Generate
from penstock_inference.journal import Journal
from penstock_inference.loading import Loader
from penstock_inference.memory import MemoryBudget
from penstock_inference.models import Models
from penstock_inference.servicer import InferenceServicer
from penstock_inference.settings import InferenceSettings


@asynccontextmanager
async def build(settings: InferenceSettings) -> AsyncIterator[Service]:
    """Compose the inference service. It answers health checks at once, and loads its models meanwhile."""
    metrics = Metrics()
    async with running(settings, metrics) as inference:
        models, generate, journal = inference.models, inference.generate, inference.journal
        servicers: list[tuple[AddServicer, Any]] = [
            (
                add_InferenceServiceServicer_to_server,
                InferenceServicer(models, generate, journal, inference.loader.found_adapter),
            )
        ]
        if settings.kserve:
            from penstock_inference import servicer_kserve  # noqa: PLC0415 - it needs the extra "kserve"

            kserve = servicer_kserve.OpenInferenceServicer(models, generate)
            servicers.append((servicer_kserve.add_servicer, kserve))
        yield Service(settings, servicers, metrics, {"models": models.check, "journal": journal.check})


@dataclass(frozen=True, slots=True)
class Inference:
    """What lies behind the doors."""

    models: Models
    generate: Generate
    journal: Journal
    loader: Loader


@asynccontextmanager
async def running(settings: InferenceSettings, metrics: Metrics) -> AsyncIterator[Inference]:
    """Compose all but the doors, load models meanwhile, and stop them at the end."""
    journal = await asyncio.to_thread(Journal, settings.service_dir / "journal", settings.journal_bytes_max)
    memory = MemoryBudget(settings.memory_bytes_max)
    at_start = {model.id for model in settings.catalog if model.at_start}
    loader = Loader(settings, journal, metrics, memory)
    models = Models(_loaders(settings, loader), memory, metrics, at_start=at_start)
    loading = asyncio.create_task(models.load())
    try:
        yield Inference(models, Generate(models, settings.delta_interval_seconds), journal, loader)
    finally:
        loading.cancel()
        await asyncio.wait([loading])
        await models.close()
        await asyncio.to_thread(journal.close)


def _loaders(settings: InferenceSettings, loader: Loader) -> dict[str, Load | AdapterLoader]:
    loaders: dict[str, Load | AdapterLoader] = {}
    loaders |= {model.id: partial(loader.generative, model) for model in settings.models}
    loaders |= {adapter.id: loader.adapter(adapter) for adapter in settings.adapters}
    return loaders | {model.id: partial(loader.encoder, model) for model in settings.encoders}
