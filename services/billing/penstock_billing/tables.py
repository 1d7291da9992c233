"""The schema. Times are microseconds since the epoch, money is nano-dollars: integers of 64 bits, both.

On PostgreSQL entries and usage lines lie in parts, by the day of `post_us`: see `partitions`.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    literal_column,
)

from penstock_billing.ledger import HoldState

metadata = MetaData()

holds = Table(
    "holds",
    metadata,
    # The operation comes first: ids are made in order of time, so new rows lie together.
    Column("operation_id", String(64), primary_key=True),
    Column("organization", String(64), primary_key=True),
    Column("user_id", String(256), nullable=False),
    Column("team_id", String(64), nullable=False),
    Column("api_key_id", String(64), nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("amount_nanos", BigInteger, nullable=False),
    Column("create_us", BigInteger, nullable=False),
    Column("expire_us", BigInteger, nullable=False),
    Column("max_tokens", BigInteger, nullable=False),
    Column("clamped", Boolean, nullable=False),
    Column("prices", String, nullable=False),
    Column("request_hash", LargeBinary(16), nullable=False),
    Column("usage_hash", LargeBinary(16), nullable=False),
    Column("cost_nanos", BigInteger, nullable=False),
    Column("late", Boolean, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False, server_default="0"),
    Column("answers", Integer, nullable=False, server_default="1"),
    Column("takings", String, nullable=False, server_default=""),
    Column("model", String(256), nullable=False, server_default=""),
    Column("holder", String(128), nullable=False, server_default=""),
    # Until when a claimer reconciles it; not the hold's own, so that no step of its life touches it.
    Column("claim_us", BigInteger, nullable=False, server_default="0"),
    sqlite_with_rowid=False,
)
# Written out and not as a parameter: only then does a planner see that the partial index holds the answer.
hold_is_open = holds.c.state == literal_column(str(HoldState.OPEN.value))
Index("holds_open", holds.c.expire_us, sqlite_where=hold_is_open, postgresql_where=hold_is_open)

entries = Table(
    "entries",
    metadata,
    Column("entry_id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("organization", String(64), nullable=False),
    Column("operation_id", String(64), nullable=False),
    Column("kind", SmallInteger, nullable=False),
    Column("available_nanos", BigInteger, nullable=False),
    Column("held_nanos", BigInteger, nullable=False),
    Column("revenue_nanos", BigInteger, nullable=False),
    Column("post_us", BigInteger, nullable=False),
    CheckConstraint("available_nanos + held_nanos + revenue_nanos = 0", name="entries_balance"),
)

usage_lines = Table(
    "usage_lines",
    metadata,
    Column("operation_id", String(64), primary_key=True),
    Column("organization", String(64), primary_key=True),
    Column("attempt", SmallInteger, primary_key=True, autoincrement=False),
    Column("user_id", String(256), nullable=False),
    Column("team_id", String(64), nullable=False),
    Column("api_key_id", String(64), nullable=False),
    Column("model", String(256), nullable=False),
    Column("sku", String(256), nullable=False),
    Column("endpoint", String(128), nullable=False),
    Column("operation", String(32), nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("cache_read_tokens", BigInteger, nullable=False),
    Column("cache_write_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("reasoning_tokens", BigInteger, nullable=False),
    Column("cost_nanos", BigInteger, nullable=False),
    Column("avoided_cost_nanos", BigInteger, nullable=False),
    Column("outcome", SmallInteger, nullable=False),
    Column("estimated", Boolean, nullable=False),
    Column("late", Boolean, nullable=False),
    Column("end_us", BigInteger, nullable=False),
    Column("post_us", BigInteger, nullable=False),
    Column("book_version", String(16), nullable=False),
    Column("metadata", JSON, nullable=False),
    # For people, who ask when it happened.
    Index("usage_lines_end", "organization", "end_us"),
    sqlite_with_rowid=False,
)

# Who changed what an operation is charged, and why; the lines that it posted carry its number.
usage_corrections = Table(
    "usage_corrections",
    metadata,
    Column("organization", String(64), primary_key=True),
    Column("request_id", String(64), primary_key=True),
    Column("operation_id", String(64), nullable=False),
    Column("number", SmallInteger, nullable=False),
    Column("reversed_nanos", BigInteger, nullable=False),
    Column("cost_nanos", BigInteger, nullable=False),
    Column("reason", String(512), nullable=False),
    Column("actor", String(64), nullable=False),
    Column("create_us", BigInteger, nullable=False),
    # Of what was asked for, so that the same request id with another body is refused.
    Column("request_hash", LargeBinary(16), nullable=False),
    Index("usage_corrections_create", "organization", "create_us"),
)

budgets = Table(
    "budgets",
    metadata,
    Column("organization", String(64), primary_key=True),
    Column("budget_id", String(64), primary_key=True),
    Column("subject", String(400), nullable=False),
    Column("display_name", String(128), nullable=False),
    Column("amount_nanos", BigInteger, nullable=False),
    Column("period", SmallInteger, nullable=False),
    Column("create_us", BigInteger, nullable=False),
    Column("period_start_us", BigInteger, nullable=False),
    Column("spent_nanos", BigInteger, nullable=False),
    Column("held_nanos", BigInteger, nullable=False),
    # Of rolling periods: what was spent in each slice, as JSON.
    Column("slices", String, nullable=False, server_default=""),
    Column("enforcement", SmallInteger, nullable=False, server_default="0"),
    CheckConstraint("amount_nanos >= 0 AND held_nanos >= 0", name="budgets_amounts"),
    Index("budgets_subject", "subject"),
)

limits = Table(
    "limits",
    metadata,
    Column("organization", String(64), primary_key=True),
    Column("limit_id", String(64), primary_key=True),
    Column("display_name", String(128), nullable=False),
    Column("unit", SmallInteger, nullable=False),
    Column("window_ms", BigInteger, nullable=False),
    Column("value", BigInteger, nullable=False),
    Column("scope", SmallInteger, nullable=False),
    Column("subject", String(256), nullable=False),
    Column("model", String(256), nullable=False),
    Column("tier", String(32), nullable=False),
    Column("create_us", BigInteger, nullable=False),
)

limit_counts = Table(
    "limit_counts",
    metadata,
    # Organization, limit, when the limit was made, and whom it counts: `limit.Limit.key`.
    Column("key", String(512), primary_key=True),
    Column("level", BigInteger, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

price_books = Table(
    "price_books",
    metadata,
    Column("version", String(16), primary_key=True),
    Column("content", String, nullable=False),
    Column("load_us", BigInteger, nullable=False),
)
