"""A fake stack of tiny programs under the real supervisor, and a fake edge for the commands that make requests."""

import asyncio
import json
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from penstock_cli.stack.log_files import log_file
from penstock_cli.stack.program import Check, Program
from penstock_cli.stack.state import StackState, read_state, write_state
from penstock_cli.stack.supervisor import Supervisor
from testkit.process import free_port
from testkit.waiting import SECONDS_MAX, until

FAKE_PROGRAM = Path(__file__).parent / "fake_program.py"


class FakeStack:
    """Describes fake programs and runs them."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.endings_file = run_dir / "endings"
        log_file(run_dir, "any").parent.mkdir(parents=True)

    def program(self, name: str, *flags: str, **fields) -> Program:
        port = free_port()
        command = (sys.executable, "-I", "-S", str(FAKE_PROGRAM), str(port), str(self.endings_file), *flags)
        fields["environment"] = {"FAKE_NAME": name}
        check = Check("http", f"http://127.0.0.1:{port}/ready")
        return Program(name, command, check, f"127.0.0.1:{port}", **fields)

    def failing(self, name: str, code: str) -> Program:
        command = (sys.executable, "-I", "-S", "-c", code)
        return Program(name, command, Check("http", "http://127.0.0.1:9/ready"), "127.0.0.1:9")

    @asynccontextmanager
    async def running(self, *programs: Program) -> AsyncIterator[Supervisor]:
        """Run programs under a supervisor in this process, and stop them."""
        supervisor = Supervisor(list(programs), self.run_dir)
        task = asyncio.create_task(supervisor.run())
        try:
            yield supervisor
        finally:
            supervisor.stop()
            async with asyncio.timeout(SECONDS_MAX):
                await task

    def state(self) -> StackState:
        return read_state(self.run_dir)

    def write_state(self, state: StackState) -> None:
        write_state(self.run_dir, state)

    def log(self, name: str) -> str:
        path = log_file(self.run_dir, name)
        return path.read_text() if path.exists() else ""

    async def until_listening(self, *names: str, times: int = 1) -> None:
        """Wait until programs have begun to listen, so many times each."""
        await until(lambda: all(self.log(name).count("listening") == times for name in names))

    async def pid(self, name: str, *, after: int = 0) -> int:
        """Give the process of a program once it runs, again after another; until then the state says 0."""
        await until(lambda: self.state().programs[name].pid not in {0, after})
        return self.state().programs[name].pid

    def endings(self) -> list[str]:
        return self.endings_file.read_text().splitlines() if self.endings_file.exists() else []


@pytest.fixture
def stack(tmp_path: Path) -> FakeStack:
    return FakeStack(tmp_path / "run")


class FakeEdge:
    """Answers by (method, path): a tuple (status, body), or a list of stream events; None in it breaks off."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], Any] = {}
        self.requests: list[tuple[str, str, str, Any]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        edge = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                edge.answer(self, "GET")

            def do_POST(self) -> None:
                edge.answer(self, "POST")

            def do_PATCH(self) -> None:
                edge.answer(self, "PATCH")

            def do_DELETE(self) -> None:
                edge.answer(self, "DELETE")

            def log_message(self, *_: Any) -> None:
                pass

        return Handler

    def answer(self, handler: BaseHTTPRequestHandler, method: str) -> None:
        path, _, query = handler.path.partition("?")
        body = handler.rfile.read(int(handler.headers.get("content-length") or 0))
        asked = json.loads(body) if body else query
        self.requests.append((method, path, handler.headers.get("authorization") or "", asked))
        answer = self.answers[method, path]
        if callable(answer):
            answer = (200, answer(asked))
        if isinstance(answer, list):
            _stream(handler, answer)
        else:
            _send(handler, answer)


def _send(handler: BaseHTTPRequestHandler, answer: tuple[int, Any]) -> None:
    status, body = answer
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    handler.send_response(status)
    handler.send_header("content-length", str(len(data)))
    handler.send_header("x-request-id", "req-1")
    handler.end_headers()
    handler.wfile.write(data)


def _stream(handler: BaseHTTPRequestHandler, events: list[Any]) -> None:
    handler.send_response(200)
    handler.send_header("content-type", "text/event-stream")
    handler.end_headers()
    for event in events:
        if event is None:
            return
        handler.wfile.write(f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n".encode())
        handler.wfile.flush()


@pytest.fixture
def edge(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeEdge]:
    """Give an edge that the commands find in the environment."""
    fake = FakeEdge()
    monkeypatch.setenv("PENSTOCK_URL", fake.url)
    monkeypatch.setenv("PENSTOCK_API_KEY", "psk_test")
    monkeypatch.setenv("PENSTOCK_RUN_DIR", str(tmp_path))
    yield fake
    fake.close()
