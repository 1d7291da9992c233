import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from testkit.proxy import FaultProxy


@pytest_asyncio.fixture
async def proxy() -> AsyncIterator[FaultProxy]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1024):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with FaultProxy(server.sockets[0].getsockname()[1]) as proxy:
        yield proxy
    server.close()


async def test_it_passes_bytes_both_ways(proxy: FaultProxy) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"hello"
    assert proxy.connections == 1
    writer.close()


async def test_it_passes_the_end_of_a_stream_on(proxy: FaultProxy) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"hello")
    writer.write_eof()
    assert await reader.read() == b"hello"
    writer.close()


async def test_frozen_it_holds_everything_and_thawed_it_lets_it_pass(proxy: FaultProxy) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    proxy.freeze()
    writer.write(b"hello")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await reader.read(5)
    proxy.thaw()
    assert await reader.readexactly(5) == b"hello"
    writer.close()


async def test_reset_breaks_open_connections_but_not_new_ones(proxy: FaultProxy) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"hello")
    await reader.readexactly(5)
    proxy.reset()
    with pytest.raises(ConnectionResetError):
        await reader.readexactly(1)
    writer.close()
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(b"again")
    assert await reader.readexactly(5) == b"again"
    writer.close()


async def test_refusing_it_breaks_new_connections(proxy: FaultProxy) -> None:
    proxy.faults.refusing = True
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    with pytest.raises(ConnectionError):
        await reader.readexactly(1)
    writer.close()


async def test_sliced_and_slow_bytes_arrive_whole_and_in_order(proxy: FaultProxy) -> None:
    proxy.faults.slice_bytes = 3
    proxy.faults.latency_seconds = 0.001
    proxy.faults.bandwidth_bytes_per_second = 100_000
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    sent = bytes(range(256))
    writer.write(sent)
    assert await reader.readexactly(256) == sent
    writer.close()
