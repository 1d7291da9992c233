import asyncpg
import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from testkit.postgres import PostgresServer
from testkit.redis import RedisServer


async def test_redis_is_real_and_empty_for_each_test(redis_server: RedisServer) -> None:
    async with Redis.from_url(redis_server.url) as redis:
        assert await redis.dbsize() == 0
        await redis.set("left", "behind")


async def test_redis_forgets_what_another_test_left(redis_server: RedisServer) -> None:
    async with Redis.from_url(redis_server.url) as redis:
        assert await redis.dbsize() == 0


async def test_a_killed_redis_refuses_and_returns_on_its_port(tmp_path) -> None:
    with RedisServer(tmp_path) as server:
        server.process.kill()
        async with Redis.from_url(server.url) as redis:
            with pytest.raises(RedisConnectionError):
                await redis.ping()
        server.start()
        async with Redis.from_url(server.url) as redis:
            assert await redis.ping()


async def test_postgres_is_real_and_each_database_is_new(postgres_server: PostgresServer) -> None:
    first, second = postgres_server.create_database(), postgres_server.create_database()
    for url in (first, second):
        connection = await asyncpg.connect(url)
        await connection.execute("CREATE TABLE things (id int)")
        await connection.close()


async def test_postgres_keeps_what_was_committed_before_a_kill(tmp_path_factory) -> None:
    with PostgresServer(tmp_path_factory.mktemp("crash")) as server:
        connection = await asyncpg.connect(server.url("postgres"))
        await connection.execute("CREATE TABLE things AS SELECT 1 AS id")
        server.process.kill()
        connection.terminate()
        server.start()
        connection = await asyncpg.connect(server.url("postgres"))
        assert await connection.fetchval("SELECT id FROM things") == 1
        await connection.close()
