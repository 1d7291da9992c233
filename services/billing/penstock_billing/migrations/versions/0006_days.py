"""Entries and usage lines by the day of posting, on PostgreSQL; what was posted before stays as it lies, as one part.

Attaching reads the tables once and copies nothing. Each part keeps the key that the table had, without the day.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

DAY_US = 86_400_000_000
KEYS = {"entries": "entry_id", "usage_lines": "operation_id, organization, attempt"}
_LAST = ("SELECT max(post_us) FROM entries_before", "SELECT max(post_us) FROM usage_lines_before")
_NOTE_SQLITE = """
CREATE TRIGGER usage_lines_note AFTER INSERT ON usage_lines BEGIN
  INSERT INTO usage_pending (organization, operation_id, attempt, post_us)
  VALUES (NEW.organization, NEW.operation_id, NEW.attempt, NEW.post_us);
END
"""
_NOTE_POSTGRESQL = (
    """
    CREATE OR REPLACE FUNCTION note_usage() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO usage_pending (organization, operation_id, attempt, post_us)
      SELECT organization, operation_id, attempt, post_us FROM posted;
      RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER usage_lines_note AFTER INSERT ON usage_lines REFERENCING NEW TABLE AS posted
    FOR EACH STATEMENT EXECUTE FUNCTION note_usage()
    """,
)


def upgrade() -> None:
    """Partition the tables, and let pending lines say when they were posted."""
    _create_archived_days()
    if op.get_bind().dialect.name != "postgresql":
        op.execute("DROP TRIGGER usage_lines_note")
        _note_post_us()
        op.execute(_NOTE_SQLITE)
        return
    op.execute("DROP TRIGGER usage_lines_note ON usage_lines")
    _note_post_us()
    op.execute("ALTER INDEX usage_lines_end RENAME TO usage_lines_before_end")
    for table, key in KEYS.items():
        _partition(table, key)
    op.execute("ALTER SEQUENCE entries_entry_id_seq OWNED BY entries.entry_id")
    op.create_index("usage_lines_end", "usage_lines", ["organization", "end_us"])
    _take_over()
    for statement in _NOTE_POSTGRESQL:
        op.execute(statement)


def _create_archived_days() -> None:
    op.create_table(
        "archived_days",
        sa.Column("organization", sa.String(64), primary_key=True),
        sa.Column("start_us", sa.BigInteger, primary_key=True, autoincrement=False),
        *(
            sa.Column(name, sa.BigInteger, nullable=False)
            for name in ("held_nanos", "revenue_nanos", "cost_nanos")
        ),
    )


def _note_post_us() -> None:
    """Say of every pending line when it was posted: at once, for there may be many."""
    op.add_column("usage_pending", sa.Column("post_us", sa.BigInteger, nullable=False, server_default="0"))
    op.execute(
        "UPDATE usage_pending SET post_us = lines.post_us FROM usage_lines AS lines "
        "WHERE lines.operation_id = usage_pending.operation_id "
        "AND lines.organization = usage_pending.organization AND lines.attempt = usage_pending.attempt"
    )


def _partition(table: str, key: str) -> None:
    """Put a partitioned table in the place of one, with a part for what belongs to no other part."""
    before = f"{table}_before"
    op.execute(f"DROP TRIGGER {table}_refuse_change ON {table}")
    op.execute(f"ALTER TABLE {table} RENAME TO {before}")
    op.execute(f"ALTER INDEX {table}_pkey RENAME TO {before}_pkey")
    like = f"LIKE {before} INCLUDING DEFAULTS INCLUDING CONSTRAINTS"
    op.execute(f"CREATE TABLE {table} ({like}) PARTITION BY RANGE (post_us)")
    op.execute(f"CREATE TABLE {table}_default PARTITION OF {table} (PRIMARY KEY ({key})) DEFAULT")
    op.execute(
        f"CREATE TRIGGER {table}_refuse_change BEFORE UPDATE OR DELETE ON {table} "
        "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
    )


def _take_over() -> None:
    """Make what was posted before a part, until the midnight after the last of it; nothing is no part."""
    bind = op.get_bind()
    last_us = max(bind.scalar(sa.text(query)) or 0 for query in _LAST)
    end_us = (last_us // DAY_US + 1) * DAY_US
    for table in KEYS:
        if last_us:
            op.execute(
                f"ALTER TABLE {table} ATTACH PARTITION {table}_before FOR VALUES FROM (MINVALUE) TO ({end_us})"
            )
        else:
            op.execute(f"DROP TABLE {table}_before")
