"""Bring a schema to its newest revision: the one module that knows Alembic."""

from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection


def upgrade(connection: Connection, migrations: Path) -> None:
    """Run what of `migrations` the store has not seen, within the connection's transaction."""
    config = Config()
    config.set_main_option("script_location", str(migrations))
    script = ScriptDirectory(str(migrations))

    def steps(revision: Any, _context: Any) -> Any:
        return script._upgrade_revs("head", revision)  # noqa: SLF001 - what alembic.command.upgrade calls

    with EnvironmentContext(config, script, fn=steps, as_sql=False, destination_rev="head") as environment:
        environment.configure(connection=connection, transactional_ddl=True)
        environment.run_migrations()
