"""Entries without an index that nothing asks: a page less to write for every list."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Drop it."""
    op.drop_index("entries_operation", "entries")


def downgrade() -> None:
    """Make it again."""
    op.create_index("entries_operation", "entries", ["operation_id"])
