"""InvoiceService: wire to invoices, and back."""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

from google.protobuf.timestamp_pb2 import Timestamp
from penstock.billing.v1 import invoice_pb2, invoice_service_pb2, invoice_service_pb2_grpc

from penstock_billing import resources
from penstock_billing.clock import Clock, from_timestamp, to_timestamp, to_us
from penstock_billing.credit_store import CreditRequest, credit_invoice
from penstock_billing.invoice import Invoice, InvoiceLine, hash_of
from penstock_billing.invoice_csv import write_invoice_csv
from penstock_billing.invoice_pdf import write_invoice_pdf
from penstock_billing.invoice_store import create_invoice, get_invoice, list_invoices
from penstock_billing.page_token import page_size, read_token, write_token
from penstock_billing.transactions import Transactions

_FILES: dict[int, tuple[str, str, Callable[[Invoice], bytes]]] = {
    invoice_service_pb2.INVOICE_FORMAT_JSON: (
        "json",
        "application/json",
        lambda invoice: invoice.content().encode(),
    ),
    invoice_service_pb2.INVOICE_FORMAT_CSV: ("csv", "text/csv", write_invoice_csv),
    invoice_service_pb2.INVOICE_FORMAT_PDF: ("pdf", "application/pdf", write_invoice_pdf),
}


class InvoiceServicer(invoice_service_pb2_grpc.InvoiceServiceServicer):
    """Invoices, from the store."""

    def __init__(self, transactions: Transactions, clock: Clock) -> None:
        self._transactions = transactions
        self._clock = clock

    async def CreateInvoice(
        self, request: invoice_service_pb2.CreateInvoiceRequest, _context: Any
    ) -> invoice_service_pb2.CreateInvoiceResponse:
        """Charge a span."""
        make = partial(
            create_invoice,
            organization=resources.read_parent(request.parent),
            start_us=_time(request, "start_time"),
            end_us=_time(request, "end_time"),
            now_us=to_us(self._clock()),
        )
        invoice = await self._transactions.write(make)
        return invoice_service_pb2.CreateInvoiceResponse(invoice=_write(invoice))

    async def CreditInvoice(
        self, request: invoice_service_pb2.CreditInvoiceRequest, _context: Any
    ) -> invoice_service_pb2.CreditInvoiceResponse:
        """Take back what an invoice charged."""
        credit = CreditRequest(
            *_read_name(request.name), request.amount_nanos, request.reason, request.request_id
        )
        make = partial(credit_invoice, request=credit, now_us=to_us(self._clock()))
        note = await self._transactions.write(make)
        return invoice_service_pb2.CreditInvoiceResponse(credit_note=_write(note))

    async def GetInvoice(
        self, request: invoice_service_pb2.GetInvoiceRequest, _context: Any
    ) -> invoice_service_pb2.GetInvoiceResponse:
        """Give an invoice."""
        return invoice_service_pb2.GetInvoiceResponse(invoice=_write(await self._find(request.name)))

    async def ListInvoices(
        self, request: invoice_service_pb2.ListInvoicesRequest, _context: Any
    ) -> invoice_service_pb2.ListInvoicesResponse:
        """Give a page of invoices."""
        size = page_size(request.page_size)
        find = partial(
            list_invoices,
            organization=resources.read_parent(request.parent),
            before=read_token(request.page_token, [request.parent], [int, str]),
            items_max=size + 1,
        )
        found = await self._transactions.read(find)
        response = invoice_service_pb2.ListInvoicesResponse(
            invoices=[_write(invoice, lines=False) for invoice in found[:size]]
        )
        if len(found) > size:
            last = found[size - 1]
            response.next_page_token = write_token([last.create_us, last.invoice_id], [request.parent])
        return response

    async def DownloadInvoice(
        self, request: invoice_service_pb2.DownloadInvoiceRequest, _context: Any
    ) -> invoice_service_pb2.DownloadInvoiceResponse:
        """Give an invoice as a file."""
        invoice = await self._find(request.name)
        ending, content_type, write = _FILES[request.format or invoice_service_pb2.INVOICE_FORMAT_JSON]
        return invoice_service_pb2.DownloadInvoiceResponse(
            filename=f"{invoice.organization}-{invoice.invoice_id}.{ending}",
            content_type=content_type,
            content=write(invoice),
        )

    async def _find(self, name: str) -> Invoice:
        organization, invoice_id = _read_name(name)
        find = partial(get_invoice, organization=organization, invoice_id=invoice_id)
        return await self._transactions.read(find)


def _read_name(name: str) -> tuple[str, str]:
    _, organization, _, invoice_id = name.split("/")
    return organization, invoice_id


def _time(request: invoice_service_pb2.CreateInvoiceRequest, field: str) -> int | None:
    if not request.HasField(cast("Any", field)):
        return None
    timestamp: Timestamp = getattr(request, field)
    return from_timestamp(timestamp)


def _write(invoice: Invoice, *, lines: bool = True) -> invoice_pb2.Invoice:
    return invoice_pb2.Invoice(
        name=invoice.name,
        kind=cast("invoice_pb2.InvoiceKind", invoice.kind.value),
        start_time=to_timestamp(invoice.start_us),
        end_time=to_timestamp(invoice.end_us),
        create_time=to_timestamp(invoice.create_us),
        total_nanos=invoice.total_nanos,
        payable_cents=invoice.payable_cents,
        rounding_nanos=invoice.rounding_nanos,
        lines=map(_write_line, invoice.lines) if lines else (),
        first_entry_id=invoice.first_entry_id,
        last_entry_id=invoice.last_entry_id,
        content_hash=hash_of(invoice.content()),
        corrects=invoice.corrects,
        reason=invoice.reason,
    )


def _write_line(line: InvoiceLine) -> invoice_pb2.InvoiceLine:
    return invoice_pb2.InvoiceLine(**{name: getattr(line, name) for name in InvoiceLine.__dataclass_fields__})
