"""Retention: what is over is deleted, and the log says how much."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial

from servicekit.logging import get_logger
from sqlalchemy import Connection

from penstock_guardrail.audit import store
from penstock_guardrail.audit.entry import Entry, make_record, read_record, to_us
from penstock_guardrail.audit.log import AuditLog, Keys
from penstock_guardrail.keyring import Keyring
from penstock_guardrail.store import VaultStore

ENTRIES_MAX = 1000
_RETENTION_DAYS = 3660

log = get_logger(__name__)


class Retention:
    """Deletes the contents of entries whose time is over; what they commit to stays in the tree."""

    def __init__(
        self, vault: VaultStore, keyring: Keyring, audit: AuditLog, clock: Callable[[], datetime]
    ) -> None:
        self._vault = vault
        self._keyring = keyring
        self._audit = audit
        self._clock = clock

    async def enforce(self) -> int:
        """Delete a bounded part of what is over; tell how many entries.

        Raises:
            Unavailable: the store does not answer (STORAGE_UNAVAILABLE).
        """
        now_us = to_us(self._clock())
        organizations = await self._vault.read(lambda connection: store.with_expired(connection, now_us))
        if not organizations:
            return 0
        keys = await self._keyring.keys(organizations)
        counts = await self._vault.write(partial(self._enforce_within, organizations, now_us, keys))
        log.info("retention_enforced", organizations=len(counts), entries=sum(counts.values()))
        return sum(counts.values())

    def _enforce_within(
        self, organizations: Sequence[str], now_us: int, keys: Keys, connection: Connection
    ) -> Mapping[str, int]:
        store.locked(connection, organizations)
        counts = store.forget_expired(connection, organizations, now_us, ENTRIES_MAX)
        entries = [_entry(organization, count, now_us) for organization, count in counts.items()]
        self._audit.append_within(entries, keys, connection)
        return counts


def _entry(organization: str, entries: int, now_us: int) -> Entry:
    record = make_record(
        "retention",
        entry_id=secrets.token_hex(16),
        time_us=now_us,
        retention_days=_RETENTION_DAYS,
        organization=organization,
        user="",
        entries=entries,
    )
    return read_record(record)
