"""Corrections of usage."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table; what it says never changes."""
    op.create_table(
        "usage_corrections",
        sa.Column("organization", sa.String(64), primary_key=True),
        sa.Column("request_id", sa.String(64), primary_key=True),
        sa.Column("operation_id", sa.String(64), nullable=False),
        sa.Column("number", sa.SmallInteger, nullable=False),
        sa.Column("reversed_nanos", sa.BigInteger, nullable=False),
        sa.Column("cost_nanos", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.String(512), nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("create_us", sa.BigInteger, nullable=False),
        sa.Column("request_hash", sa.LargeBinary(16), nullable=False),
    )
    op.create_index("usage_corrections_create", "usage_corrections", ["organization", "create_us"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE TRIGGER usage_corrections_refuse_change BEFORE UPDATE OR DELETE ON usage_corrections "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
        return
    for change in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER usage_corrections_refuse_{change.lower()} BEFORE {change} ON usage_corrections "
            "BEGIN SELECT RAISE(ABORT, 'usage_corrections are immutable'); END"
        )
