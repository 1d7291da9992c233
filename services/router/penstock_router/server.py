"""The composition root: the only module that knows all others."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import aiohttp
from penstock.router.v1 import (
    api_key_service_pb2_grpc,
    chat_completion_service_pb2_grpc,
    completion_service_pb2_grpc,
    embedding_service_pb2_grpc,
    model_service_pb2_grpc,
    person_service_pb2_grpc,
)
from servicekit.background import background
from servicekit.database import Database, open_database
from servicekit.metrics import Metrics
from servicekit.server import AddServicer, Service

from penstock_router.admission import Admission
from penstock_router.catalog import Catalog, load_catalog
from penstock_router.completions import Completions
from penstock_router.embeddings import Embeddings
from penstock_router.engines import Engines
from penstock_router.flights import Flights
from penstock_router.foresight import Foresight
from penstock_router.forward import BILLING, CACHE, CACHE_FEEDBACK, GUARDRAIL, Owner, forwarded
from penstock_router.generation import Generation
from penstock_router.identity import Identity
from penstock_router.keys import ApiKeys
from penstock_router.leases import Leases
from penstock_router.memory import Memory
from penstock_router.peers import Peers, connect_peers
from penstock_router.pipeline import ChatPipeline
from penstock_router.posting import Posting
from penstock_router.providers import Provider
from penstock_router.providers.inference import InferenceProvider
from penstock_router.providers.openai import OpenAiProvider
from penstock_router.reconcile import Reconciler
from penstock_router.release import Guard
from penstock_router.routing import Router
from penstock_router.servicer import (
    ApiKeyServicer,
    ChatCompletionServicer,
    CompletionServicer,
    EmbeddingServicer,
    ModelServicer,
)
from penstock_router.servicer_persons import PersonServicer
from penstock_router.settings import RouterSettings
from penstock_router.settlement import Settlement, open_settlement
from penstock_router.store import MIGRATIONS, ApiKeyStore
from penstock_router.usage_journal import UsageJournal


@dataclass(frozen=True, slots=True)
class _Opened:
    """What is open for as long as the router runs."""

    settings: RouterSettings
    metrics: Metrics
    catalog: Catalog
    database: Database
    peers: Peers
    leases: Leases
    settlement: Settlement
    router: Router


@asynccontextmanager
async def build(settings: RouterSettings) -> AsyncIterator[Service]:
    """Compose the router."""
    async with _opened(settings) as opened:
        peers = opened.peers
        store = ApiKeyStore(opened.database)
        identity = Identity(store.find_by_hash, seconds_max=settings.key_seconds_max)
        keys = ApiKeys(store, lambda: datetime.now(UTC))
        if settings.bootstrap_key.get_secret_value():
            await keys.bootstrap(settings.bootstrap_organization, settings.bootstrap_key.get_secret_value())
        async with _answering(opened, identity) as answering:
            managing: list[tuple[AddServicer, object]] = [
                (
                    model_service_pb2_grpc.add_ModelServiceServicer_to_server,
                    ModelServicer(opened.catalog, Engines(opened.catalog, peers.inference), identity),
                ),
                (
                    api_key_service_pb2_grpc.add_ApiKeyServiceServicer_to_server,
                    ApiKeyServicer(keys, identity),
                ),
                (
                    person_service_pb2_grpc.add_PersonServiceServicer_to_server,
                    PersonServicer(identity, peers.guardrail.channel, peers.cache.channel),
                ),
                *((add, None) for add in _forwarded(peers, identity)),
            ]
            yield Service(
                settings,
                servicers=[*answering, *managing],
                metrics=opened.metrics,
                dependencies={
                    "database": opened.database.ping,
                    "guardrail": peers.guardrail.ping,
                    "billing": peers.billing.ping,
                },
            )


@asynccontextmanager
async def _opened(settings: RouterSettings) -> AsyncIterator[_Opened]:
    catalog = load_catalog(settings.catalog)
    metrics = Metrics()
    async with (
        open_database(settings, MIGRATIONS) as database,
        connect_peers(settings, metrics) as peers,
        _closing(settings, catalog, peers, metrics) as (leases, settlement),
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=settings.provider_connections_max),
            cookie_jar=aiohttp.DummyCookieJar(),  # what a provider says to one tenant is not told by another
        ) as session,
    ):
        router = Router(catalog, _providers(catalog, peers, session))
        yield _Opened(settings, metrics, catalog, database, peers, leases, settlement, router)


@asynccontextmanager
async def _answering(opened: _Opened, identity: Identity) -> AsyncIterator[list[tuple[AddServicer, object]]]:
    """Compose what answers with models: conversations, completions, embeddings."""
    settings, peers = opened.settings, opened.peers
    guard, flights = Guard(peers.guardrail), Flights(peers.cache, opened.metrics)
    foresight = Foresight(settings.ahead_nanos_per_hour, settings.ahead_probability_min)
    memory = Memory(peers.cache, flights, foresight, opened.metrics)
    pipeline = ChatPipeline(
        guard,
        memory,
        Admission(opened.router, peers.billing, opened.leases),
        Generation(opened.router, settings, opened.metrics),
        opened.settlement,
        flights,
    )
    foresight.answer_with(pipeline.complete)
    completions = Completions(pipeline, opened.catalog, peers.inference)
    embeddings = Embeddings(
        opened.router, guard, peers.billing, peers.inference, opened.settlement, opened.leases
    )
    async with background(flights.run(), "flights"):
        yield [
            (
                chat_completion_service_pb2_grpc.add_ChatCompletionServiceServicer_to_server,
                ChatCompletionServicer(pipeline, identity),
            ),
            (
                completion_service_pb2_grpc.add_CompletionServiceServicer_to_server,
                CompletionServicer(completions, identity),
            ),
            (
                embedding_service_pb2_grpc.add_EmbeddingServiceServicer_to_server,
                EmbeddingServicer(embeddings, identity),
            ),
        ]
    await foresight.close()
    await memory.close()


@asynccontextmanager
async def _closing(
    settings: RouterSettings, catalog: Catalog, peers: Peers, metrics: Metrics
) -> AsyncIterator[tuple[Leases, Settlement]]:
    """Keep holds alive while their operations run, close them after, and close those of routers that died."""
    leases = Leases(peers.billing, settings.lease_seconds, settings.holder)
    journal = UsageJournal(peers.inference, catalog)
    posting = Posting(peers.billing, journal)
    async with open_settlement(settings.service_dir / "settlements", posting, leases, metrics) as settlement:
        reconciler = Reconciler(peers.billing, journal, lambda: settlement.pending, metrics)
        async with (
            background(leases.run(), "leases"),
            background(reconciler.run(settings.lease_seconds / 4), "reconciler"),
        ):
            yield leases, settlement


def _forwarded(peers: Peers, identity: Identity) -> list[AddServicer]:
    billing = Owner("billing", peers.billing.channel)
    guardrail = Owner("guardrail", peers.guardrail.channel, reads_need="admin")
    cache = Owner("cache", peers.cache.channel, reads_need="admin")
    feedback = Owner("cache", peers.cache.channel, writes_need="")
    return [
        forwarded(service, owner, identity)
        for owner, services in (
            (billing, BILLING),
            (guardrail, GUARDRAIL),
            (cache, CACHE),
            (feedback, CACHE_FEEDBACK),
        )
        for service in services
    ]


def _providers(catalog: Catalog, peers: Peers, session: aiohttp.ClientSession) -> dict[str, Provider]:
    return {
        endpoint.name: InferenceProvider(peers.inference)
        if endpoint.kind == "inference"
        else OpenAiProvider(endpoint, session)
        for endpoint in catalog.endpoints.values()
    }
