"""What the vault keeps: keys of organizations and of persons, redaction sessions, sealed values."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from servicekit.database import Database

from penstock_guardrail.tables import organization_keys as _keys
from penstock_guardrail.tables import redacted_values as _values
from penstock_guardrail.tables import redaction_sessions as _sessions
from penstock_guardrail.tables import subject_keys as _subjects

MIGRATIONS = Path(__file__).with_name("migrations")
# Written once: to write it costs as much as to run it.
_FIND_SUBJECT_KEYS = sa.select(
    _subjects.c.organization, _subjects.c.subject, _subjects.c.wrapped_key, _subjects.c.erase_us
).where(
    sa.tuple_(_subjects.c.organization, _subjects.c.subject).in_(sa.bindparam("subjects", expanding=True))
)


@dataclass(frozen=True, slots=True)
class OrganizationKey:
    """The key of an organization, and the one that signs its audit log, wrapped by a root key.

    Without the latter it is derived from that root key.
    """

    organization: str
    root_key_id: str
    wrapped_key: bytes
    create_time: datetime
    wrapped_signing_key: bytes | None = None


@dataclass(frozen=True, slots=True)
class SubjectKey:
    """The key of a person, wrapped by the organization's; `subject` is a keyed hash of the user's id.

    Without a key there was none since the erasure. What was recorded until `erase_us` is not to be readable.
    """

    organization: str
    subject: str
    wrapped_key: bytes | None
    erase_us: int = 0


Subject = tuple[str, str]  # organization, and a keyed hash of the user's id


@dataclass(frozen=True, slots=True)
class RedactionSession:
    """Whose values were replaced, and the key they are sealed with, wrapped by the person's key."""

    id: str
    organization: str
    user: str
    wrapped_key: bytes
    expire_time: datetime


@dataclass(frozen=True, slots=True)
class RedactedValue:
    """A value, sealed, and the token that stands for it."""

    session: str
    token: str
    sealed_value: bytes


class VaultStore:
    """The tables. Every coroutine raises Unavailable (STORAGE_UNAVAILABLE) when the database does not answer."""

    def __init__(self, database: Database) -> None:
        self.read = database.read
        self.write = database.write

    async def organization_keys(self, organizations: Collection[str]) -> list[OrganizationKey]:
        """Give the keys there are."""
        query = sa.select(_keys).where(_keys.c.organization.in_(organizations))
        return await self.read(partial(_organization_keys, query))

    async def root_key_ids(self) -> set[str]:
        """Name the root keys that the keys of organizations are wrapped with."""
        query = sa.select(_keys.c.root_key_id).distinct()
        return await self.read(lambda connection: set(connection.execute(query).scalars()))

    async def wrapped_by(self, root_key_id: str, most: int) -> list[OrganizationKey]:
        """Give keys that a root key wraps, not more than `most`."""
        query = sa.select(_keys).where(_keys.c.root_key_id == root_key_id).order_by(_keys.c.organization)
        return await self.read(partial(_organization_keys, query.limit(most)))

    async def wrap_anew(self, keys: Sequence[OrganizationKey], former_id: str) -> None:
        """Replace what a former root key wraps, in one transaction; what another replica replaced stays."""
        columns = "root_key_id", "wrapped_key", "wrapped_signing_key"
        changed = sa.update(_keys).where(
            _keys.c.organization == sa.bindparam("name"), _keys.c.root_key_id == former_id
        )
        statement = changed.values({column: sa.bindparam(f"new_{column}") for column in columns})
        rows = [
            {"name": key.organization, **{f"new_{column}": getattr(key, column) for column in columns}}
            for key in keys
        ]
        await self.write(lambda connection: connection.execute(statement, rows))

    async def add_organization_keys(self, keys: Iterable[OrganizationKey]) -> None:
        """Keep new keys, except of organizations that have one: another replica may have been first."""
        statement = sa.text(
            "INSERT INTO organization_keys (organization, root_key_id, wrapped_key, create_time, wrapped_signing_key)"
            " VALUES (:organization, :root_key_id, :wrapped_key, :create_time, :wrapped_signing_key)"
            " ON CONFLICT DO NOTHING"
        ).bindparams(*(sa.bindparam(column.name, type_=column.type) for column in _keys.c))
        rows = [asdict(key) for key in keys]
        await self.write(lambda connection: connection.execute(statement, rows))

    async def add_sessions(
        self, sessions: Sequence[RedactionSession], values: Sequence[RedactedValue]
    ) -> None:
        """Keep sessions with their values, in one transaction."""

        def add(connection: sa.Connection) -> None:
            connection.execute(_sessions.insert(), [asdict(session) for session in sessions])
            connection.execute(_values.insert(), [asdict(value) for value in values])

        await self.write(add)

    async def sessions(
        self, ids: Collection[str], now: datetime
    ) -> tuple[list[RedactionSession], list[RedactedValue]]:
        """Give the sessions that have not expired, with their values."""
        alive = sa.and_(_sessions.c.id.in_(ids), _sessions.c.expire_time > now)
        values = sa.select(_values).join(_sessions, _sessions.c.id == _values.c.session).where(alive)

        def find(connection: sa.Connection) -> tuple[list[RedactionSession], list[RedactedValue]]:
            found = connection.execute(sa.select(_sessions).where(alive)).mappings().all()
            held = connection.execute(values).mappings().all() if found else []
            return [RedactionSession(**row) for row in found], [RedactedValue(**row) for row in held]

        return await self.read(find)

    async def delete_expired(self, now: datetime, most: int) -> int:
        """Delete expired sessions with their values, not more than `most`; tell how many."""
        expired = sa.select(_sessions.c.id).where(_sessions.c.expire_time <= now).limit(most)
        statement = _sessions.delete().where(_sessions.c.id.in_(expired))
        return await self.write(lambda connection: connection.execute(statement).rowcount)


def add_subject_keys(connection: sa.Connection, keys: Sequence[SubjectKey]) -> None:
    """Keep new keys, in the order of subjects, except of persons that have one by now."""
    statement = sa.text(
        "INSERT INTO subject_keys (organization, subject, wrapped_key)"
        " VALUES (:organization, :subject, :wrapped_key) ON CONFLICT (organization, subject)"
        " DO UPDATE SET wrapped_key = COALESCE(subject_keys.wrapped_key, excluded.wrapped_key)"
    ).bindparams(sa.bindparam("wrapped_key", type_=sa.LargeBinary))
    connection.execute(
        statement,
        [{"organization": k.organization, "subject": k.subject, "wrapped_key": k.wrapped_key} for k in keys],
    )


def find_subject_keys(connection: sa.Connection, subjects: Collection[Subject]) -> dict[Subject, SubjectKey]:
    """Give the keys there are."""
    rows = connection.execute(_FIND_SUBJECT_KEYS, {"subjects": list(subjects)})
    return {
        (organization, subject): SubjectKey(organization, subject, *rest)
        for organization, subject, *rest in rows
    }


def _organization_keys(query: sa.Select[Any], connection: sa.Connection) -> list[OrganizationKey]:
    return [OrganizationKey(**row) for row in connection.execute(query).mappings()]
