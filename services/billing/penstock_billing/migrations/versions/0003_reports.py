"""Sums of usage, price books in force, invoices, webhooks."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SUMS = (
    "operations",
    "attempts",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost_nanos",
    "avoided_cost_nanos",
)
# What posts usage knows nothing of its sums: the store notes every line that they do not have yet.
_NOTE_SQLITE = """
CREATE TRIGGER usage_lines_note AFTER INSERT ON usage_lines BEGIN
  INSERT INTO usage_pending (organization, operation_id, attempt)
  VALUES (NEW.organization, NEW.operation_id, NEW.attempt);
END
"""
_NOTE_POSTGRESQL = (
    """
    CREATE FUNCTION note_usage() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO usage_pending (organization, operation_id, attempt)
      SELECT organization, operation_id, attempt FROM posted;
      RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER usage_lines_note AFTER INSERT ON usage_lines REFERENCING NEW TABLE AS posted
    FOR EACH STATEMENT EXECUTE FUNCTION note_usage()
    """,
)


def upgrade() -> None:
    """Make the tables; lines of before wait to be summed."""
    _create_sums()
    _create_price_activations()
    _create_invoices()
    _create_webhooks()
    op.execute(
        "INSERT INTO usage_pending (organization, operation_id, attempt) "
        "SELECT organization, operation_id, attempt FROM usage_lines"
    )
    # Budgets asked it for spend; they ask the sums now.
    op.drop_index("usage_lines_post", "usage_lines")
    if op.get_bind().dialect.name == "postgresql":
        for statement in _NOTE_POSTGRESQL:
            op.execute(statement)
        op.execute(
            "CREATE TRIGGER invoices_refuse_change BEFORE UPDATE OR DELETE ON invoices "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        return
    op.execute(_NOTE_SQLITE)
    for change in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER invoices_refuse_{change.lower()} BEFORE {change} ON invoices "
            "BEGIN SELECT RAISE(ABORT, 'invoices are immutable'); END"
        )


def _identity(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True)


def _texts(**lengths: int) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String(length), primary_key=True) for name, length in lengths.items()]


def _key(name: str, kind: type[sa.types.TypeEngine[int]]) -> sa.Column[int]:
    return sa.Column(name, kind, primary_key=True, autoincrement=False)


def _counts(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger, nullable=False) for name in names]


def _create_sums() -> None:
    op.create_table(
        "usage_pending",
        _identity("pending_id"),
        sa.Column("organization", sa.String(64), nullable=False),
        sa.Column("operation_id", sa.String(64), nullable=False),
        sa.Column("attempt", sa.SmallInteger, nullable=False),
    )
    op.create_table(
        "usage_rollups",
        *_texts(organization=64, tag_key=64),
        _key("grain", sa.SmallInteger),
        _key("start_us", sa.BigInteger),
        *_texts(model=256, endpoint=128),
        _key("outcome", sa.SmallInteger),
        *_texts(team_id=64, user_id=256, api_key_id=64, tag=256),
        *_counts(*SUMS),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "spend_hours",
        *_texts(subject=400),
        _key("start_us", sa.BigInteger),
        *_counts("cost_nanos"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "charge_days",
        *_texts(organization=64),
        _key("start_us", sa.BigInteger),
        *_texts(sku=256, book_version=16, endpoint=128, team_id=64, user_id=256, api_key_id=64),
        *_counts(*SUMS),
        sqlite_with_rowid=False,
    )


def _create_price_activations() -> None:
    op.create_table(
        "price_activations",
        _identity("activation_id"),
        sa.Column("version", sa.String(16), nullable=False),
        sa.Column("activate_us", sa.BigInteger, nullable=False),
    )
    op.execute(
        "INSERT INTO price_activations (version, activate_us) "
        "SELECT version, load_us FROM price_books ORDER BY load_us, version"
    )


def _create_invoices() -> None:
    op.create_table(
        "invoices",
        *_texts(organization=64, invoice_id=64),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        *_counts("start_us", "end_us", "create_us", "total_nanos"),
        sa.Column("corrects", sa.String(64), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(16), nullable=False),
        sa.Column("content", sa.String, nullable=False),
        sa.Column("content_hash", sa.String(64), nullable=False),
    )
    op.create_index("invoices_create", "invoices", ["organization", "create_us"])


def _create_webhooks() -> None:
    op.create_table(
        "webhooks",
        *_texts(organization=64, webhook_id=64),
        sa.Column("url", sa.String(2048), nullable=False),
        sa.Column("alert_percents", sa.String(64), nullable=False),
        sa.Column("secret", sa.LargeBinary(32), nullable=False),
        sa.Column("create_us", sa.BigInteger, nullable=False),
        sa.Column("last_error", sa.String(256), nullable=False),
    )
    op.create_table(
        "webhook_events",
        *_texts(organization=64, webhook_id=64, event_id=160),
        sa.Column("body", sa.String, nullable=False),
        sa.Column("create_us", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_us", sa.BigInteger, nullable=False),
        sa.Column("pending", sa.Boolean, nullable=False),
        sa.Column("failed", sa.Boolean, nullable=False),
    )
    pending = sa.text("pending")
    op.create_index(
        "webhook_events_pending",
        "webhook_events",
        ["next_us"],
        sqlite_where=pending,
        postgresql_where=pending,
    )
