"""Corrections in the database: made under the organization's lock, and never changed."""

from collections.abc import Sequence

from servicekit.errors import FailedPrecondition, NotFound
from sqlalchemy import Connection, insert, select, tuple_, update

from penstock_billing import refusals
from penstock_billing.budget import subject_paths
from penstock_billing.budget_counts import BudgetCounts
from penstock_billing.clock import CLOCKS_DIFFER_US
from penstock_billing.correction import (
    Corrected,
    Correction,
    CorrectionRequest,
    correct,
    standing,
)
from penstock_billing.invoice import InvoiceKind
from penstock_billing.ledger import Hold, HoldState, Payer
from penstock_billing.prices import PriceBook
from penstock_billing.report_tables import invoices
from penstock_billing.rows import (
    BUDGET,
    BUDGET_CHANGES,
    ENTRY,
    HOLD,
    budget_row,
    entry_row,
    read_budget,
    read_hold,
)
from penstock_billing.store import lock
from penstock_billing.tables import budgets, entries, holds, usage_corrections, usage_lines
from penstock_billing.usage import UsageLine, total_nanos

_corrections = usage_corrections.c
_FIELDS = tuple(Correction.__dataclass_fields__)


def correct_usage(
    connection: Connection, request: CorrectionRequest, book: PriceBook, now_us: int
) -> Correction:
    """Correct an operation: its lines, its hold, the ledger, and every budget that it counts for.

    Raises:
        NotFound: nothing was settled by that id (RESOURCE_NOT_FOUND).
        InvalidArgument: it is on an invoice, or as `correct` says (INVALID_ARGUMENT).
        FailedPrecondition: a SKU has no price (PRICE_UNKNOWN), or the request id was used for another request
            (REQUEST_ID_REUSED).
    """
    lock(connection, {request.organization})
    known = _find(connection, request)
    if known is not None:
        return known
    hold, lines = _settled(connection, request.organization, request.operation_id)
    _refuse_invoiced(connection, lines)
    counts = _budgets(connection, hold.payer, now_us)
    corrected = correct(request, hold, lines, book, counts.now_us)
    counts.post(hold.payer, corrected.entries)
    _write(connection, corrected, counts, request.digest)
    return corrected.correction


def list_corrections(
    connection: Connection, organization: str, before: Sequence[int | str] | None, items_max: int
) -> list[Correction]:
    """Read corrections, newest first; `before` is the (creation, request) of the last one of the page before."""
    order = (_corrections.create_us, _corrections.request_id)
    page = select(*(_corrections[name] for name in _FIELDS)).where(_corrections.organization == organization)
    if before is not None:
        page = page.where(tuple_(*order) < tuple_(*before))
    page = page.order_by(*(column.desc() for column in order)).limit(items_max)
    return [Correction(*row) for row in connection.execute(page)]


def _find(connection: Connection, request: CorrectionRequest) -> Correction | None:
    """Find what the same request did before."""
    found = select(_corrections.request_hash, *(_corrections[name] for name in _FIELDS)).where(
        _corrections.organization == request.organization, _corrections.request_id == request.request_id
    )
    row = connection.execute(found).first()
    if row is None:
        return None
    if row.request_hash != request.digest:
        message = "The request id was used for another request."
        raise FailedPrecondition("REQUEST_ID_REUSED", message, metadata={"request_id": request.request_id})
    return Correction(*row[1:])


def _settled(connection: Connection, organization: str, operation_id: str) -> tuple[Hold, list[UsageLine]]:
    """Read a settled hold and all lines of it."""
    found = select(*(holds.c[name] for name in HOLD)).where(
        holds.c.operation_id == operation_id,
        holds.c.organization == organization,
        holds.c.state == HoldState.SETTLED.value,
    )
    row = connection.execute(found).first()
    if row is None:
        name = f"organizations/{organization}/usageRecords/{operation_id}"
        raise NotFound("RESOURCE_NOT_FOUND", "Nothing was settled by that id.", metadata={"name": name})
    hold = read_hold(row)
    found = select(*(usage_lines.c[name] for name in UsageLine._fields)).where(
        usage_lines.c.operation_id == operation_id,
        usage_lines.c.organization == organization,
        usage_lines.c.post_us >= hold.create_us - CLOCKS_DIFFER_US,
    )
    lines = [UsageLine(*line) for line in connection.execute(found)]
    if not lines or total_nanos(standing(lines)) != hold.cost_nanos:
        raise refusals.invalid(
            "Its usage is archived; a credit note takes back what was charged.", "operation_id"
        )
    return hold, lines


def _refuse_invoiced(connection: Connection, lines: Sequence[UsageLine]) -> None:
    """Leave what is on an invoice to credit notes, so that nothing is taken back by both."""
    for line in standing(lines)[:1]:  # they were posted together
        found = (
            select(invoices.c.invoice_id)
            .where(
                invoices.c.organization == line.organization,
                invoices.c.kind == InvoiceKind.INVOICE.value,
                invoices.c.end_us > line.post_us,
            )
            .order_by(invoices.c.end_us)
            .limit(1)
        )
        invoice_id = connection.scalar(found)
        if invoice_id is not None:
            name = f"organizations/{line.organization}/invoices/{invoice_id}"
            message = "It is on an invoice; a credit note corrects that."
            raise refusals.invalid(message, "operation_id", invoice=name)


def _budgets(connection: Connection, payer: Payer, now_us: int) -> BudgetCounts:
    of_payer = select(*(budgets.c[name] for name in BUDGET)).where(
        budgets.c.organization == payer.organization, budgets.c.subject.in_(subject_paths(payer))
    )
    return BudgetCounts([read_budget(row) for row in connection.execute(of_payer)], now_us)


def _write(connection: Connection, corrected: Corrected, counts: BudgetCounts, digest: bytes) -> None:
    correction, hold = corrected.correction, corrected.hold
    row = {name: getattr(correction, name) for name in _FIELDS}
    connection.execute(insert(usage_corrections), row | {"request_hash": digest})
    connection.execute(insert(usage_lines), [line._asdict() for line in corrected.lines])
    connection.execute(
        update(holds)
        .where(holds.c.operation_id == hold.operation_id, holds.c.organization == hold.payer.organization)
        .values(cost_nanos=hold.cost_nanos)
    )
    for entry in corrected.entries:
        connection.execute(insert(entries), dict(zip(ENTRY, entry_row(entry), strict=True)))
    for budget in counts.changed:
        written = budget_row(budget)
        connection.execute(
            update(budgets)
            .where(budgets.c.organization == budget.organization, budgets.c.budget_id == budget.budget_id)
            .values({name: written[name] for name in BUDGET_CHANGES})
        )
