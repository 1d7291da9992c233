"""Single usage lines in the database."""

from collections.abc import Sequence

from sqlalchemy import Connection, ScalarSelect, select, tuple_

from penstock_billing.clock import CLOCKS_DIFFER_US
from penstock_billing.tables import holds, usage_lines
from penstock_billing.usage import UsageLine

_lines = usage_lines.c


def list_usage(
    connection: Connection,
    organization: str,
    operation_id: str,
    before: Sequence[int | str] | None,
    items_max: int,
) -> list[UsageLine]:
    """Read lines, newest first; `before` is the (end, operation, attempt) of the last line of the page before."""
    order = (_lines.end_us, _lines.operation_id, _lines.attempt)
    page = select(*(usage_lines.c[field] for field in UsageLine._fields))
    page = page.where(_lines.organization == organization)
    if operation_id:
        page = page.where(
            _lines.operation_id == operation_id, _lines.post_us >= _begun(organization, operation_id)
        )
    if before is not None:
        page = page.where(tuple_(*order) < tuple_(*before))
    page = page.order_by(*(column.desc() for column in order)).limit(items_max)
    return [UsageLine(*row) for row in connection.execute(page)]


def _begun(organization: str, operation_id: str) -> ScalarSelect[int]:
    """Give when an operation's lines can have been posted at the earliest; none was without a hold."""
    found = select(holds.c.create_us - CLOCKS_DIFFER_US).where(
        holds.c.operation_id == operation_id, holds.c.organization == organization
    )
    return found.scalar_subquery()
