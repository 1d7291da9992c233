"""Erase a person: the key, what is sealed under it, and the sessions; the log says that it was done.

All of it is one transaction. What other replicas still have on its way to the log is appended without its content,
since it was decided before the erasure.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import sqlalchemy as sa

from penstock_guardrail.audit import store as audit_store
from penstock_guardrail.audit.entry import make_record, read_record, to_us
from penstock_guardrail.audit.log import AuditLog, Keys, Shown
from penstock_guardrail.audit.merkle import Frontier
from penstock_guardrail.keyring import Keyring
from penstock_guardrail.policies.store import next_tick
from penstock_guardrail.sealing import new_key
from penstock_guardrail.store import Subject, VaultStore
from penstock_guardrail.tables import redaction_sessions, subject_keys

# Longer than anything else: it is the proof.
_RETENTION_DAYS = 3660


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure did, and the proof of it."""

    entry: Shown
    checkpoint: str
    inclusion_proof: Sequence[bytes]
    sessions: int
    entries: int


class Eraser:
    """Erases persons."""

    def __init__(
        self, vault: VaultStore, keyring: Keyring, log: AuditLog, clock: Callable[[], datetime]
    ) -> None:
        self._vault = vault
        self._keyring = keyring
        self._log = log
        self._clock = clock

    async def erase(self, organization: str, user: str) -> Erased:
        """Erase a person. It may be done again.

        Raises:
            Unavailable: the store does not answer (STORAGE_UNAVAILABLE). Nothing was erased.
        """
        keys = await self._keyring.keys({organization})
        subject = self._keyring.subject(keys[organization], (organization, user))
        erase = partial(self._erase_within, subject, user, to_us(self._clock()), keys)
        sessions, entries, tree = await self._vault.write(erase)
        self._keyring.forget(subject)
        (entry,) = await self._log.entries(organization, tree.size - 1, 1)
        proof = await self._log.inclusion_proof(organization, tree.size - 1, tree.size)
        return Erased(entry, await self._log.signed(organization, tree), proof, sessions, entries)

    def _erase_within(
        self, subject: Subject, user: str, now_us: int, keys: Keys, connection: sa.Connection
    ) -> tuple[int, int, Frontier]:
        organization, name = subject
        tick = next_tick(connection)
        # Who is appending to the log is waited for, so that its entries are found; who comes later finds no key.
        audit_store.locked(connection, [organization])
        _destroy_key(connection, subject, now_us, tick)
        sessions = _delete_sessions(connection, organization, user)
        entries = audit_store.forget_subject(connection, subject)
        record = make_record(
            "erasure",
            entry_id=new_key().hex()[:32],
            time_us=now_us,
            retention_days=_RETENTION_DAYS,
            organization=organization,
            user="",
            subject=name,
            sessions=sessions,
            entries=entries,
        )
        trees = self._log.append_within([read_record(record)], keys, connection)
        return sessions, entries, trees[organization]


def _destroy_key(connection: sa.Connection, subject: Subject, now_us: int, tick: int) -> None:
    statement = sa.text(
        "INSERT INTO subject_keys (organization, subject, wrapped_key, erase_us, tick)"
        " VALUES (:organization, :subject, NULL, :erase_us, :tick) ON CONFLICT (organization, subject)"
        " DO UPDATE SET wrapped_key = NULL, erase_us = excluded.erase_us, tick = excluded.tick"
    ).bindparams(*(sa.bindparam(name, type_=subject_keys.c[name].type) for name in ("erase_us", "tick")))
    organization, name = subject
    values = {"organization": organization, "subject": name, "erase_us": now_us, "tick": tick}
    connection.execute(statement, values)


def _delete_sessions(connection: sa.Connection, organization: str, user: str) -> int:
    mine = sa.delete(redaction_sessions).where(
        redaction_sessions.c.organization == organization, redaction_sessions.c.user == user
    )
    return connection.execute(mine).rowcount
