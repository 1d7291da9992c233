"""Policies of organizations, keys of persons, and the audit log."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables. Sessions that are open are of keys that are not used any more: they end."""
    op.execute("DELETE FROM redaction_sessions")
    _create_keys_and_policies()
    _create_audit_log()


def _create_keys_and_policies() -> None:
    op.create_table(
        "subject_keys",
        sa.Column("organization", sa.String(64), primary_key=True),
        sa.Column("subject", sa.String(32), primary_key=True),
        sa.Column("wrapped_key", sa.LargeBinary, nullable=True),
        sa.Column("erase_us", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("tick", sa.BigInteger, nullable=False, server_default="0", index=True),
    )
    clock = op.create_table(
        "change_clock",
        sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("tick", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(clock, [{"id": 1, "tick": 0}])
    op.create_table(
        "policies",
        sa.Column("organization", sa.String(64), primary_key=True),
        sa.Column("policy_id", sa.String(64), primary_key=True),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("mode", sa.SmallInteger, nullable=False),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("create_us", sa.BigInteger, nullable=False),
        sa.Column("update_us", sa.BigInteger, nullable=False),
        sa.Column("deleted", sa.Boolean, nullable=False),
        sa.Column("tick", sa.BigInteger, nullable=False, index=True),
    )
    op.create_table(
        "policy_revisions",
        sa.Column("organization", sa.String(64), primary_key=True),
        sa.Column("policy_id", sa.String(64), primary_key=True),
        sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("mode", sa.SmallInteger, nullable=False),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("create_us", sa.BigInteger, nullable=False),
        sa.Column("update_us", sa.BigInteger, nullable=False),
    )


def _create_audit_log() -> None:
    op.create_table(
        "audit_logs",
        sa.Column("organization", sa.String(64), primary_key=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("frontier", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "audit_entries",
        sa.Column("organization", sa.String(64), primary_key=True),
        sa.Column("entry_index", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("entry_id", sa.String(40), nullable=False),
        sa.Column("leaf_hash", sa.LargeBinary, nullable=False),
        sa.Column("subject", sa.String(32), nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=True),
        sa.Column("expire_us", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("organization", "entry_id", name="audit_entries_id"),
    )
    op.create_index("audit_entries_subject", "audit_entries", ["organization", "subject"])
    readable = sa.text("sealed IS NOT NULL")
    op.create_index(
        "audit_entries_expire",
        "audit_entries",
        ["expire_us"],
        sqlite_where=readable,
        postgresql_where=readable,
    )
    op.create_table(
        "audit_nodes",
        sa.Column("organization", sa.String(64), primary_key=True),
        sa.Column("level", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("node_index", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
    )


def downgrade() -> None:
    """Drop the tables."""
    for table in (
        "audit_nodes",
        "audit_entries",
        "audit_logs",
        "policy_revisions",
        "policies",
        "change_clock",
        "subject_keys",
    ):
        op.drop_table(table)
