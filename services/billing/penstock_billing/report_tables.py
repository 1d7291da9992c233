"""What is kept beside the ledger for people to read: sums of usage lines, invoices, webhooks and what they are told.

A trigger of the store notes every usage line in `usage_pending`, in the transaction that posts it and whoever does,
until its sums are folded. So the sums and what is pending are together always the ledger (see `fold.py`).
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
)

from penstock_billing.sums import SUMS
from penstock_billing.tables import metadata

TAG_CHARACTERS_MAX = 256


def _counts(*names: str) -> list[Column[int]]:
    return [Column(name, BigInteger, nullable=False) for name in names]


usage_pending = Table(
    "usage_pending",
    metadata,
    Column("pending_id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("organization", String(64), nullable=False),
    Column("operation_id", String(64), nullable=False),
    Column("attempt", SmallInteger, nullable=False),
    # On which day the line lies.
    Column("post_us", BigInteger, nullable=False, server_default="0"),
)

# By when operations ended: what people ask.
usage_rollups = Table(
    "usage_rollups",
    metadata,
    Column("organization", String(64), primary_key=True),
    # Empty, or the label whose value `tag` is: there is a row for each label that is kept, and one without.
    Column("tag_key", String(64), primary_key=True),
    Column("grain", SmallInteger, primary_key=True, autoincrement=False),
    Column("start_us", BigInteger, primary_key=True, autoincrement=False),
    Column("model", String(256), primary_key=True),
    Column("endpoint", String(128), primary_key=True),
    Column("outcome", SmallInteger, primary_key=True, autoincrement=False),
    Column("team_id", String(64), primary_key=True),
    Column("user_id", String(256), primary_key=True),
    Column("api_key_id", String(64), primary_key=True),
    Column("tag", String(TAG_CHARACTERS_MAX), primary_key=True),
    *_counts(*SUMS),
    sqlite_with_rowid=False,
)

# By when lines were posted, and whose budgets they count for: what budgets, forecasts and anomalies ask.
spend_hours = Table(
    "spend_hours",
    metadata,
    Column("subject", String(400), primary_key=True),
    Column("start_us", BigInteger, primary_key=True, autoincrement=False),
    *_counts("cost_nanos"),
    sqlite_with_rowid=False,
)

# By the day of posting, and by price: what invoices and exports ask.
charge_days = Table(
    "charge_days",
    metadata,
    Column("organization", String(64), primary_key=True),
    Column("start_us", BigInteger, primary_key=True, autoincrement=False),
    Column("sku", String(256), primary_key=True),
    Column("book_version", String(16), primary_key=True),
    Column("endpoint", String(128), primary_key=True),
    Column("team_id", String(64), primary_key=True),
    Column("user_id", String(256), primary_key=True),
    Column("api_key_id", String(64), primary_key=True),
    *_counts(*SUMS),
    sqlite_with_rowid=False,
)

# What the entries and lines of an organization came to on each day whose part was archived.
archived_days = Table(
    "archived_days",
    metadata,
    Column("organization", String(64), primary_key=True),
    Column("start_us", BigInteger, primary_key=True, autoincrement=False),
    *_counts("held_nanos", "revenue_nanos", "cost_nanos"),
)

# Which book was put in force when; the last one is.
price_activations = Table(
    "price_activations",
    metadata,
    Column(
        "activation_id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True
    ),
    Column("version", String(16), nullable=False),
    Column("activate_us", BigInteger, nullable=False),
)

invoices = Table(
    "invoices",
    metadata,
    Column("organization", String(64), primary_key=True),
    Column("invoice_id", String(64), primary_key=True),
    Column("kind", SmallInteger, nullable=False),
    Column("start_us", BigInteger, nullable=False),
    Column("end_us", BigInteger, nullable=False),
    Column("create_us", BigInteger, nullable=False),
    Column("total_nanos", BigInteger, nullable=False),
    # Empty, or the invoice that a credit note corrects.
    Column("corrects", String(64), nullable=False),
    # Of a credit note: what was asked for, so that the same request id with another body is refused.
    Column("request_hash", LargeBinary(16), nullable=False),
    # The document, in canonical JSON, and its SHA-256.
    Column("content", String, nullable=False),
    Column("content_hash", String(64), nullable=False),
    Index("invoices_create", "organization", "create_us"),
)

webhooks = Table(
    "webhooks",
    metadata,
    Column("organization", String(64), primary_key=True),
    Column("webhook_id", String(64), primary_key=True),
    Column("url", String(2048), nullable=False),
    Column("alert_percents", String(64), nullable=False),
    Column("secret", LargeBinary(32), nullable=False),
    Column("create_us", BigInteger, nullable=False),
    Column("last_error", String(256), nullable=False),
)

# The outbox: an event leaves it when it is delivered. Its row then stays as the mark that this was told already.
webhook_events = Table(
    "webhook_events",
    metadata,
    Column("organization", String(64), primary_key=True),
    Column("webhook_id", String(64), primary_key=True),
    # Budget, percentage and period: a thing is told once.
    Column("event_id", String(160), primary_key=True),
    Column("body", String, nullable=False),
    Column("create_us", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    # When to try next.
    Column("next_us", BigInteger, nullable=False),
    Column("pending", Boolean, nullable=False),
    Column("failed", Boolean, nullable=False),
)
is_pending = webhook_events.c.pending
Index(
    "webhook_events_pending",
    webhook_events.c.next_us,
    sqlite_where=is_pending,
    postgresql_where=is_pending,
)
