"""The REST edge of a stack, as the commands use it."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from penstock_cli.failure import STACK_UNREACHABLE, Failure
from penstock_cli.place import Place
from penstock_cli.stack.credentials import read_env_file

CONNECT_SECONDS_MAX = 5.0
ANSWER_SECONDS_MAX = 600.0
DATA = "data: "
DONE = "[DONE]"

Json = dict[str, Any]

_HINTS = {
    "API_KEY_MISSING": "Set PENSTOCK_API_KEY, or start a stack here with `penstock up`.",
    "API_KEY_INVALID": "PENSTOCK_API_KEY is not a key of this stack; `penstock up` writes one to its run directory.",
    "API_KEY_REVOKED": "Make another with `penstock keys create`.",
    "MODEL_NOT_FOUND": "`penstock models` lists what is served.",
    "BUDGET_EXCEEDED": "`penstock budget list` shows what is left, `penstock usage` what was spent.",
    "CONTEXT_LENGTH_EXCEEDED": "Shorten the text; `penstock models` shows how much each model reads.",
    "CONTENT_REFUSED": "The guardrail refused the text; nothing was charged.",
    "DEPENDENCY_UNAVAILABLE": "`penstock status` shows who is down; it is started again by itself.",
    "PROVIDER_UNAVAILABLE": "`penstock status` shows who is down; it is started again by itself.",
    "INTERNAL": "`penstock logs` has the reason under the request id.",
}


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach an edge."""

    url: str
    api_key: str


def find_connection(place: Place) -> Connection:
    """Read PENSTOCK_URL and PENSTOCK_API_KEY from the environment, else from the `env` file of the stack here."""
    known = {**read_env_file(place.run_dir), **os.environ}
    return Connection(known.get("PENSTOCK_URL") or place.url, known.get("PENSTOCK_API_KEY", ""))


class Edge:
    """Calls the edge; every failure becomes a Failure that says why and what to do."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def get(self, path: str, **query: Any) -> Json:
        """Read something."""
        return self._call("GET", path, params={name: value for name, value in query.items() if value})

    def post(self, path: str, body: Json) -> Json:
        """Ask for something."""
        return self._call("POST", path, json=body)

    def patch(self, path: str, body: Json) -> Json:
        """Change something."""
        return self._call("PATCH", path, json=body)

    def delete(self, path: str) -> Json:
        """End something."""
        return self._call("DELETE", path)

    def stream(self, path: str, body: Json) -> Iterator[Json]:
        """Ask for a stream of server-sent events and give each as it comes.

        Raises:
            Failure: the request failed, or the answer broke off: an event said so, or the stream ended without [DONE].
        """
        with _reaching(self._http), self._http.stream("POST", path, json=body) as response:
            if response.is_error:
                response.read()
                raise _refusal(response)
            for line in response.iter_lines():
                if line == DATA + DONE:
                    return
                if line.startswith(DATA):
                    yield _event(line.removeprefix(DATA))
        raise Failure("the answer broke off", hint="The connection ended before the answer did. Try again.")

    def _call(self, method: str, path: str, **options: Any) -> Json:
        with _reaching(self._http):
            response = self._http.request(method, path, **options)
        if response.is_error:
            raise _refusal(response)
        body: Json = response.json()
        return body


@contextmanager
def open_edge(connection: Connection) -> Iterator[Edge]:
    """Open the edge that a connection describes."""
    headers = {"authorization": f"Bearer {connection.api_key}"} if connection.api_key else {}
    timeout = httpx.Timeout(ANSWER_SECONDS_MAX, connect=CONNECT_SECONDS_MAX)
    with httpx.Client(base_url=connection.url, headers=headers, timeout=timeout, trust_env=False) as http:
        yield Edge(http)


@contextmanager
def _reaching(http: httpx.Client) -> Iterator[None]:
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise Failure(
            f"cannot reach {http.base_url}",
            hint="Start the stack with `penstock up`, or set PENSTOCK_URL.",
            exit_code=STACK_UNREACHABLE,
        ) from error
    except httpx.TransportError as error:
        raise Failure(f"the connection broke: {error}", hint="Try again.") from error


def _event(data: str) -> Json:
    event: Json = json.loads(data)
    if "error" in event:
        raise _failure(event["error"], "")
    return event


def _refusal(response: httpx.Response) -> Failure:
    request_id = response.headers.get("x-request-id", "")
    try:
        error = response.json()["error"]
    except (ValueError, KeyError, TypeError):  # not ours: a proxy between us and the edge
        return Failure(f"HTTP {response.status_code}: {response.text[:200]}", hint=_asking(request_id))
    return _failure(error, request_id)


def _failure(error: Json, request_id: str) -> Failure:
    reason = error.get("reason", "")
    about = f" ({error['param']})" if error.get("param") else ""
    hints = [_HINTS.get(reason, ""), _asking(error.get("request_id") or request_id)]
    return Failure(f"{reason}: {error.get('message', '')}{about}", hint=" ".join(filter(None, hints)))


def _asking(request_id: str) -> str:
    return f"Request id {request_id}." if request_id else ""
