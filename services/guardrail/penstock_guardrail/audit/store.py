"""The tables of the audit log. Every function runs within the caller's transaction or connection."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import sqlalchemy as sa

from penstock_guardrail.audit.merkle import Frontier, Node, folded, joined, made_of, perfect
from penstock_guardrail.store import Subject
from penstock_guardrail.tables import audit_entries, audit_logs, audit_nodes

Leaves = tuple[int, int]
Place = tuple[str, str]
_ORGANIZATIONS_MAX = 64

# Statements of the hot path, written once: to write one costs as much as to run it.
_LOCK = (
    sa.select(audit_logs)
    .where(audit_logs.c.organization.in_(sa.bindparam("organizations", expanding=True)))
    .order_by(audit_logs.c.organization)
    .with_for_update()
)
_BEGIN = sa.text(
    "INSERT INTO audit_logs (organization, size, frontier) VALUES (:organization, 0, :frontier) ON CONFLICT DO NOTHING"
).bindparams(sa.bindparam("frontier", type_=sa.LargeBinary))
_KNOWN = sa.select(audit_entries.c.organization, audit_entries.c.entry_id).where(
    audit_entries.c.organization.in_(sa.bindparam("organizations", expanding=True)),
    audit_entries.c.entry_id.in_(sa.bindparam("ids", expanding=True)),
)
_LEAVES = (
    sa.select(audit_entries.c.leaf_hash)
    .where(
        audit_entries.c.organization == sa.bindparam("organization"),
        audit_entries.c.entry_index >= sa.bindparam("start"),
        audit_entries.c.entry_index < sa.bindparam("stop"),
    )
    .order_by(audit_entries.c.entry_index)
)
_NODES = (
    sa.select(audit_nodes.c.hash)
    .where(
        audit_nodes.c.organization == sa.bindparam("organization"),
        audit_nodes.c.level == sa.bindparam("level"),
        audit_nodes.c.node_index >= sa.bindparam("start"),
        audit_nodes.c.node_index < sa.bindparam("stop"),
    )
    .order_by(audit_nodes.c.node_index)
)
_GROW = (
    sa.update(audit_logs)
    .where(audit_logs.c.organization == sa.bindparam("name"))
    .values(size=sa.bindparam("new_size"), frontier=sa.bindparam("new_frontier"))
)


class EntryRow(NamedTuple):
    """An entry as the table has it, column by column."""

    organization: str
    entry_index: int
    entry_id: str
    leaf_hash: bytes
    subject: str
    sealed: bytes | None
    expire_us: int


def locked(connection: sa.Connection, organizations: Sequence[str]) -> dict[str, Frontier]:
    """Give the trees of some logs, none of which grows meanwhile. They are locked in order.

    Two who begin new logs may still wait for each other: the store ends one of them, which has to do it again.
    """
    ordered = sorted(organizations)
    rows = connection.execute(_LOCK, {"organizations": ordered}).all()
    if len(rows) < len(ordered):
        new = [{"organization": organization, "frontier": b""} for organization in ordered]
        connection.execute(_BEGIN, new)
        rows = connection.execute(_LOCK, {"organizations": ordered}).all()
    return {row.organization: Frontier.parse(row.size, row.frontier) for row in rows}


def frontier(connection: sa.Connection, organization: str) -> Frontier:
    """Give the tree of a log; an empty one when there is none."""
    query = sa.select(audit_logs).where(audit_logs.c.organization == organization)
    row = connection.execute(query).first()
    return Frontier.parse(row.size, row.frontier) if row else Frontier()


def known(connection: sa.Connection, organizations: Sequence[str], ids: Collection[str]) -> set[Place]:
    """Tell which entries, by log and id, are there already."""
    found = connection.execute(_KNOWN, {"organizations": list(organizations), "ids": list(ids)})
    return {(organization, entry_id) for organization, entry_id in found}


def add(
    connection: sa.Connection,
    entries: Sequence[EntryRow],
    nodes: Sequence[Mapping[str, Any]],
    trees: Mapping[str, Frontier],
) -> None:
    """Keep new entries, the nodes that they complete, and the trees as they are now."""
    connection.exec_driver_sql(_insert_entry(connection.dialect.paramstyle), list(entries))
    if nodes:
        connection.execute(audit_nodes.insert(), nodes)
    grown = [
        {"name": name, "new_size": tree.size, "new_frontier": tree.stored} for name, tree in trees.items()
    ]
    connection.execute(_GROW, grown)


def page(connection: sa.Connection, organization: str, start: int, most: int) -> Sequence[Any]:
    """Give the rows of entries from a position on."""
    query = sa.select(audit_entries).where(
        audit_entries.c.organization == organization,
        audit_entries.c.entry_index >= start,
        audit_entries.c.entry_index < start + most,
    )
    return connection.execute(query.order_by(audit_entries.c.entry_index)).all()


def roots(connection: sa.Connection, organization: str, ranges: Iterable[Leaves]) -> list[bytes]:
    """Give the roots over ranges of leaves, as a proof names them."""
    return [joined([_root(connection, organization, node) for node in perfect(leaves)]) for leaves in ranges]


def forget_subject(connection: sa.Connection, subject: Subject) -> int:
    """Delete what is sealed for a person; tell of how many entries."""
    organization, name = subject
    mine = sa.and_(audit_entries.c.organization == organization, audit_entries.c.subject == name)
    return _forget(connection, mine)


def with_expired(connection: sa.Connection, now_us: int) -> list[str]:
    """Name the logs that hold contents whose time is over."""
    query = sa.select(audit_entries.c.organization).where(*_expired(now_us)).distinct()
    return list(connection.execute(query.limit(_ORGANIZATIONS_MAX)).scalars())


def forget_expired(
    connection: sa.Connection, organizations: Sequence[str], now_us: int, most: int
) -> dict[str, int]:
    """Delete what is sealed in entries whose time is over, not more than `most` a log; count them by log."""
    counts = {}
    for organization in organizations:
        mine = audit_entries.c.organization == organization
        query = sa.select(audit_entries.c.entry_index).where(mine, *_expired(now_us)).limit(most)
        over = list(connection.execute(query).scalars())
        counts[organization] = _forget(connection, mine & audit_entries.c.entry_index.in_(over))
    return {organization: count for organization, count in counts.items() if count}


def _expired(now_us: int) -> tuple[Any, Any]:
    return audit_entries.c.sealed.is_not(None), audit_entries.c.expire_us <= now_us


def _forget(connection: sa.Connection, which: sa.ColumnElement[bool]) -> int:
    emptied = sa.update(audit_entries).where(which, audit_entries.c.sealed.is_not(None)).values(sealed=None)
    return connection.execute(emptied).rowcount


def _root(connection: sa.Connection, organization: str, node: Node) -> bytes:
    level, span = made_of(node)
    kept = {"organization": organization, "start": span.start, "stop": span.stop}
    found = (
        connection.execute(_NODES, {**kept, "level": level}) if level else connection.execute(_LEAVES, kept)
    )
    return folded(found.scalars().all())


@cache
def _insert_entry(paramstyle: str) -> str:
    """Write the statement as the driver takes it: SQLAlchemy's way with rows costs as much as sealing them."""
    columns = EntryRow._fields
    values = (f"${place + 1}" if paramstyle == "numeric_dollar" else "?" for place in range(len(columns)))
    return f"INSERT INTO {audit_entries.name} ({', '.join(columns)}) VALUES ({', '.join(values)})"  # noqa: S608 - our own names
