"""The export as FOCUS: every column of the specification, and costs that sum to the ledger."""

import csv
import io
from decimal import Decimal
from typing import Any

from penstock.billing.v1 import hold_pb2, invoice_service_pb2, usage_service_pb2
from penstock_billing.focus import COLUMNS
from testkit.clock import Clock

BEGINNING = 1_767_225_600
DAY = 86_400


async def test_billed_costs_sum_to_the_ledger_page_by_page(billing: Any, tools: Any) -> None:
    hit = tools.attempt(outcome=hold_pb2.ATTEMPT_OUTCOME_CACHE_HIT, avoided_cost_nanos=500, input=9)
    items = [tools.settle_item(str(n), input=n, output=2 * n, user=f"u{n}", team="red") for n in range(1, 8)]
    await billing.settle_all([*items, tools.settle_item("hit", hit)])
    version, pages = await _export(billing, page_size=3)
    rows = list(csv.DictReader(io.StringIO("".join(pages), newline="")))
    assert (version, len(pages)) == ("1.2", 3)
    assert tuple(rows[0]) == COLUMNS
    assert sum(Decimal(row["BilledCost"]) for row in rows) == Decimal(28 * 5_000) / 10**9
    for row in rows:
        costs = {row[name] for name in ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost")}
        assert len(costs) == 1
        if row["ListUnitPrice"]:
            assert Decimal(row["ListUnitPrice"]) * int(row["PricingQuantity"]) == Decimal(row["ListCost"])
    assert {row["SkuMeter"] for row in rows} == {"Input Tokens", "Output Tokens", ""}
    assert sum(Decimal(row["x_AvoidedCost"]) for row in rows) == Decimal("0.0000005")
    assert sum(int(row["x_Operations"]) for row in rows) == 8
    assert {row["SubAccountId"] for row in rows} == {"red", ""}


async def test_costs_that_rounding_moved_still_sum_exactly(billing: Any, tools: Any) -> None:
    items = [
        tools.settle_item(str(n), tools.attempt(sku="test/odd", input=1, output=1), user="u")
        for n in range(5)
    ]
    await billing.settle_all(items)
    _, pages = await _export(billing)
    rows = list(csv.DictReader(io.StringIO("".join(pages), newline="")))
    spent = sum(record.cost_nanos for record in await billing.records())
    assert sum(Decimal(row["BilledCost"]) for row in rows) == Decimal(spent) / 10**9
    assert len(rows) == 2


async def test_charges_name_their_invoice_and_credit_notes_are_rows(
    billing: Any, tools: Any, clock: Clock
) -> None:
    await billing.settle(input=5)
    clock.advance(days=2)
    request = invoice_service_pb2.CreateInvoiceRequest(parent="organizations/acme")
    request.end_time.seconds = BEGINNING + DAY
    invoice = (await billing.invoices.CreateInvoice(request)).invoice
    credit = invoice_service_pb2.CreditInvoiceRequest(name=invoice.name, reason="outage", request_id="c1")
    await billing.invoices.CreditInvoice(credit)
    _, pages = await _export(billing)
    charge, note = csv.DictReader(io.StringIO("".join(pages), newline=""))
    assert charge["InvoiceId"] == invoice.name.rpartition("/")[2]
    assert (note["ChargeCategory"], note["BilledCost"], note["InvoiceId"]) == (
        "Credit",
        "-0.000005",
        "credit-c1",
    )


async def test_days_that_are_no_midnights_are_refused(billing: Any, refused: Any) -> None:
    request = usage_service_pb2.ExportFocusRequest(parent="organizations/acme")
    request.start_time.seconds = BEGINNING + 1
    assert await refused(billing.usage.ExportFocus(request)) == "INVALID_ARGUMENT"


async def _export(billing: Any, page_size: int = 0) -> tuple[str, list[str]]:
    request = usage_service_pb2.ExportFocusRequest(parent="organizations/acme", page_size=page_size)
    pages = []
    while True:
        answer = await billing.usage.ExportFocus(request)
        pages.append(answer.csv)
        request.page_token = answer.next_page_token
        if not request.page_token:
            return answer.focus_version, pages
