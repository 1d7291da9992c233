"""The schema. Times of what is audited are microseconds since the epoch. No value and no person is in the clear."""

import sqlalchemy as sa

metadata = sa.MetaData()

organization_keys = sa.Table(
    "organization_keys",
    metadata,
    sa.Column("organization", sa.String(64), primary_key=True),
    sa.Column("root_key_id", sa.String(16)),
    sa.Column("wrapped_key", sa.LargeBinary),
    sa.Column("create_time", sa.DateTime(timezone=True)),
    # Signs the audit log. Without it the key is derived from the root key that wraps `wrapped_key`.
    sa.Column("wrapped_signing_key", sa.LargeBinary, nullable=True),
)
# `subject` is a keyed hash of a user's id. Without `wrapped_key` the person was erased, or not seen since.
subject_keys = sa.Table(
    "subject_keys",
    metadata,
    sa.Column("organization", sa.String(64), primary_key=True),
    sa.Column("subject", sa.String(32), primary_key=True),
    sa.Column("wrapped_key", sa.LargeBinary, nullable=True),
    sa.Column("erase_us", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("tick", sa.BigInteger, nullable=False, server_default="0"),
)
redaction_sessions = sa.Table(
    "redaction_sessions",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    sa.Column("organization", sa.String(64)),
    sa.Column("user", sa.String(256)),
    sa.Column("wrapped_key", sa.LargeBinary),
    sa.Column("expire_time", sa.DateTime(timezone=True)),
)
redacted_values = sa.Table(
    "redacted_values",
    metadata,
    sa.Column(
        "session", sa.String(32), sa.ForeignKey("redaction_sessions.id", ondelete="CASCADE"), primary_key=True
    ),
    sa.Column("token", sa.String(64), primary_key=True),
    sa.Column("sealed_value", sa.LargeBinary),
)

# One row. Who changes a policy or erases a person moves it on and so waits for all before: ticks are in commit order.
change_clock = sa.Table(
    "change_clock",
    metadata,
    sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("tick", sa.BigInteger, nullable=False),
)
policies = sa.Table(
    "policies",
    metadata,
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
policy_revisions = sa.Table(
    "policy_revisions",
    metadata,
    sa.Column("organization", sa.String(64), primary_key=True),
    sa.Column("policy_id", sa.String(64), primary_key=True),
    sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("mode", sa.SmallInteger, nullable=False),
    sa.Column("spec", sa.Text, nullable=False),
    sa.Column("create_us", sa.BigInteger, nullable=False),
    sa.Column("update_us", sa.BigInteger, nullable=False),
)

# `frontier` is the roots of the perfect subtrees that the tree of `size` is made of, the largest first.
audit_logs = sa.Table(
    "audit_logs",
    metadata,
    sa.Column("organization", sa.String(64), primary_key=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("frontier", sa.LargeBinary, nullable=False),
)
audit_entries = sa.Table(
    "audit_entries",
    metadata,
    sa.Column("organization", sa.String(64), primary_key=True),
    sa.Column("entry_index", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("entry_id", sa.String(40), nullable=False),
    sa.Column("leaf_hash", sa.LargeBinary, nullable=False),
    sa.Column("subject", sa.String(32), nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=True),
    sa.Column("expire_us", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("organization", "entry_id", name="audit_entries_id"),
)
sa.Index("audit_entries_subject", audit_entries.c.organization, audit_entries.c.subject)
_readable = audit_entries.c.sealed.is_not(None)
sa.Index(
    "audit_entries_expire", audit_entries.c.expire_us, sqlite_where=_readable, postgresql_where=_readable
)
# Roots of perfect subtrees of 256, 65,536, … leaves, so that a proof reads a few hundred rows at most.
audit_nodes = sa.Table(
    "audit_nodes",
    metadata,
    sa.Column("organization", sa.String(64), primary_key=True),
    sa.Column("level", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("node_index", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("hash", sa.LargeBinary, nullable=False),
)
# Of each witness the newest checkpoint that it signed.
audit_cosignatures = sa.Table(
    "audit_cosignatures",
    metadata,
    sa.Column("organization", sa.String(64), primary_key=True),
    sa.Column("witness_key", sa.String(255), primary_key=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("checkpoint", sa.Text, nullable=False),
)
