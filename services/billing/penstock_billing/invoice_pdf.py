"""An invoice as PDF, for people.

Its table is set in Courier, whose letters are of one width, so that columns align by counting. The fonts are those that
every reader has, which write ASCII: other letters become question marks here, and are in the JSON.
"""

import io
from collections.abc import Iterator

import pydyf

from penstock_billing.clock import rfc3339
from penstock_billing.invoice import Invoice, InvoiceKind, InvoiceLine, hash_of
from penstock_billing.money_text import NANO_DIGITS, dollars, fixed

# A4, in points.
WIDTH, HEIGHT, MARGIN = 595, 842, 50
LEADING = 13
ROWS_MAX = 38
CENT_DIGITS = 2
TITLES = {InvoiceKind.INVOICE: "Invoice", InvoiceKind.CREDIT_NOTE: "Credit note"}
FONTS = {"Title": "Helvetica-Bold", "Text": "Helvetica", "Table": "Courier", "Strong": "Courier-Bold"}
SIZES = {"Title": 20, "Text": 9, "Table": 9, "Strong": 9}

# A line of text, and the font that it is set in.
Text = tuple[str, str]


def write_invoice_pdf(invoice: Invoice) -> bytes:
    """Lay the lines out on as many pages as they need; the totals follow the last line."""
    pdf = pydyf.PDF()
    fonts = pydyf.Dictionary({name: _font(pdf, base) for name, base in FONTS.items()})
    starts = range(0, max(1, len(invoice.lines)), ROWS_MAX)
    for number, start in enumerate(starts, start=1):
        texts = [
            *_head(invoice),
            *(("Table", _row(line)) for line in invoice.lines[start : start + ROWS_MAX]),
        ]
        if number == len(starts):
            texts += _totals(invoice)
        footer = f"Page {number} of {len(starts)}    SHA-256 {hash_of(invoice.content())}"
        _add_page(pdf, fonts, texts, footer)
    file = io.BytesIO()
    pdf.write(file, compress=True)
    return file.getvalue()


def _head(invoice: Invoice) -> Iterator[Text]:
    yield "Title", TITLES[invoice.kind]
    yield "Text", ""
    yield "Text", invoice.name
    yield "Text", f"From {rfc3339(invoice.start_us)} until {rfc3339(invoice.end_us)}"
    yield "Text", f"Made on {rfc3339(invoice.create_us)}"
    if invoice.corrects:
        yield "Text", f"Corrects {invoice.corrects}: {invoice.reason}"
    yield "Text", ""
    yield "Strong", _columns("What", "Requests", "Tokens", "US dollars")


def _row(line: InvoiceLine) -> str:
    tokens = (
        line.input_tokens
        + line.cache_read_tokens
        + line.cache_write_tokens
        + line.output_tokens
        + line.reasoning_tokens
    )
    counts = (f"{line.operations:,}", f"{tokens:,}") if line.operations else ("", "")
    return _columns(line.sku, *counts, fixed(line.cost_nanos, NANO_DIGITS))


def _totals(invoice: Invoice) -> Iterator[Text]:
    yield "Table", ""
    yield "Table", _columns("Sum", "", "", fixed(invoice.total_nanos, NANO_DIGITS))
    yield "Table", _columns("Rounding", "", "", fixed(invoice.rounding_nanos, NANO_DIGITS))
    yield "Strong", _columns("To be paid", "", "", fixed(invoice.payable_cents, CENT_DIGITS))
    saved = sum(line.avoided_cost_nanos for line in invoice.lines)
    if saved:
        yield "Text", ""
        yield "Text", f"The cache saved {dollars(saved)} US dollars."
    if invoice.first_entry_id:
        yield "Text", ""
        yield "Text", f"Ledger entries {invoice.first_entry_id} to {invoice.last_entry_id}"


def _columns(what: str, requests: str, tokens: str, money: str) -> str:
    return f"{what[:42]:<42}{requests:>11}{tokens:>16}{money:>20}"


def _font(pdf: pydyf.PDF, base: str) -> bytes:
    font = pydyf.Dictionary(
        {"Type": "/Font", "Subtype": "/Type1", "BaseFont": f"/{base}", "Encoding": "/WinAnsiEncoding"}
    )
    pdf.add_object(font)
    reference: bytes = font.reference
    return reference


def _add_page(pdf: pydyf.PDF, fonts: pydyf.Dictionary, texts: list[Text], footer: str) -> None:
    stream = pydyf.Stream(compress=True)
    for place, (font, text) in enumerate(texts):
        _show(stream, font, text, HEIGHT - MARGIN - place * LEADING)
    _show(stream, "Text", footer, MARGIN)
    pdf.add_object(stream)
    page = {
        "Type": "/Page",
        "Parent": pdf.pages.reference,
        "MediaBox": pydyf.Array([0, 0, WIDTH, HEIGHT]),
        "Contents": stream.reference,
        "Resources": pydyf.Dictionary({"Font": fonts}),
    }
    pdf.add_page(pydyf.Dictionary(page))


def _show(stream: pydyf.Stream, font: str, text: str, bottom: int) -> None:
    stream.begin_text()
    stream.set_font_size(font, SIZES[font])
    stream.set_text_matrix(1, 0, 0, 1, MARGIN, bottom)
    stream.show_text_string(text.encode("ascii", "replace").decode())
    stream.end_text()
