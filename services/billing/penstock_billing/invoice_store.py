"""Invoices in the database: made under the organization's lock, from the sums of the ledger, and never changed.

What an invoice comes to is all that was posted before its end, less what earlier invoices came to. So every nano-dollar
is on one invoice, also what a replica with a slow clock posts into a span that is invoiced already.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from servicekit.errors import FailedPrecondition, InvalidArgument, NotFound, ServiceError
from sqlalchemy import ColumnElement, Connection, func, insert, select, tuple_

from penstock_billing.charge_store import sum_charges
from penstock_billing.clock import DAY_US, SECOND_US, month_start_us, rfc3339
from penstock_billing.invoice import (
    CREDIT,
    Invoice,
    InvoiceKind,
    InvoiceLine,
    adjusted,
    hash_of,
    read_invoice,
)
from penstock_billing.ledger import Entry, EntryKind
from penstock_billing.report_tables import charge_days, invoices
from penstock_billing.rollup_store import sum_spend
from penstock_billing.rows import ENTRY, entry_row
from penstock_billing.store import lock
from penstock_billing.tables import entries

# How far replicas' clocks may differ, and the longest that a transaction takes.
GRACE_US = 5 * 60 * SECOND_US
HASH_BYTES = 16


@dataclass(frozen=True, slots=True)
class CreditRequest:
    """What of an invoice to take back, and why. `amount_nanos` 0: all that is left of it."""

    organization: str
    invoice_id: str
    amount_nanos: int
    reason: str
    request_id: str

    @property
    def digest(self) -> bytes:
        """Tell requests apart."""
        body = repr((self.invoice_id, self.amount_nanos, self.reason)).encode()
        return hashlib.blake2b(body, digest_size=HASH_BYTES).digest()


def create_invoice(
    connection: Connection, organization: str, start_us: int | None, end_us: int | None, now_us: int
) -> Invoice:
    """Charge a span; None: from where the invoice before ended, and until the current month began.

    Raises:
        InvalidArgument: the span is empty, has not ended, or is invoiced in part (INVALID_ARGUMENT).
    """
    lock(connection, {organization})
    end_us = month_start_us(now_us) if end_us is None else end_us
    same = _find_span(connection, organization, end_us)
    if same is not None and start_us in (None, same.start_us):
        return same
    before = _last(connection, organization)
    start_us = _check_span(start_us, end_us, now_us, before, _first_day(connection, organization, end_us))
    owed = _owed(connection, organization, end_us)
    lines = sum_charges(connection, organization, (start_us, end_us))
    first = before.last_entry_id + 1 if before else 1
    last = _entry_before(connection, end_us)
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
    return _keep(connection, invoice)


def credit_invoice(connection: Connection, request: CreditRequest, now_us: int) -> Invoice:
    """Take back what an invoice charged: a document, and the ledger entry that reverses it.

    Budgets stay as they are: what was spent was spent.

    Raises:
        NotFound: there is no such invoice (RESOURCE_NOT_FOUND).
        InvalidArgument: it is a credit note, or more than is left of it would be taken back (INVALID_ARGUMENT).
        FailedPrecondition: the request id was used for another request (REQUEST_ID_REUSED).
    """
    lock(connection, {request.organization})
    invoice = get_invoice(connection, request.organization, request.invoice_id)
    note_id = f"credit-{request.request_id}"
    known = connection.execute(
        select(invoices.c.content, invoices.c.request_hash).where(*_is(request.organization, note_id))
    ).first()
    if known is not None:
        if known.request_hash != request.digest:
            message = "The request id was used for another request."
            raise FailedPrecondition(
                "REQUEST_ID_REUSED", message, metadata={"request_id": request.request_id}
            )
        return read_invoice(known.content)
    nanos = _creditable(connection, invoice, request.amount_nanos)
    entry_id = _reverse(connection, request, nanos, now_us)
    note = replace(
        invoice,
        invoice_id=note_id,
        kind=InvoiceKind.CREDIT_NOTE,
        create_us=now_us // SECOND_US * SECOND_US,
        lines=(InvoiceLine.of_money(CREDIT, -nanos),),
        first_entry_id=entry_id,
        last_entry_id=entry_id,
        corrects=invoice.name,
        reason=request.reason,
    )
    return _keep(connection, note, request.invoice_id, request.digest)


def get_invoice(connection: Connection, organization: str, invoice_id: str) -> Invoice:
    """Read an invoice or a credit note.

    Raises:
        NotFound: there is none of that name (RESOURCE_NOT_FOUND).
    """
    found = select(invoices.c.content, invoices.c.content_hash).where(*_is(organization, invoice_id))
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


def _check_span(
    start_us: int | None, end_us: int, now_us: int, before: Invoice | None, first_day_us: int
) -> int:
    """Give where the span begins."""
    begin_us = before.end_us if before else first_day_us
    start_us = begin_us if start_us is None else start_us
    if start_us % DAY_US or end_us % DAY_US:
        raise _refused("An invoice begins and ends at a midnight, UTC.", "start_time")
    if before and start_us != begin_us:
        raise _refused(f"What ended before {rfc3339(begin_us)} is invoiced.", "start_time")
    if start_us >= end_us:
        raise _refused("The span is empty, or invoiced already.", "end_time")
    if end_us > now_us - GRACE_US:
        raise _refused(f"The span can be invoiced from {rfc3339(end_us + GRACE_US)} on.", "end_time")
    return start_us


def _refused(message: str, field: str) -> ServiceError:
    return InvalidArgument("INVALID_ARGUMENT", message, metadata={"field": field})


def _owed(connection: Connection, organization: str, end_us: int) -> int:
    spent = sum(nanos for hour, nanos in sum_spend(connection, organization, 0).items() if hour < end_us)
    charged = select(func.coalesce(func.sum(invoices.c.total_nanos), 0)).where(
        invoices.c.organization == organization, invoices.c.kind == InvoiceKind.INVOICE.value
    )
    return spent - int(connection.execute(charged).scalar_one())


def _creditable(connection: Connection, invoice: Invoice, amount_nanos: int) -> int:
    if invoice.kind is not InvoiceKind.INVOICE:
        raise _refused("A credit note cannot be credited.", "name")
    credited = select(func.coalesce(func.sum(invoices.c.total_nanos), 0)).where(
        invoices.c.organization == invoice.organization, invoices.c.corrects == invoice.invoice_id
    )
    rest = invoice.total_nanos + int(connection.execute(credited).scalar_one())
    if rest <= 0 or amount_nanos > rest:
        raise _refused(f"Of this invoice {max(rest, 0)} nano-dollars are left.", "amount_nanos")
    return amount_nanos or rest


def _reverse(connection: Connection, request: CreditRequest, nanos: int, now_us: int) -> int:
    settled = Entry(
        organization=request.organization,
        operation_id=f"credit-notes/{request.request_id}",
        kind=EntryKind.SETTLE,
        available_nanos=-nanos,
        held_nanos=0,
        revenue_nanos=nanos,
        post_us=now_us,
    )
    row = dict(zip(ENTRY, entry_row(settled.reversed()), strict=True))
    return int(connection.execute(insert(entries).values(row).returning(entries.c.entry_id)).scalar_one())


def _keep(connection: Connection, invoice: Invoice, corrects: str = "", request_hash: bytes = b"") -> Invoice:
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


def _first_day(connection: Connection, organization: str, end_us: int) -> int:
    """Give the day of the first charge, or the day before the end where there is none."""
    first = connection.scalar(
        select(func.min(charge_days.c.start_us)).where(charge_days.c.organization == organization)
    )
    return end_us - DAY_US if first is None else min(int(first), end_us - DAY_US)


def _entry_before(connection: Connection, at_us: int) -> int:
    """Find the last entry posted before a time, by halving: entries are nearly in order of time. 0: there is none."""
    low, high = 0, int(connection.scalar(select(func.coalesce(func.max(entries.c.entry_id), 0))) or 0)
    while low < high:
        middle = (low + high + 1) // 2
        probe = select(entries.c.entry_id, entries.c.post_us).where(entries.c.entry_id >= middle)
        found = connection.execute(probe.order_by(entries.c.entry_id).limit(1)).one()
        if found.post_us < at_us:
            low = max(middle, int(found.entry_id))
        else:
            high = middle - 1
    return low


def _is(organization: str, invoice_id: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return invoices.c.organization == organization, invoices.c.invoice_id == invoice_id
