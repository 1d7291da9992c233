"""A small HTTP server for operators' pages: GET only, one request a connection, everything bounded."""

import asyncio
from collections.abc import Callable

HEAD_BYTES_MAX = 8192
HEAD_SECONDS_MAX = 5.0

Answer = tuple[int, str, bytes]
Route = Callable[[], Answer]

_PHRASES = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}
_TEXT = "text/plain; charset=utf-8"


def text(status: int, body: str) -> Answer:
    """Make a plain answer."""
    return status, _TEXT, f"{body}\n".encode()


async def serve_http(host: str, port: int, routes: dict[str, Route]) -> asyncio.Server:
    """Listen and answer; routes must not block."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(HEAD_SECONDS_MAX):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(_render(_route(head, routes)))
                await writer.drain()
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # The caller broke off or does not speak HTTP: there is nobody to tell.
        finally:
            writer.close()

    return await asyncio.start_server(connected, host, port, limit=HEAD_BYTES_MAX)


def _route(head: bytes, routes: dict[str, Route]) -> Answer:
    method, _, rest = head.decode("latin-1").partition(" ")
    path = rest.partition(" ")[0].partition("?")[0]
    if path not in routes:
        return text(404, "not found")
    if method not in {"GET", "HEAD"}:
        return text(405, "GET only")
    return routes[path]()


def _render(answer: Answer) -> bytes:
    status, content_type, body = answer
    head = (
        f"HTTP/1.1 {status} {_PHRASES[status]}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
