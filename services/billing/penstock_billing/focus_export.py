"""Charges as FOCUS, read from the store a page at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from penstock_billing.charge_store import key_of, list_charges
from penstock_billing.focus import Charge, charge_rows, credit_row, write_csv
from penstock_billing.invoice import InvoiceKind
from penstock_billing.price_store import get_price_book
from penstock_billing.prices import PriceBook, Prices, restore_price_book
from penstock_billing.report_tables import invoices


@dataclass(frozen=True, slots=True)
class FocusPage:
    """Rows, and the key of the last charge of them; None: this is the last page."""

    csv: str
    last: list[int | str] | None


def export_page(
    connection: Connection,
    organization: str,
    days: tuple[int, int],
    after: Sequence[int | str] | None,
    items_max: int,
) -> FocusPage:
    """Export the charges of [start, end) after a key; the last page has the credit notes made in it, too."""
    charges = list_charges(connection, organization, days, after, items_max + 1)
    books: dict[str, PriceBook] = {}
    ends = _invoice_ends(connection, organization, days[0])
    rows: list[dict[str, str]] = []
    for charge in charges[:items_max]:
        invoice_id = next((name for end_us, name in ends if charge.start_us < end_us), "")
        rows += charge_rows(charge, _prices(connection, charge, books), invoice_id)
    last = key_of(charges[items_max - 1]) if len(charges) > items_max else None
    if last is None:
        rows += _credits(connection, organization, days)
    return FocusPage(write_csv(rows, header=after is None), last)


def _prices(connection: Connection, charge: Charge, books: dict[str, PriceBook]) -> Prices | None:
    """Give the prices that a charge was made at; where they changed within the day, the earlier ones."""
    if not charge.book_version:
        return None
    if charge.book_version not in books:
        content = get_price_book(connection, charge.book_version).content
        books[charge.book_version] = restore_price_book(content)
    at_day = books[charge.book_version].all_at(charge.start_us)
    return next((prices for prices in at_day if prices.sku == charge.sku), None)


def _invoice_ends(connection: Connection, organization: str, start_us: int) -> list[tuple[int, str]]:
    """Give when invoices end, the earliest first: a charge is on the first that ends after it."""
    found = (
        select(invoices.c.end_us, invoices.c.invoice_id)
        .where(
            invoices.c.organization == organization,
            invoices.c.kind == InvoiceKind.INVOICE.value,
            invoices.c.end_us > start_us,
        )
        .order_by(invoices.c.end_us)
    )
    return [(int(end_us), str(name)) for end_us, name in connection.execute(found)]


def _credits(connection: Connection, organization: str, days: tuple[int, int]) -> Iterator[dict[str, str]]:
    found = (
        select(invoices.c.invoice_id, invoices.c.create_us, invoices.c.total_nanos)
        .where(
            invoices.c.organization == organization,
            invoices.c.kind == InvoiceKind.CREDIT_NOTE.value,
            invoices.c.create_us >= days[0],
            invoices.c.create_us < days[1],
        )
        .order_by(invoices.c.create_us, invoices.c.invoice_id)
    )
    for row in connection.execute(found):
        yield credit_row(organization, row.invoice_id, row.create_us, row.total_nanos)
