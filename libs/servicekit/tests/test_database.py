import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio
from servicekit.database import Database, open_database
from servicekit.errors import Unavailable
from servicekit.settings import ServiceSettings
from sqlalchemy import Connection, exc, text
from testkit.postgres import PostgresServer
from testkit.proxy import FaultProxy

REVISION = '''
"""{name}"""
import sqlalchemy as sa
from alembic import op

revision = "{name}"
down_revision = {after!r}


def upgrade() -> None:
    {body}
'''
THINGS = 'op.create_table("things", sa.Column("id", sa.Integer, primary_key=True))'
BROKEN = 'op.create_table("half", sa.Column("id", sa.Integer)); op.execute("SELECT nonsense FROM nowhere")'


def add_revision(migrations: Path, name: str, body: str, after: str | None = None) -> None:
    (migrations / "versions").mkdir(parents=True, exist_ok=True)
    (migrations / "versions" / f"{name}.py").write_text(REVISION.format(name=name, body=body, after=after))


@pytest.fixture
def migrations(tmp_path: Path) -> Path:
    add_revision(tmp_path / "migrations", "0001", THINGS)
    return tmp_path / "migrations"


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, service_settings: ServiceSettings) -> ServiceSettings:
    if request.param == "sqlite":
        return service_settings
    url = request.getfixturevalue("postgres_url")
    return service_settings.model_copy(update={"database_url": url})


@pytest_asyncio.fixture
async def database(settings: ServiceSettings, migrations: Path) -> AsyncIterator[Database]:
    async with open_database(settings, migrations) as opened:
        yield opened


async def count(database: Database, table: str = "things") -> int:
    async with database.connect() as connection:
        return int((await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one())


async def insert(database: Database, *ids: int) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("INSERT INTO things (id) VALUES (:id)"), [{"id": each} for each in ids])


async def test_a_transaction_commits_on_exit(database: Database) -> None:
    await insert(database, 1, 2)
    assert await count(database) == 2


async def test_an_exception_takes_everything_back(database: Database) -> None:
    with pytest.raises(ValueError, match="no"):
        async with database.transaction() as connection:
            await connection.execute(text("INSERT INTO things (id) VALUES (1)"))
            raise ValueError("no")
    assert await count(database) == 0


async def test_a_violated_constraint_stays_what_it_is(database: Database) -> None:
    await insert(database, 1)
    with pytest.raises(exc.IntegrityError):
        await insert(database, 1)


async def test_functions_write_and_read_and_take_everything_back_when_they_raise(database: Database) -> None:
    def add(connection: Connection) -> int:
        return connection.execute(text("INSERT INTO things (id) VALUES (1), (2)")).rowcount

    def fail(connection: Connection) -> None:
        connection.execute(text("INSERT INTO things (id) VALUES (3)"))
        raise ValueError("no")

    assert await database.write(add) == 2
    with pytest.raises(ValueError, match="no"):
        await database.write(fail)
    with pytest.raises(exc.IntegrityError):
        await database.write(add)
    assert await database.read(lambda c: c.execute(text("SELECT count(*) FROM things")).scalar_one()) == 2


async def test_functions_and_transactions_write_one_after_the_other(database: Database) -> None:
    def add(number: int, connection: Connection) -> None:
        connection.execute(text("INSERT INTO things (id) VALUES (:id)"), {"id": number})

    await asyncio.gather(
        *(database.write(partial(add, number)) for number in range(0, 50, 2)),
        *(insert(database, number) for number in range(1, 50, 2)),
    )
    assert await count(database) == 50


async def test_a_function_reads_beside_a_write_and_does_not_see_it(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("INSERT INTO things (id) VALUES (1)"))
        found = await database.read(lambda c: c.execute(text("SELECT count(*) FROM things")).scalar_one())
        assert found == 0


async def test_concurrent_writers_all_commit(database: Database) -> None:
    await asyncio.gather(*(insert(database, number) for number in range(100)))
    assert await count(database) == 100


async def test_reads_go_on_beside_a_write_and_do_not_see_it(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("INSERT INTO things (id) VALUES (1)"))
        assert await count(database) == 0
    assert await count(database) == 1


async def test_more_readers_than_connections_wait_for_their_turn(database: Database) -> None:
    assert await asyncio.gather(*(count(database) for _ in range(50))) == [0] * 50


async def test_two_replicas_can_start_at_once(settings: ServiceSettings, migrations: Path) -> None:
    async def replica() -> None:
        async with open_database(settings, migrations) as database:
            await database.ping()

    await asyncio.gather(*(replica() for _ in range(4)))


async def test_a_start_brings_an_older_store_up_to_date(settings: ServiceSettings, migrations: Path) -> None:
    async with open_database(settings, migrations) as database:
        await insert(database, 1)
    add_revision(migrations, "0002", 'op.add_column("things", sa.Column("name", sa.Text))', after="0001")
    async with open_database(settings, migrations) as database, database.connect() as connection:
        assert (await connection.execute(text("SELECT id, name FROM things"))).all() == [(1, None)]


async def test_a_migration_takes_longer_than_any_statement_of_a_request_may(
    service_settings: ServiceSettings, migrations: Path, postgres_url: str
) -> None:
    add_revision(migrations, "0002", 'op.execute("SELECT pg_sleep(1.5)")', after="0001")
    settings = service_settings.model_copy(update={"database_url": postgres_url})
    async with open_database(settings, migrations, command_seconds_max=1) as database:
        assert await count(database) == 0


async def test_a_failed_migration_leaves_the_store_as_it_was(
    settings: ServiceSettings, migrations: Path
) -> None:
    add_revision(migrations, "0002", BROKEN, after="0001")
    with pytest.raises((Unavailable, exc.DBAPIError)):
        async with open_database(settings, migrations):
            pass
    (migrations / "versions" / "0002.py").unlink()
    async with open_database(settings, migrations) as database:
        with pytest.raises((Unavailable, exc.DBAPIError)):
            await count(database, "half")


async def test_services_share_a_server_and_no_table(
    service_settings: ServiceSettings, migrations: Path, postgres_url: str
) -> None:
    class Other(type(service_settings)):
        service = "other"

    one = service_settings.model_copy(update={"database_url": postgres_url})
    two = Other(grpc_port=0, database_url=postgres_url)
    async with open_database(one, migrations) as first, open_database(two, migrations) as second:
        await insert(first, 1)
        assert (await count(first), await count(second)) == (1, 0)


async def test_a_store_that_is_killed_is_unavailable_and_comes_back_by_itself(
    service_settings: ServiceSettings, migrations: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with PostgresServer(tmp_path_factory.mktemp("killed")) as server:
        settings = service_settings.model_copy(update={"database_url": server.url("postgres")})
        async with open_database(settings, migrations) as database:
            await insert(database, 1)
            server.process.kill()
            for _ in range(3):
                with pytest.raises(Unavailable) as caught:
                    await count(database)
                assert caught.value.reason == "STORAGE_UNAVAILABLE"
            server.start()
            assert await count(database) == 1


async def test_a_store_that_dies_in_the_middle_of_a_transaction_is_unavailable(
    service_settings: ServiceSettings, migrations: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with PostgresServer(tmp_path_factory.mktemp("dies")) as server:
        settings = service_settings.model_copy(update={"database_url": server.url("postgres")})
        async with open_database(settings, migrations) as database:
            with pytest.raises(Unavailable):
                async with database.transaction() as connection:
                    await connection.execute(text("INSERT INTO things (id) VALUES (1)"))
                    server.process.kill()
                    await connection.execute(text("INSERT INTO things (id) VALUES (2)"))
            server.start()
            assert await count(database) == 0


@pytest.mark.slow
async def test_a_frozen_store_is_unavailable_within_a_bounded_time(
    service_settings: ServiceSettings, migrations: Path, postgres_server: PostgresServer, postgres_url: str
) -> None:
    async with FaultProxy(postgres_server.port) as proxy:
        url = postgres_url.replace(str(postgres_server.port), str(proxy.port))
        settings = service_settings.model_copy(update={"database_url": url})
        async with open_database(settings, migrations) as database:
            proxy.freeze()
            with pytest.raises(TimeoutError):  # a caller's deadline, before ours
                async with asyncio.timeout(0.2):
                    await database.ping()
            async with asyncio.timeout(60):
                with pytest.raises(Unavailable):
                    await database.ping()
            proxy.thaw()
            await database.ping()


async def test_a_locked_file_is_unavailable_not_a_bug(
    service_settings: ServiceSettings, migrations: Path
) -> None:
    async with (
        open_database(service_settings, migrations) as database,
        open_database(service_settings, migrations) as other,
        other.transaction(),
    ):
        with pytest.raises(Unavailable):
            await insert(database, 1)
