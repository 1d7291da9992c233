"""Keys that sign the audit logs outlive the root key that they were derived from."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make room for them; until the root key changes they are derived from it."""
    op.add_column("organization_keys", sa.Column("wrapped_signing_key", sa.LargeBinary, nullable=True))
