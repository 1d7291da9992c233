"""The composition root: what the guardrail is made of."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from penstock.guardrail.v1.audit_service_pb2_grpc import add_AuditServiceServicer_to_server
from penstock.guardrail.v1.erasure_service_pb2_grpc import add_ErasureServiceServicer_to_server
from penstock.guardrail.v1.guardrail_service_pb2_grpc import add_GuardrailServiceServicer_to_server
from penstock.guardrail.v1.policy_service_pb2_grpc import add_PolicyServiceServicer_to_server
from servicekit.background import background
from servicekit.database import open_database
from servicekit.errors import ServiceError
from servicekit.logging import get_logger
from servicekit.metrics import Metrics
from servicekit.server import AddServicer, Service

from penstock_guardrail import policy, root_key
from penstock_guardrail.audit.journal import open_journal
from penstock_guardrail.audit.log import AuditLog
from penstock_guardrail.audit.witnesses import Witnesses
from penstock_guardrail.counters import Counters
from penstock_guardrail.erasure import Eraser
from penstock_guardrail.keyring import Keyring
from penstock_guardrail.policies.book import PolicyBook
from penstock_guardrail.policies.desk import PolicyDesk
from penstock_guardrail.policies.profile import load_profiles
from penstock_guardrail.retention import Retention
from penstock_guardrail.root_key import RootKeys
from penstock_guardrail.rotation import Rotation
from penstock_guardrail.rules import make_rules
from penstock_guardrail.screen import Screen
from penstock_guardrail.servicer import GuardrailServicer
from penstock_guardrail.servicer_audit import AuditServicer, ErasureServicer
from penstock_guardrail.servicer_policies import PolicyServicer
from penstock_guardrail.settings import GuardrailSettings
from penstock_guardrail.store import MIGRATIONS, VaultStore
from penstock_guardrail.trail import Trail
from penstock_guardrail.vault import Vault

logger = get_logger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


@asynccontextmanager
async def build(settings: GuardrailSettings, clock: Callable[[], datetime] = _now) -> AsyncIterator[Service]:
    """Compose the service. A policy or a root key that cannot be used ends the start, with the reason."""
    rules = make_rules(policy.parse(settings.policy.read_text()), settings.item_characters_max)
    roots = _root_keys(settings)
    metrics = Metrics()
    async with open_database(settings, MIGRATIONS) as database:
        store = VaultStore(database)
        keyring = Keyring(store, roots, clock)
        await keyring.check_root_key()
        vault = Vault(store, keyring, timedelta(seconds=settings.session_seconds), clock)
        log = AuditLog(store, keyring)
        book = PolicyBook(store, keyring, rules, load_profiles())
        await book.refresh()
        retention = Retention(store, keyring, log, clock)
        async with (
            open_journal(
                settings.service_dir / "audit", log.append, metrics, settings.audit_sync_seconds
            ) as journal,
            background(book.refresh_for_ever(settings.policy_poll_seconds), "policy book"),
            background(
                _sweep(vault, retention, Rotation(store, roots), settings.sweep_seconds), "guardrail sweeper"
            ),
        ):
            counters = Counters(metrics)
            screen = Screen(book, vault, Trail(journal, counters, clock))
            servicers: list[tuple[AddServicer, Any]] = [
                (add_GuardrailServiceServicer_to_server, GuardrailServicer(screen, counters)),
                (
                    add_PolicyServiceServicer_to_server,
                    PolicyServicer(PolicyDesk(store, keyring, log, book, clock), book),
                ),
                (add_AuditServiceServicer_to_server, AuditServicer(log, Witnesses(store, log))),
                (add_ErasureServiceServicer_to_server, ErasureServicer(Eraser(store, keyring, log, clock))),
            ]
            yield Service(settings, servicers, metrics, dependencies={"database": database.ping})


def _root_keys(settings: GuardrailSettings) -> RootKeys:
    current, others = settings.root_key_file, (settings.former_root_key_file, settings.coming_root_key_file)
    return RootKeys(
        root_key.read_or_create(settings.service_dir / "root.key")
        if current is None
        else root_key.read(current),
        *(None if path is None else root_key.read(path) for path in others),
    )


async def _sweep(vault: Vault, retention: Retention, rotation: Rotation, interval_seconds: float) -> None:
    """Delete what is over, and wrap anew what a former root key wraps, for ever; while the store is down, later."""
    while True:
        try:
            while await vault.sweep():
                pass
            while await retention.enforce():
                pass
            while await rotation.advance():
                pass
        except ServiceError as error:
            logger.warning("sweep_failed", reason=error.reason)
        await asyncio.sleep(interval_seconds)
