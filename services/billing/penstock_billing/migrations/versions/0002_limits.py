"""Limits and their counts; what holds took of them, slices of long streams, claims, soft and rolling budgets."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add to what is there; holds and budgets of before took nothing of any limit, and are hard."""
    _create_limits()
    for column in (
        sa.Column("prompt_tokens", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("answers", sa.Integer, nullable=False, server_default="1"),
        sa.Column("takings", sa.String, nullable=False, server_default=""),
        sa.Column("model", sa.String(256), nullable=False, server_default=""),
        sa.Column("holder", sa.String(128), nullable=False, server_default=""),
        sa.Column("claim_us", sa.BigInteger, nullable=False, server_default="0"),
    ):
        op.add_column("holds", column)
    op.add_column("budgets", sa.Column("slices", sa.String, nullable=False, server_default=""))
    op.add_column("budgets", sa.Column("enforcement", sa.SmallInteger, nullable=False, server_default="0"))


def _create_limits() -> None:
    op.create_table(
        "limits",
        sa.Column("organization", sa.String(64), primary_key=True),
        sa.Column("limit_id", sa.String(64), primary_key=True),
        sa.Column("display_name", sa.String(128), nullable=False),
        sa.Column("unit", sa.SmallInteger, nullable=False),
        sa.Column("window_ms", sa.BigInteger, nullable=False),
        sa.Column("value", sa.BigInteger, nullable=False),
        sa.Column("scope", sa.SmallInteger, nullable=False),
        sa.Column("subject", sa.String(256), nullable=False),
        sa.Column("model", sa.String(256), nullable=False),
        sa.Column("tier", sa.String(32), nullable=False),
        sa.Column("create_us", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "limit_counts",
        sa.Column("key", sa.String(512), primary_key=True),
        sa.Column("level", sa.BigInteger, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
