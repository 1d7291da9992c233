"""Charges in the database: what was posted by day, price and payer."""

from collections.abc import Sequence

from sqlalchemy import BigInteger, ColumnElement, Connection, cast, func, select, tuple_, union_all

from penstock_billing.focus import Charge
from penstock_billing.invoice import InvoiceLine
from penstock_billing.line_sums import line_sums, pending_lines
from penstock_billing.report_tables import charge_days, usage_pending
from penstock_billing.sums import SUMS
from penstock_billing.tables import usage_lines

_KEY = [column for column in charge_days.primary_key if column.name != "organization"]
# The types of a charge's key within its organization, for page tokens.
KEY_TYPES = [int, *[str] * (len(_KEY) - 1)]


def list_charges(
    connection: Connection,
    organization: str,
    days: tuple[int, int],
    after: Sequence[int | str] | None,
    items_max: int,
) -> list[Charge]:
    """Read the charges of [start, end), in order of their keys; `after` is the last key of the page before."""
    page = (
        select(*(charge_days.c[field] for field in Charge.__dataclass_fields__))
        .where(
            charge_days.c.organization == organization,
            charge_days.c.start_us >= days[0],
            charge_days.c.start_us < days[1],
        )
        .order_by(*_KEY)
        .limit(items_max)
    )
    if after is not None:
        page = page.where(tuple_(*_KEY) > tuple_(*after))
    return [Charge(*row) for row in connection.execute(page)]


def key_of(charge: Charge) -> list[int | str]:
    """Give a charge's key."""
    return [getattr(charge, column.name) for column in _KEY]


def sum_charges(connection: Connection, organization: str, span: tuple[int, int]) -> list[InvoiceLine]:
    """Sum by price what was posted in [start, end), whole days; also what is not folded yet."""

    def is_posted(post_us: ColumnElement[int]) -> ColumnElement[bool]:
        return (post_us >= span[0]) & (post_us < span[1])

    days, lines = charge_days.c, usage_lines.c
    summed = [name for name in SUMS if name in InvoiceLine.__dataclass_fields__]
    folded = select(days.sku, days.book_version, *(days[name] for name in summed)).where(
        days.organization == organization, days.start_us >= span[0], days.start_us < span[1]
    )
    values = dict(zip(SUMS, line_sums(is_posted), strict=True))
    pending = (
        select(lines.sku, lines.book_version, *(values[name].label(name) for name in summed))
        .select_from(pending_lines)
        .where(usage_pending.c.organization == organization, is_posted(lines.post_us))
    )
    every = union_all(folded, pending).subquery()
    price = (every.c.sku, every.c.book_version)
    sums = (cast(func.sum(every.c[name]), BigInteger).label(name) for name in summed)
    rows = connection.execute(select(*price, *sums).group_by(*price).order_by(*price))
    return [InvoiceLine(**row) for row in rows.mappings()]
