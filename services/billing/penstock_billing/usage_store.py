"""Single usage lines in the database."""

from collections.abc import Sequence

from sqlalchemy import Connection, select, tuple_

from penstock_billing.tables import usage_lines
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
        page = page.where(_lines.operation_id == operation_id)
    if before is not None:
        page = page.where(tuple_(*order) < tuple_(*before))
    page = page.order_by(*(column.desc() for column in order)).limit(items_max)
    return [UsageLine(*row) for row in connection.execute(page)]
