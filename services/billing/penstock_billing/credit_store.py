"""Credit notes in the database: documents that take back what invoices charged, and the reversals in the ledger."""

import hashlib
from dataclasses import dataclass, replace

from servicekit.errors import FailedPrecondition
from sqlalchemy import Connection, func, insert, select

from penstock_billing import refusals
from penstock_billing.clock import SECOND_US
from penstock_billing.invoice import CREDIT, Invoice, InvoiceKind, InvoiceLine, read_invoice
from penstock_billing.invoice_store import get_invoice, is_document, keep_document
from penstock_billing.ledger import Entry, EntryKind
from penstock_billing.report_tables import invoices
from penstock_billing.rows import ENTRY, entry_row
from penstock_billing.store import lock
from penstock_billing.tables import entries

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
        select(invoices.c.content, invoices.c.request_hash).where(*is_document(request.organization, note_id))
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
    return keep_document(connection, note, request.invoice_id, request.digest)


def _creditable(connection: Connection, invoice: Invoice, amount_nanos: int) -> int:
    if invoice.kind is not InvoiceKind.INVOICE:
        raise refusals.invalid("A credit note cannot be credited.", "name")
    credited = select(func.coalesce(func.sum(invoices.c.total_nanos), 0)).where(
        invoices.c.organization == invoice.organization, invoices.c.corrects == invoice.invoice_id
    )
    rest = invoice.total_nanos + int(connection.execute(credited).scalar_one())
    if rest <= 0 or amount_nanos > rest:
        raise refusals.invalid(f"Of this invoice {max(rest, 0)} nano-dollars are left.", "amount_nanos")
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
