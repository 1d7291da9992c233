"""The router's own tables: API keys."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from servicekit.database import Database

from penstock_router.api_key import ApiKey
from penstock_router.identity import Principal

MIGRATIONS = Path(__file__).with_name("migrations")

_metadata = sa.MetaData()
_keys = sa.Table(
    "api_keys",
    _metadata,
    sa.Column("organization", sa.String(64), primary_key=True),
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("secret_hash", sa.LargeBinary(32)),
    sa.Column("secret_prefix", sa.String(16)),
    sa.Column("display_name", sa.String(128)),
    sa.Column("user", sa.String(64)),
    sa.Column("team", sa.String(64)),
    sa.Column("roles", sa.JSON),
    sa.Column("tier", sa.String(32)),
    sa.Column("models", sa.JSON),
    sa.Column("priority", sa.Integer),
    sa.Column("create_time", sa.DateTime(timezone=True)),
    sa.Column("expire_time", sa.DateTime(timezone=True)),
    sa.Column("revoke_time", sa.DateTime(timezone=True)),
    sa.Column("request_id", sa.String(64)),
    sa.Column("request_hash", sa.LargeBinary(32)),
)
_COLUMNS = [_keys.c[field.name] for field in fields(ApiKey)]


class ApiKeyStore:
    """API keys in the database. Every method raises Unavailable (STORAGE_UNAVAILABLE) when it does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find_by_hash(self, digest: bytes) -> Principal | None:
        """Give the principal of the key whose secret has this SHA-256."""
        async with self._database.connect() as connection:
            row = (
                (await connection.execute(_select().where(_keys.c.secret_hash == digest))).mappings().first()
            )
        return _api_key(row).principal if row else None

    async def find(self, organization: str, key_id: str) -> ApiKey | None:
        """Give a key by its id."""
        query = _select().where(_keys.c.organization == organization, _keys.c.id == key_id)
        async with self._database.connect() as connection:
            row = (await connection.execute(query)).mappings().first()
        return _api_key(row) if row else None

    async def find_request(self, organization: str, request_id: str) -> tuple[ApiKey, bytes] | None:
        """Give the key that a request made, with the hash of that request."""
        query = _select(_keys.c.request_hash).where(
            _keys.c.organization == organization, _keys.c.request_id == request_id
        )
        async with self._database.connect() as connection:
            row = (await connection.execute(query)).mappings().first()
        return (_api_key(row), row["request_hash"]) if row else None

    async def insert(self, key: ApiKey, digest: bytes, request_id: str | None, request_hash: bytes) -> None:
        """Keep a new key.

        Raises:
            sqlalchemy.exc.IntegrityError: the id, the secret or the request id is there already.
        """
        values: dict[str, Any] = {field.name: getattr(key, field.name) for field in fields(ApiKey)}
        values |= {"roles": list(key.roles), "models": list(key.models)}
        values |= {"secret_hash": digest, "request_id": request_id, "request_hash": request_hash}
        async with self._database.transaction() as connection:
            await connection.execute(_keys.insert().values(values))

    async def list(self, organization: str, before: tuple[datetime, str] | None, limit: int) -> list[ApiKey]:
        """List keys of an organization, newest first, those made before a position."""
        query = _select().where(_keys.c.organization == organization)
        if before is not None:
            query = query.where(sa.tuple_(_keys.c.create_time, _keys.c.id) < sa.tuple_(*before))
        query = query.order_by(_keys.c.create_time.desc(), _keys.c.id.desc()).limit(limit)
        async with self._database.connect() as connection:
            return [_api_key(row) for row in (await connection.execute(query)).mappings()]

    async def revoke(self, organization: str, key_id: str, now: datetime) -> None:
        """End a key, if it has not ended."""
        change = (
            _keys.update()
            .where(_keys.c.organization == organization, _keys.c.id == key_id, _keys.c.revoke_time.is_(None))
            .values(revoke_time=now)
        )
        async with self._database.transaction() as connection:
            await connection.execute(change)


def _select(*more: sa.Column[Any]) -> sa.Select[Any]:
    return sa.select(*_COLUMNS, *more)


def _api_key(row: Mapping[Any, Any]) -> ApiKey:
    values = {field.name: row[field.name] for field in fields(ApiKey)}
    values |= {"roles": tuple(row["roles"]), "models": tuple(row["models"])}
    for name in ("create_time", "expire_time", "revoke_time"):
        values[name] = _utc(values[name])
    return ApiKey(**values)


def _utc(at: datetime | None) -> datetime | None:
    """Name the zone that SQLite does not keep."""
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at
