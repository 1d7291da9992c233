"""The vault: keys of organizations, redaction sessions, and the values they replaced, sealed."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "organization_keys",
        sa.Column("organization", sa.String(64), primary_key=True),
        sa.Column("root_key_id", sa.String(16), nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary, nullable=False),
        sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "redaction_sessions",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("organization", sa.String(64), nullable=False),
        sa.Column("user", sa.String(256), nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary, nullable=False),
        sa.Column("expire_time", sa.DateTime(timezone=True), nullable=False, index=True),
    )
    op.create_table(
        "redacted_values",
        sa.Column(
            "session",
            sa.String(32),
            sa.ForeignKey("redaction_sessions.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("token", sa.String(64), primary_key=True),
        sa.Column("sealed_value", sa.LargeBinary, nullable=False),
    )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("redacted_values")
    op.drop_table("redaction_sessions")
    op.drop_table("organization_keys")
