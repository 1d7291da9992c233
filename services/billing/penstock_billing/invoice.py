"""Invoices: what an organization owes for a span of days, and credit notes. A document is made once, for ever."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any

from penstock_billing.clock import rfc3339, to_us
from penstock_billing.money_text import NANOS_PER_CENT, cents

ADJUSTMENT = "adjustment"
CREDIT = "credit"


class InvoiceKind(IntEnum):
    """What a document is, numbered as in the contract."""

    INVOICE = 1
    CREDIT_NOTE = 2


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """What one SKU at one price book came to."""

    sku: str
    book_version: str
    operations: int
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost_nanos: int
    avoided_cost_nanos: int

    @classmethod
    def of_money(cls, what: str, nanos: int) -> "InvoiceLine":
        """Make a line that is money alone: an adjustment or a credit."""
        return cls(what, "", 0, 0, 0, 0, 0, 0, nanos, 0)


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice or a credit note.

    Args:
        first_entry_id: of the ledger, of what is charged; 0: nothing is.
        corrects: id of the invoice that a credit note takes from.
    """

    organization: str
    invoice_id: str
    kind: InvoiceKind
    start_us: int
    end_us: int
    create_us: int
    lines: tuple[InvoiceLine, ...]
    first_entry_id: int
    last_entry_id: int
    corrects: str = ""
    reason: str = ""

    @property
    def name(self) -> str:
        """Its resource name."""
        return f"organizations/{self.organization}/invoices/{self.invoice_id}"

    @property
    def total_nanos(self) -> int:
        """What it comes to in the ledger."""
        return sum(line.cost_nanos for line in self.lines)

    @property
    def payable_cents(self) -> int:
        """What is to be paid: the total, rounded half to even."""
        return cents(self.total_nanos)

    @property
    def rounding_nanos(self) -> int:
        """What that rounding added."""
        return self.payable_cents * NANOS_PER_CENT - self.total_nanos

    def content(self) -> str:
        """Write it in one way only: JSON with sorted names. Numbers are strings, for readers without 64 bits."""
        document = {
            "name": self.name,
            "kind": self.kind.name,
            "currency": "USD",
            "start_time": rfc3339(self.start_us),
            "end_time": rfc3339(self.end_us),
            "create_time": rfc3339(self.create_us),
            "lines": [_texts(asdict(line)) for line in self.lines],
            "total_nanos": str(self.total_nanos),
            "payable_cents": str(self.payable_cents),
            "rounding_nanos": str(self.rounding_nanos),
            "first_entry_id": str(self.first_entry_id),
            "last_entry_id": str(self.last_entry_id),
            "corrects": self.corrects,
            "reason": self.reason,
        }
        return json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def hash_of(content: str) -> str:
    """Give the SHA-256 of a document."""
    return hashlib.sha256(content.encode()).hexdigest()


def read_invoice(content: str) -> Invoice:
    """Read a document."""
    document = json.loads(content)
    _, organization, _, invoice_id = document["name"].split("/")
    return Invoice(
        organization=organization,
        invoice_id=invoice_id,
        kind=InvoiceKind[document["kind"]],
        start_us=to_us(datetime.fromisoformat(document["start_time"])),
        end_us=to_us(datetime.fromisoformat(document["end_time"])),
        create_us=to_us(datetime.fromisoformat(document["create_time"])),
        lines=tuple(InvoiceLine(**_values(line)) for line in document["lines"]),
        first_entry_id=int(document["first_entry_id"]),
        last_entry_id=int(document["last_entry_id"]),
        corrects=document["corrects"],
        reason=document["reason"],
    )


def adjusted(lines: Sequence[InvoiceLine], owed_nanos: int) -> tuple[InvoiceLine, ...]:
    """Add the line that makes lines sum to what is owed: what was posted into a span after its invoice was made."""
    rest = owed_nanos - sum(line.cost_nanos for line in lines)
    return (*lines, InvoiceLine.of_money(ADJUSTMENT, rest)) if rest else tuple(lines)


def _texts(line: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in line.items()}


def _values(line: dict[str, str]) -> dict[str, Any]:
    return {name: value if name in ("sku", "book_version") else int(value) for name, value in line.items()}
