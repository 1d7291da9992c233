"""Checkpoints of the audit logs that witnesses signed."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "audit_cosignatures",
        sa.Column("organization", sa.String(64), primary_key=True),
        sa.Column("witness_key", sa.String(255), primary_key=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("checkpoint", sa.Text, nullable=False),
    )
