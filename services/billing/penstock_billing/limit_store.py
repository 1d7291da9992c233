"""Limits in the database."""

from typing import Any

from servicekit.errors import AlreadyExists, InvalidArgument, NotFound, ServiceError
from sqlalchemy import Connection, Select, case, delete, func, insert, select, update

from penstock_billing.limit import Count, Limit
from penstock_billing.rows import LIMIT, limit_row, read_limit
from penstock_billing.store import lock
from penstock_billing.tables import limit_counts, limits

# Admission looks at every limit of an organization, so their number is bounded.
LIMITS_MAX = 64

_COLUMNS = [limits.c[name] for name in LIMIT]


def create_limit(connection: Connection, limit: Limit) -> Limit:
    """Make a limit. It counts what is admitted from then on.

    Raises:
        AlreadyExists: there is one of that name (RESOURCE_EXISTS).
        InvalidArgument: the organization has 64 limits already (INVALID_ARGUMENT).
    """
    lock(connection, {limit.organization})
    if connection.execute(_one(limit.organization, limit.limit_id)).first():
        raise AlreadyExists("RESOURCE_EXISTS", "There is such a limit.", metadata={"name": limit.name})
    of_organization = limits.c.organization == limit.organization
    count = select(func.count()).select_from(limits).where(of_organization)
    if connection.execute(count).scalar_one() >= LIMITS_MAX:
        raise InvalidArgument(
            "INVALID_ARGUMENT",
            f"An organization has at most {LIMITS_MAX} limits.",
            metadata={"field": "parent"},
        )
    connection.execute(insert(limits), limit_row(limit))
    return limit


def get_limit(connection: Connection, organization: str, limit_id: str) -> Limit:
    """Read a limit.

    Raises:
        NotFound: there is none of that name (RESOURCE_NOT_FOUND).
    """
    row = connection.execute(_one(organization, limit_id)).first()
    if row is None:
        raise _not_found(organization, limit_id)
    return read_limit(row)


def list_limits(connection: Connection, organization: str, after_id: str, items_max: int) -> list[Limit]:
    """Read the limits whose ids follow an id, in order."""
    page = (
        select(*_COLUMNS)
        .where(limits.c.organization == organization, limits.c.limit_id > after_id)
        .order_by(limits.c.limit_id)
        .limit(items_max)
    )
    return [read_limit(row) for row in connection.execute(page)]


def fullest_count(connection: Connection, limit: Limit, now_ms: int) -> Count:
    """Give the count of a limit that has least left, drained to now; an empty one where nothing was taken."""
    key, level, at_ms = limit_counts.c.key, limit_counts.c.level, limit_counts.c.at_ms
    # What has drained is bounded, or the product would not fit into 64 bits.
    idle_ms = case((now_ms - at_ms > limit.window_ms, limit.window_ms), else_=now_ms - at_ms)
    fullest = (
        select(key, level, at_ms).where(*_counted(limit)).order_by((level - limit.value * idle_ms).desc())
    )
    row = connection.execute(fullest.limit(1)).first()
    count = Count(f"{limit.prefix}/", 0, now_ms) if row is None else Count(*row)
    count.drain(limit, now_ms)
    return count


def update_limit(connection: Connection, organization: str, limit_id: str, changes: dict[str, Any]) -> Limit:
    """Change a limit; what was counted stays counted.

    Raises:
        NotFound: there is none of that name (RESOURCE_NOT_FOUND).
    """
    lock(connection, {organization})
    if changes:
        connection.execute(update(limits).where(*_is(organization, limit_id)).values(changes))
    return get_limit(connection, organization, limit_id)


def delete_limit(connection: Connection, organization: str, limit_id: str) -> None:
    """End a limit and forget its counts.

    Raises:
        NotFound: there is none of that name (RESOURCE_NOT_FOUND).
    """
    lock(connection, {organization})
    limit = get_limit(connection, organization, limit_id)
    connection.execute(delete(limit_counts).where(*_counted(limit)))
    connection.execute(delete(limits).where(*_is(organization, limit_id)))


def _counted(limit: Limit) -> tuple[Any, Any]:
    # "0" follows "/": between them lies every key that begins with the prefix and a slash.
    return limit_counts.c.key >= f"{limit.prefix}/", limit_counts.c.key < f"{limit.prefix}0"


def _is(organization: str, limit_id: str) -> tuple[Any, Any]:
    return limits.c.organization == organization, limits.c.limit_id == limit_id


def _one(organization: str, limit_id: str) -> Select[Any]:
    return select(*_COLUMNS).where(*_is(organization, limit_id))


def _not_found(organization: str, limit_id: str) -> ServiceError:
    name = f"organizations/{organization}/limits/{limit_id}"
    return NotFound("RESOURCE_NOT_FOUND", "There is no such limit.", metadata={"name": name})
