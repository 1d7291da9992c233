"""A TCP proxy that misbehaves on demand: latency, freeze, reset, refusal, low bandwidth, sliced packets."""

import asyncio
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

CHUNK_BYTES_MAX = 64 * 1024
# SO_LINGER with a time of zero makes close() send RST.
_LINGER_NONE = struct.pack("ii", 1, 0)


@dataclass
class Faults:
    """What is wrong with the network now; change it at any time.

    Args:
        latency_seconds: how long each chunk is held, each way.
        bandwidth_bytes_per_second: 0 means unlimited.
        slice_bytes: split what passes into pieces of this size; 0 means as it comes.
        refusing: new connections are reset.
    """

    latency_seconds: float = 0.0
    bandwidth_bytes_per_second: int = 0
    slice_bytes: int = 0
    refusing: bool = False


class FaultProxy:
    """Stands between a client and 127.0.0.1:target_port: `async with FaultProxy(port) as proxy`."""

    def __init__(self, target_port: int) -> None:
        self.faults = Faults()
        self.port = 0
        self._target_port = target_port
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        """Where clients connect."""
        return f"127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._writers) // 2  # each has a side to the client and one to the target

    def freeze(self) -> None:
        """Let nothing pass while connections stay open, as when a peer's machine is gone without a word."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Let pass what was held."""
        self._flowing.set()

    def reset(self) -> None:
        """Break every open connection with RST."""
        for writer in list(self._writers):
            _reset(writer)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_exception: object) -> None:
        self._server.close()
        self.thaw()
        self.reset()
        if self._connections:
            await asyncio.wait(self._connections)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        if self.faults.refusing:
            _reset(writer)
            return
        try:
            target_reader, target_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            _reset(writer)
            return
        writers = {writer, target_writer}
        if self.faults.refusing:  # since meanwhile: a reset did not see this one
            for each in writers:
                _reset(each)
            return
        self._writers |= writers
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, target_writer))
                group.create_task(self._pump(target_reader, writer))
        finally:
            self._writers -= writers
            for each in writers:
                each.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while chunk := await reader.read(CHUNK_BYTES_MAX):
                for piece in _pieces(chunk, self.faults.slice_bytes):
                    await self._delay(len(piece))
                    writer.write(piece)
                    await writer.drain()
            writer.write_eof()

    async def _delay(self, size: int) -> None:
        await self._flowing.wait()
        seconds = self.faults.latency_seconds
        if self.faults.bandwidth_bytes_per_second:
            seconds += size / self.faults.bandwidth_bytes_per_second
        # Sliced pieces need a turn of the loop between them, or TCP joins them again.
        await asyncio.sleep(seconds)


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    if connection is not None:
        with suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
    writer.transport.abort()


def _pieces(chunk: bytes, size: int) -> list[bytes]:
    if size <= 0:
        return [chunk]
    return [chunk[start : start + size] for start in range(0, len(chunk), size)]
