"""The composition root: what the guardrail is made of."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from penstock.guardrail.v1.guardrail_service_pb2_grpc import add_GuardrailServiceServicer_to_server
from servicekit.database import open_database
from servicekit.errors import ServiceError
from servicekit.logging import get_logger
from servicekit.metrics import Metrics
from servicekit.server import Service

from penstock_guardrail import policy, root_key
from penstock_guardrail.counters import Counters
from penstock_guardrail.keyring import Keyring
from penstock_guardrail.rules import make_rules
from penstock_guardrail.screen import Screen
from penstock_guardrail.servicer import GuardrailServicer
from penstock_guardrail.settings import GuardrailSettings
from penstock_guardrail.store import MIGRATIONS, VaultStore
from penstock_guardrail.vault import Vault

log = get_logger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


@asynccontextmanager
async def build(settings: GuardrailSettings, clock: Callable[[], datetime] = _now) -> AsyncIterator[Service]:
    """Compose the service. A policy or a root key that cannot be used ends the start, with the reason."""
    rules = make_rules(policy.parse(settings.policy.read_text()), settings.item_characters_max)
    key = _root_key(settings)
    metrics = Metrics()
    async with open_database(settings, MIGRATIONS) as database:
        store = VaultStore(database)
        keyring = Keyring(store, key, clock)
        await keyring.check_root_key()
        vault = Vault(store, keyring, timedelta(seconds=settings.session_seconds), clock)
        sweeper = asyncio.create_task(_sweep(vault, settings.sweep_seconds))
        servicer = GuardrailServicer(Screen(rules, vault), Counters(metrics))
        try:
            yield Service(
                settings,
                [(add_GuardrailServiceServicer_to_server, servicer)],
                metrics,
                dependencies={"database": database.ping},
            )
        finally:
            sweeper.cancel()
            await asyncio.gather(sweeper, return_exceptions=True)


def _root_key(settings: GuardrailSettings) -> bytes:
    if settings.root_key_file is not None:
        return root_key.read(settings.root_key_file)
    return root_key.read_or_create(settings.service_dir / "root.key")


async def _sweep(vault: Vault, interval_seconds: float) -> None:
    """Delete expired sessions for ever; while the store is down, later."""
    while True:
        try:
            while await vault.sweep():
                pass
        except ServiceError as error:
            log.warning("sweep_failed", reason=error.reason)
        await asyncio.sleep(interval_seconds)
