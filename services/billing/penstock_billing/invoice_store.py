"""Invoices in the database: made under the organization's lock, from the sums of the ledger, and never changed.

What an invoice comes to is all that was posted before its end, less what earlier invoices came to. So every nano-dollar
is on one invoice, also what a replica with a slow clock posts into a span that is invoiced already.
"""

from collections.abc import Sequence

from servicekit.errors import NotFound
from sqlalchemy import ColumnElement, Connection, func, insert, select, tuple_

from penstock_billing import refusals
from penstock_billing.charge_store import sum_charges
from penstock_billing.clock import CLOCKS_DIFFER_US, DAY_US, SECOND_US, month_start_us, rfc3339
from penstock_billing.invoice import (
    Invoice,
    InvoiceKind,
    adjusted,
    hash_of,
    read_invoice,
)
from penstock_billing.report_tables import invoices
from penstock_billing.rollup_store import sum_spend
from penstock_billing.store import lock
from penstock_billing.tables import entries

# How far replicas' clocks may differ, and the longest that a transaction takes.
GRACE_US = 5 * 60 * SECOND_US


def create_invoice(
    connection: Connection, organization: str, start_us: int | None, end_us: int | None, now_us: int
) -> Invoice:
    """Charge a span; None: from where the invoice before ended, and until the current month began.

    Raises:
        InvalidArgument: the span is empty, has not ended, or is invoiced in part, or it is to begin with the first
            charge and there is none (INVALID_ARGUMENT).
    """
    lock(connection, {organization})
    end_us = month_start_us(now_us) if end_us is None else end_us
    same = _find_span(connection, organization, end_us)
    if same is not None and start_us in (None, same.start_us):
        return same
    before = _last(connection, organization)
    spend = {hour: nanos for hour, nanos in sum_spend(connection, organization, 0).items() if hour < end_us}
    start_us = _check_span(start_us, end_us, now_us, before, min(spend, default=None))
    owed = sum(spend.values()) - _charged(connection, organization)
    lines = sum_charges(connection, organization, (start_us, end_us))
    first = before.last_entry_id + 1 if before else 1
    last = _entry_before(connection, end_us, before)
    invoice = Invoice(
        organization=organization,
        invoice_id=f"{rfc3339(start_us)[:10]}-to-{rfc3339(end_us)[:10]}",
        kind=InvoiceKind.INVOICE,
        start_us=start_us,
        end_us=end_us,
        create_us=now_us // SECOND_US * SECOND_US,
        lines=adjusted(lines, owed),
        first_entry_id=first if last >= first else 0,
        last_entry_id=max(last, first - 1),
    )
    return keep_document(connection, invoice)


def get_invoice(connection: Connection, organization: str, invoice_id: str) -> Invoice:
    """Read an invoice or a credit note.

    Raises:
        NotFound: there is none of that name (RESOURCE_NOT_FOUND).
    """
    found = select(invoices.c.content, invoices.c.content_hash).where(*is_document(organization, invoice_id))
    row = connection.execute(found).first()
    if row is None:
        name = f"organizations/{organization}/invoices/{invoice_id}"
        raise NotFound("RESOURCE_NOT_FOUND", "There is no such invoice.", metadata={"name": name})
    assert hash_of(row.content) == row.content_hash, "invoices never change"
    return read_invoice(row.content)


def list_invoices(
    connection: Connection, organization: str, before: Sequence[int | str] | None, items_max: int
) -> list[Invoice]:
    """Read invoices, newest first; `before` is the (creation, id) of the last one of the page before."""
    order = (invoices.c.create_us, invoices.c.invoice_id)
    page = select(invoices.c.content).where(invoices.c.organization == organization)
    if before is not None:
        page = page.where(tuple_(*order) < tuple_(*before))
    page = page.order_by(*(column.desc() for column in order)).limit(items_max)
    return [read_invoice(content) for content in connection.scalars(page)]


def keep_document(
    connection: Connection, invoice: Invoice, corrects: str = "", request_hash: bytes = b""
) -> Invoice:
    """Write a document, with its hash; `corrects` and `request_hash` are of a credit note."""
    content = invoice.content()
    row = {
        "organization": invoice.organization,
        "invoice_id": invoice.invoice_id,
        "kind": invoice.kind.value,
        "start_us": invoice.start_us,
        "end_us": invoice.end_us,
        "create_us": invoice.create_us,
        "total_nanos": invoice.total_nanos,
        "corrects": corrects,
        "request_hash": request_hash,
        "content": content,
        "content_hash": hash_of(content),
    }
    connection.execute(insert(invoices), row)
    return invoice


def is_document(organization: str, invoice_id: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Name a document in the table."""
    return invoices.c.organization == organization, invoices.c.invoice_id == invoice_id


def _check_span(
    start_us: int | None, end_us: int, now_us: int, before: Invoice | None, first_us: int | None
) -> int:
    """Give where the span begins: where the last one ended, else on the day of the first charge."""
    begin_us = before.end_us if before else first_us and first_us // DAY_US * DAY_US
    start_us = begin_us if start_us is None else start_us
    if start_us is None:
        raise refusals.invalid(f"Nothing was charged before {rfc3339(end_us)}.", "end_time")
    if start_us % DAY_US or end_us % DAY_US:
        raise refusals.invalid("An invoice begins and ends at a midnight, UTC.", "start_time")
    if before and start_us != before.end_us:
        raise refusals.invalid(f"What ended before {rfc3339(before.end_us)} is invoiced.", "start_time")
    if start_us >= end_us:
        raise refusals.invalid("The span is empty, or invoiced already.", "end_time")
    if end_us > now_us - GRACE_US:
        raise refusals.invalid(f"The span can be invoiced from {rfc3339(end_us + GRACE_US)} on.", "end_time")
    return start_us


def _charged(connection: Connection, organization: str) -> int:
    charged = select(func.coalesce(func.sum(invoices.c.total_nanos), 0)).where(
        invoices.c.organization == organization, invoices.c.kind == InvoiceKind.INVOICE.value
    )
    return int(connection.execute(charged).scalar_one())


def _find_span(connection: Connection, organization: str, end_us: int) -> Invoice | None:
    found = select(invoices.c.content).where(
        invoices.c.organization == organization,
        invoices.c.kind == InvoiceKind.INVOICE.value,
        invoices.c.end_us == end_us,
    )
    content = connection.scalar(found)
    return None if content is None else read_invoice(content)


def _last(connection: Connection, organization: str) -> Invoice | None:
    found = (
        select(invoices.c.content)
        .where(invoices.c.organization == organization, invoices.c.kind == InvoiceKind.INVOICE.value)
        .order_by(invoices.c.end_us.desc())
        .limit(1)
    )
    content = connection.scalar(found)
    return None if content is None else read_invoice(content)


def _entry_before(connection: Connection, at_us: int, before: Invoice | None) -> int:
    """Find the last entry posted before a time, by halving: entries are nearly in order of time.

    What an earlier invoice has is not looked at again; 0: there is none.
    """
    low, since_us = (before.last_entry_id, before.end_us) if before else (0, 0)
    high = int(connection.scalar(select(func.max(entries.c.entry_id))) or 0)
    while low < high:
        middle = (low + high + 1) // 2
        probe = select(entries.c.entry_id, entries.c.post_us).where(
            entries.c.entry_id >= middle, entries.c.post_us >= since_us - CLOCKS_DIFFER_US
        )
        found = connection.execute(probe.order_by(entries.c.entry_id).limit(1)).first()
        if found and found.post_us < at_us:
            low = max(middle, int(found.entry_id))
        else:
            high = middle - 1
    return low
