"""llama.cpp's own HTTP server, asked through plain sockets: what its callers get."""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from harness import install, processes
from harness.paths import CACHE

from engines.client import Client, take_turns
from engines.streams import Produced

_SLOTS = 32
_SLOT_TOKENS = 640
_ANSWER_TOKENS_MAX = 400
_LOAD_SECONDS_MAX = 120.0
_EVENT = b"data: "


class OverHttp(Client):
    """A client of the running server."""

    def __init__(self, port: int, text: str) -> None:
        super().__init__(self._open, text)
        self._port = port

    async def _open(self, prompt: str, _organization: str) -> AsyncGenerator[Produced]:
        request = {
            "prompt": prompt,
            "stream": True,
            "n_predict": _ANSWER_TOKENS_MAX,
            "ignore_eos": True,
            "samplers": ["top_k"],  # no other is as quick
            "top_k": 1,
        }
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(_post(json.dumps(request).encode()))
            while line := await reader.readline():
                if line.startswith(_EVENT):  # each is a chunk of its own
                    event = json.loads(line.removeprefix(_EVENT))
                    yield Produced(event["tokens_evaluated"], event["tokens_predicted"])
        finally:
            writer.close()


def _post(body: bytes) -> bytes:
    head = "POST /completion HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@asynccontextmanager
async def serving(gguf: str, threads: str, text: str) -> AsyncIterator[OverHttp]:
    """Start the server, wait until it has loaded the model, and end it after."""
    port = processes.free_port()
    command = [
        *(str(install.LLAMA_SERVER), "--model", gguf, "--port", str(port), "--threads", threads),
        *("--parallel", str(_SLOTS), "--ctx-size", str(_SLOTS * _SLOT_TOKENS), "--no-kv-unified"),
        *("--load-mode", "none", "--flash-attn", "auto", "--cache-ram", "0", "--no-ui", "--fit", "off"),
    ]
    server = processes.start(command, CACHE / "llama-server.log")
    try:
        async with asyncio.timeout(_LOAD_SECONDS_MAX):
            while not await _ready(port):
                if trouble := server.trouble():
                    raise RuntimeError(trouble)
                await asyncio.sleep(0.1)
        yield OverHttp(port, text)
    finally:
        server.stop()


async def _ready(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    status = await reader.readline()
    writer.close()
    return b" 200 " in status


def main(gguf: str, text: str, threads: str) -> None:
    """Take turns until the input ends."""
    take_turns(serving(gguf, threads, Path(text).read_text()))


if __name__ == "__main__":
    main(*sys.argv[1:])
