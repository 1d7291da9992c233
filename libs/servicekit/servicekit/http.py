"""A small HTTP server for operators' pages: GET only, one request a connection, everything bounded."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

HEAD_BYTES_MAX = 8192
ANSWER_SECONDS_MAX = 5.0

Answer = tuple[int, str, bytes]
Route = Callable[[], Answer]

_PHRASES = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}
_TEXT = "text/plain; charset=utf-8"


def text(status: int, body: str) -> Answer:
    """Make a plain answer."""
    return status, _TEXT, f"{body}\n".encode()


@asynccontextmanager
async def open_http(host: str, port: int, routes: Mapping[str, Route]) -> AsyncIterator[int]:
    """Listen, answer, and give the port; routes must not block."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(_answer(head, routes))
                await writer.drain()
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # The caller broke off or does not speak HTTP: there is nobody to tell.
        finally:
            writer.close()

    server = await asyncio.start_server(connected, host, port, limit=HEAD_BYTES_MAX)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def _answer(head: bytes, routes: Mapping[str, Route]) -> bytes:
    method, _, rest = head.decode("latin-1").partition(" ")
    path = rest.partition(" ")[0].partition("?")[0]
    if path not in routes:
        answer = text(404, "not found")
    elif method != "GET":
        answer = text(405, "GET only")
    else:
        answer = routes[path]()
    return _render(*answer)


def _render(status: int, content_type: str, body: bytes) -> bytes:
    head = (
        f"HTTP/1.1 {status} {_PHRASES[status]}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
