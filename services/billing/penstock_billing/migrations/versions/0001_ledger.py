"""Holds, the ledger, usage, budgets and price books."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Entries and usage lines are never changed and never deleted, whoever asks.
IMMUTABLE = ("entries", "usage_lines")


def upgrade() -> None:
    """Make the tables."""
    _create_holds()
    _create_entries()
    _create_usage_lines()
    _create_budgets()
    op.create_table(
        "price_books",
        sa.Column("version", sa.String(16), primary_key=True),
        sa.Column("content", sa.String, nullable=False),
        sa.Column("load_us", sa.BigInteger, nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        _protect_postgresql()
    else:
        _protect_sqlite()


def downgrade() -> None:
    """Drop everything."""
    for table in ("holds", *IMMUTABLE, "budgets", "price_books"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION refuse_change")


def _create_holds() -> None:
    op.create_table(
        "holds",
        sa.Column("operation_id", sa.String(64), primary_key=True),
        sa.Column("organization", sa.String(64), primary_key=True),
        sa.Column("user_id", sa.String(256), nullable=False),
        sa.Column("team_id", sa.String(64), nullable=False),
        sa.Column("api_key_id", sa.String(64), nullable=False),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("amount_nanos", sa.BigInteger, nullable=False),
        sa.Column("create_us", sa.BigInteger, nullable=False),
        sa.Column("expire_us", sa.BigInteger, nullable=False),
        sa.Column("max_tokens", sa.BigInteger, nullable=False),
        sa.Column("clamped", sa.Boolean, nullable=False),
        sa.Column("prices", sa.String, nullable=False),
        sa.Column("request_hash", sa.LargeBinary(16), nullable=False),
        sa.Column("usage_hash", sa.LargeBinary(16), nullable=False),
        sa.Column("cost_nanos", sa.BigInteger, nullable=False),
        sa.Column("late", sa.Boolean, nullable=False),
        sqlite_with_rowid=False,
    )
    is_open = sa.text("state = 1")
    op.create_index("holds_open", "holds", ["expire_us"], sqlite_where=is_open, postgresql_where=is_open)


def _create_entries() -> None:
    op.create_table(
        "entries",
        sa.Column("entry_id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("organization", sa.String(64), nullable=False),
        sa.Column("operation_id", sa.String(64), nullable=False),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("available_nanos", sa.BigInteger, nullable=False),
        sa.Column("held_nanos", sa.BigInteger, nullable=False),
        sa.Column("revenue_nanos", sa.BigInteger, nullable=False),
        sa.Column("post_us", sa.BigInteger, nullable=False),
        sa.CheckConstraint("available_nanos + held_nanos + revenue_nanos = 0", name="entries_balance"),
    )
    op.create_index("entries_operation", "entries", ["operation_id"])


def _create_usage_lines() -> None:
    op.create_table(
        "usage_lines",
        sa.Column("operation_id", sa.String(64), primary_key=True),
        sa.Column("organization", sa.String(64), primary_key=True),
        sa.Column("attempt", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("user_id", sa.String(256), nullable=False),
        sa.Column("team_id", sa.String(64), nullable=False),
        sa.Column("api_key_id", sa.String(64), nullable=False),
        sa.Column("model", sa.String(256), nullable=False),
        sa.Column("sku", sa.String(256), nullable=False),
        sa.Column("endpoint", sa.String(128), nullable=False),
        sa.Column("operation", sa.String(32), nullable=False),
        sa.Column("input_tokens", sa.BigInteger, nullable=False),
        sa.Column("cache_read_tokens", sa.BigInteger, nullable=False),
        sa.Column("cache_write_tokens", sa.BigInteger, nullable=False),
        sa.Column("output_tokens", sa.BigInteger, nullable=False),
        sa.Column("reasoning_tokens", sa.BigInteger, nullable=False),
        sa.Column("cost_nanos", sa.BigInteger, nullable=False),
        sa.Column("avoided_cost_nanos", sa.BigInteger, nullable=False),
        sa.Column("outcome", sa.SmallInteger, nullable=False),
        sa.Column("estimated", sa.Boolean, nullable=False),
        sa.Column("late", sa.Boolean, nullable=False),
        sa.Column("end_us", sa.BigInteger, nullable=False),
        sa.Column("post_us", sa.BigInteger, nullable=False),
        sa.Column("book_version", sa.String(16), nullable=False),
        sa.Column("metadata", sa.JSON, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("usage_lines_end", "usage_lines", ["organization", "end_us"])
    op.create_index("usage_lines_post", "usage_lines", ["organization", "post_us"])


def _create_budgets() -> None:
    op.create_table(
        "budgets",
        sa.Column("organization", sa.String(64), primary_key=True),
        sa.Column("budget_id", sa.String(64), primary_key=True),
        sa.Column("subject", sa.String(400), nullable=False),
        sa.Column("display_name", sa.String(128), nullable=False),
        sa.Column("amount_nanos", sa.BigInteger, nullable=False),
        sa.Column("period", sa.SmallInteger, nullable=False),
        sa.Column("create_us", sa.BigInteger, nullable=False),
        sa.Column("period_start_us", sa.BigInteger, nullable=False),
        sa.Column("spent_nanos", sa.BigInteger, nullable=False),
        sa.Column("held_nanos", sa.BigInteger, nullable=False),
        sa.CheckConstraint("amount_nanos >= 0 AND held_nanos >= 0", name="budgets_amounts"),
    )
    op.create_index("budgets_subject", "budgets", ["subject"])


def _protect_sqlite() -> None:
    for table in IMMUTABLE:
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_refuse_{change.lower()} BEFORE {change} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} are immutable'); END"
            )


def _protect_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% are immutable', TG_TABLE_NAME USING ERRCODE = 'restrict_violation'; END $$"
    )
    for table in IMMUTABLE:
        op.execute(
            f"CREATE TRIGGER {table}_refuse_change BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
