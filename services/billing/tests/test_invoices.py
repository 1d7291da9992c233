"""Invoices: every nano-dollar of the ledger is on one of them, once, and none ever changes."""

import csv
import hashlib
import io
import json
import random
import re
import zlib
from functools import partial
from typing import Any

import pytest
from penstock.billing.v1 import invoice_pb2, invoice_service_pb2
from penstock_billing.fold import fold
from penstock_billing.invoice_store import create_invoice
from penstock_billing.money_text import cents, decimal, dollars
from penstock_billing.settings import BillingSettings
from penstock_billing.tables import usage_lines
from penstock_billing.transactions import open_transactions
from sqlalchemy import exc, func, insert, select, text
from testkit.clock import Clock

BEGINNING = 1_767_225_600  # 2026-01-01T00:00:00Z, where the test clock begins
DAY = 86_400
PARENT = "organizations/acme"


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, settings: BillingSettings) -> BillingSettings:
    url = str(request.getfixturevalue("postgres_url")) if request.param == "postgresql" else ""
    return settings.model_copy(update={"database_url": url})


@pytest.mark.parametrize("seed", range(3))
async def test_invoices_are_the_ledger_whatever_was_folded_when(
    start: Any, tools: Any, store: BillingSettings, clock: Clock, differences: Any, seed: int
) -> None:
    rng = random.Random(seed)
    totals = 0
    async with (
        start(database_url=store.database_url) as (billing, _server),
        open_transactions(store) as transactions,
    ):
        for number in range(10):
            await billing.settle_all(
                [
                    tools.settle_item(
                        f"{number}-{n}",
                        tools.attempt(sku=rng.choice(["test/model", "test/cheap"]), input=rng.randrange(99)),
                    )
                    for n in range(4)
                ]
            )
            if rng.random() < 0.5:
                await transactions.write(partial(fold, tag_keys=(), lines_max=rng.choice([3, 100])))
            clock.advance(hours=rng.randrange(1, 40))
            if rng.random() < 0.5:
                totals += await _invoice_until_yesterday(billing, clock)
        clock.advance(days=2)
        totals += await _invoice_until_yesterday(billing, clock)
        assert totals == await transactions.read(
            lambda connection: connection.scalar(select(func.sum(usage_lines.c.cost_nanos)))
        )
    assert await differences(database_url=store.database_url) == []


async def test_an_invoice_tells_what_was_used_at_which_price(
    start: Any, tools: Any, store: BillingSettings, clock: Clock
) -> None:
    async with start(database_url=store.database_url) as (billing, _server):
        await _use(billing, tools)
        clock.advance(days=2)
        invoice = await _create(billing, end=BEGINNING + DAY)
        assert invoice.name == f"{PARENT}/invoices/2026-01-01-to-2026-01-02"
        assert [
            (line.sku, line.operations, line.input_tokens, line.cost_nanos) for line in invoice.lines
        ] == [
            ("test/cheap", 1, 7, 700),
            ("test/model", 2, 8_000_003, 8_000_003_000),
        ]
        assert (invoice.total_nanos, invoice.payable_cents) == (8_000_003_700, 800)
        assert invoice.payable_cents * 10_000_000 == invoice.total_nanos + invoice.rounding_nanos
        assert 0 < invoice.first_entry_id <= invoice.last_entry_id


async def test_the_same_span_again_is_the_same_invoice(billing: Any, tools: Any, clock: Clock) -> None:
    await _use(billing, tools)
    clock.advance(days=2)
    first = await _create(billing, end=BEGINNING + DAY)
    assert await _create(billing, end=BEGINNING + DAY) == first
    assert await _create(billing, start=BEGINNING, end=BEGINNING + DAY) == first
    listed = await billing.invoices.ListInvoices(invoice_service_pb2.ListInvoicesRequest(parent=PARENT))
    assert [(each.name, each.content_hash) for each in listed.invoices] == [(first.name, first.content_hash)]


@pytest.mark.parametrize(
    ("start_day", "end_day"),
    [(0, 3), (1, 3), (1.5, 2), (2, 2), (1, 1.5)],
    ids=[
        "invoiced already",
        "overlap is refused after a gap",
        "no midnight",
        "empty",
        "no midnight at the end",
    ],
)
async def test_a_span_that_is_not_the_next_whole_days_is_refused(
    billing: Any, tools: Any, clock: Clock, refused: Any, start_day: float, end_day: float
) -> None:
    await _use(billing, tools)
    clock.advance(days=5)
    await _create(billing, end=BEGINNING + 2 * DAY)
    request = _request(int(BEGINNING + start_day * DAY), int(BEGINNING + end_day * DAY))
    assert await refused(billing.invoices.CreateInvoice(request)) == "INVALID_ARGUMENT"


async def test_there_is_no_first_invoice_before_the_first_charge(
    billing: Any, tools: Any, clock: Clock, refused: Any
) -> None:
    request = _request(None, BEGINNING + 31 * DAY)
    clock.advance(days=40)
    assert await refused(billing.invoices.CreateInvoice(request)) == "INVALID_ARGUMENT"
    await _use(billing, tools)
    assert await refused(billing.invoices.CreateInvoice(request)) == "INVALID_ARGUMENT"
    assert (await _create(billing, start=BEGINNING, end=BEGINNING + 31 * DAY)).total_nanos == 0


async def test_a_day_can_be_invoiced_five_minutes_after_it_ended(
    billing: Any, tools: Any, clock: Clock, refused: Any
) -> None:
    await _use(billing, tools)
    clock.advance(days=1, minutes=4)
    request = _request(None, BEGINNING + DAY)
    assert await refused(billing.invoices.CreateInvoice(request)) == "INVALID_ARGUMENT"
    clock.advance(minutes=1)
    assert (await _create(billing, end=BEGINNING + DAY)).total_nanos == 8_000_003_700


async def test_what_a_slow_clock_posts_into_an_invoiced_span_is_on_the_next_invoice(
    start: Any, tools: Any, settings: BillingSettings, clock: Clock
) -> None:
    async with start() as (billing, _server), open_transactions(settings) as transactions:
        await _use(billing, tools)
        clock.advance(days=2)
        await _create(billing, end=BEGINNING + DAY)
        (row,) = await transactions.read(lambda c: c.execute(select(usage_lines).limit(1)).mappings().all())
        late = dict(row) | {"operation_id": "late", "cost_nanos": 5}
        await transactions.write(lambda c: c.execute(insert(usage_lines), late).rowcount)
        clock.advance(days=1)
        now_us = int(clock.seconds) * 1_000_000
        second = await transactions.write(
            partial(
                create_invoice,
                organization="acme",
                start_us=None,
                end_us=(BEGINNING + 2 * DAY) * 1_000_000,
                now_us=now_us,
            )
        )
        assert [(line.sku, line.cost_nanos) for line in second.lines] == [("adjustment", 5)]


async def test_an_invoice_never_changes(start: Any, tools: Any, store: BillingSettings, clock: Clock) -> None:
    async with start(database_url=store.database_url) as (billing, _server):
        await _use(billing, tools)
        clock.advance(days=2)
        await _create(billing, end=BEGINNING + DAY)
    async with open_transactions(store) as transactions:
        for change in ("UPDATE invoices SET total_nanos = 0", "DELETE FROM invoices"):
            with pytest.raises(exc.DBAPIError, match="immutable"):
                await transactions.write(lambda c, change=change: c.execute(text(change)).rowcount)


async def test_a_credit_note_reverses_in_the_ledger_once(
    start: Any, tools: Any, store: BillingSettings, clock: Clock, differences: Any, refused: Any
) -> None:
    async with start(database_url=store.database_url) as (billing, _server):
        await _use(billing, tools)
        clock.advance(days=2)
        invoice = await _create(billing, end=BEGINNING + DAY)
        note = await _credit(billing, invoice, "c1", amount_nanos=3_700)
        assert (note.kind, note.total_nanos) == (invoice_pb2.INVOICE_KIND_CREDIT_NOTE, -3_700)
        assert (note.corrects, note.reason) == (invoice.name, "outage")
        assert await _credit(billing, invoice, "c1", amount_nanos=3_700) == note
        assert await refused(_credit(billing, invoice, "c1", amount_nanos=4_000)) == "REQUEST_ID_REUSED"
        assert (
            await refused(_credit(billing, invoice, "c2", amount_nanos=8_000_000_001)) == "INVALID_ARGUMENT"
        )
        assert (await _credit(billing, invoice, "c3")).total_nanos == -8_000_000_000
        assert await refused(_credit(billing, invoice, "c4")) == "INVALID_ARGUMENT"
        assert await refused(_credit(billing, note, "c5")) == "INVALID_ARGUMENT"
    assert await differences(database_url=store.database_url) == []


async def test_invoices_come_newest_first_in_pages(billing: Any, tools: Any, clock: Clock) -> None:
    await _use(billing, tools)
    clock.advance(days=4)
    made = []
    for day in (1, 2, 3):
        made.append((await _create(billing, end=BEGINNING + day * DAY)).name)
        clock.advance(seconds=1)
    request = invoice_service_pb2.ListInvoicesRequest(parent=PARENT, page_size=2)
    first = await billing.invoices.ListInvoices(request)
    request.page_token = first.next_page_token
    second = await billing.invoices.ListInvoices(request)
    assert [each.name for each in (*first.invoices, *second.invoices)] == made[::-1]
    assert not first.invoices[0].lines


async def test_the_json_is_what_the_hash_is_of(billing: Any, tools: Any, clock: Clock) -> None:
    invoice = await _invoiced(billing, tools, clock)
    file = await _download(billing, invoice, invoice_service_pb2.INVOICE_FORMAT_JSON)
    assert hashlib.sha256(file.content).hexdigest() == invoice.content_hash
    document = json.loads(file.content)
    assert sum(int(line["cost_nanos"]) for line in document["lines"]) == int(document["total_nanos"])
    assert file.filename == "acme-2026-01-01-to-2026-01-02.json"


async def test_the_csv_has_a_row_a_line(billing: Any, tools: Any, clock: Clock) -> None:
    invoice = await _invoiced(billing, tools, clock)
    file = await _download(billing, invoice, invoice_service_pb2.INVOICE_FORMAT_CSV)
    rows = list(csv.DictReader(io.StringIO(file.content.decode(), newline="")))
    assert [(row["sku"], row["cost_usd"]) for row in rows] == [
        ("test/cheap", "0.0000007"),
        ("test/model", "8.000003"),
    ]


async def test_the_pdf_says_what_is_to_be_paid(billing: Any, tools: Any, clock: Clock) -> None:
    invoice = await _invoiced(billing, tools, clock)
    file = await _download(billing, invoice, invoice_service_pb2.INVOICE_FORMAT_PDF)
    assert file.content_type == "application/pdf"
    assert file.content.startswith(b"%PDF-1.7")
    texts = _pdf_texts(file.content)
    assert "test/model" in texts
    assert re.search(r"To be paid +8\.00\b(?!\d)", texts)
    assert invoice.content_hash in texts


async def test_an_invoice_that_is_not_there_is_not_found(billing: Any, refused: Any) -> None:
    request = invoice_service_pb2.GetInvoiceRequest(name=f"{PARENT}/invoices/none")
    assert await refused(billing.invoices.GetInvoice(request)) == "RESOURCE_NOT_FOUND"


def test_amounts_are_written_and_rounded_exactly() -> None:
    assert [dollars(nanos) for nanos in (0, 1, -1_500_000_000, 10**18)] == [
        "0",
        "0.000000001",
        "-1.5",
        "1000000000",
    ]
    assert decimal(37_500_000, 15) == "0.0000000375"
    assert [cents(nanos) for nanos in (5_000_000, 15_000_000, 5_000_001, -5_000_000, -15_000_000)] == [
        0,
        2,
        1,
        0,
        -2,
    ]


async def _use(billing: Any, tools: Any) -> None:
    await billing.settle_all(
        [
            tools.settle_item("1", input=3),
            tools.settle_item("2", input=8_000_000),
            tools.settle_item("3", tools.attempt(sku="test/cheap", input=7)),
        ]
    )


async def _invoiced(billing: Any, tools: Any, clock: Clock) -> Any:
    await _use(billing, tools)
    clock.advance(days=2)
    return await _create(billing, end=BEGINNING + DAY)


async def _invoice_until_yesterday(billing: Any, clock: Clock) -> int:
    end = int(clock.seconds - 3600) // DAY * DAY
    listed = await billing.invoices.ListInvoices(invoice_service_pb2.ListInvoicesRequest(parent=PARENT))
    last = max((each.end_time.seconds for each in listed.invoices), default=BEGINNING)
    if end <= last:
        return 0
    return int((await _create(billing, end=end)).total_nanos)


def _request(start: int | None, end: int) -> invoice_service_pb2.CreateInvoiceRequest:
    request = invoice_service_pb2.CreateInvoiceRequest(parent=PARENT)
    request.end_time.seconds = end
    if start is not None:
        request.start_time.seconds = start
    return request


async def _create(billing: Any, *, start: int | None = None, end: int) -> Any:
    return (await billing.invoices.CreateInvoice(_request(start, end))).invoice


async def _credit(billing: Any, invoice: Any, request_id: str, amount_nanos: int = 0) -> Any:
    request = invoice_service_pb2.CreditInvoiceRequest(
        name=invoice.name, amount_nanos=amount_nanos, reason="outage", request_id=request_id
    )
    return (await billing.invoices.CreditInvoice(request)).credit_note


async def _download(billing: Any, invoice: Any, form: invoice_service_pb2.InvoiceFormat) -> Any:
    request = invoice_service_pb2.DownloadInvoiceRequest(name=invoice.name, format=form)
    return await billing.invoices.DownloadInvoice(request)


def _pdf_texts(content: bytes) -> str:
    """Give all that the streams of a PDF say, unpacked."""
    texts = []
    for part in content.split(b"stream\n")[1:]:
        try:
            texts.append(zlib.decompressobj().decompress(part).decode("latin-1"))
        except zlib.error:
            continue
    return "\n".join(texts)
