"""An invoice as CSV (RFC 4180), a row a line."""

import csv
import io
from dataclasses import asdict, fields

from penstock_billing.invoice import Invoice, InvoiceLine
from penstock_billing.money_text import dollars

# What a spreadsheet would take for a formula begins with one of these.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_invoice_csv(invoice: Invoice) -> bytes:
    """Write the lines; costs also in dollars."""
    text = io.StringIO()
    names = [field.name for field in fields(InvoiceLine)]
    writer = csv.DictWriter(text, ["invoice", *names, "cost_usd"], lineterminator="\r\n")
    writer.writeheader()
    for line in invoice.lines:
        values = asdict(line) | {"invoice": invoice.invoice_id, "cost_usd": dollars(line.cost_nanos)}
        if line.sku.startswith(_FORMULA):
            values["sku"] = f"'{line.sku}"
        writer.writerow(values)
    return text.getvalue().encode()
