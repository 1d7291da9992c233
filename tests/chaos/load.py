"""A bounded load on a stack that keeps what became of every request."""

import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Self

import httpx
from stack_fixture import Stack, ask
from testkit.waiting import until_now

ANSWERS_SECONDS_MAX = 120.0
WORDS = ["sea", "moon", "river", "stone", "bread", "wind", "salt", "glass", "iron", "wool"]


@dataclass
class Outcome:
    """What became of one request."""

    began: float
    ended: float
    status: int = 0
    body: dict[str, Any] = field(default_factory=dict)
    fault: str = ""
    done: bool = False  # a stream's [DONE]
    streamed: bool = False
    first_part: float = 0.0  # when it came

    @property
    def reason(self) -> str:
        return str(self.body.get("error", {}).get("reason", ""))


class Load:
    """Threads that ask until told to stop: odd ones stream, even ones do not."""

    def __init__(self, stack: Stack, threads: int = 6, max_tokens: int = 24) -> None:
        self._stack = stack
        self._max_tokens = max_tokens
        self._stop = threading.Event()
        self.outcomes: list[Outcome] = []
        self._threads = [threading.Thread(target=self._work, args=(n,), daemon=True) for n in range(threads)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def wait_for_answers(self, count: int = 8) -> None:
        """Wait until so many more requests are answered well."""
        wanted = self._good() + count
        until_now(lambda: self._good() >= wanted, ANSWERS_SECONDS_MAX)

    def admission_seconds(self, at: float) -> float:
        """Give the longest that a stream took, until a moment, from its beginning to its first part."""
        return max((o.first_part - o.began for o in self.outcomes if 0 < o.first_part < at), default=0.0)

    def _good(self) -> int:
        return sum(outcome.status == 200 and outcome.done for outcome in self.outcomes)

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=ANSWERS_SECONDS_MAX)
        assert not any(thread.is_alive() for thread in self._threads)

    def _work(self, number: int) -> None:
        turn = 0
        with self._stack.client() as client:
            while not self._stop.is_set():
                turn += 1
                word = WORDS[turn % len(WORDS)]
                question = ask(
                    f"Write about the {word}, number {number}-{turn}.", max_tokens=self._max_tokens
                )
                began = time.monotonic()
                outcome = _ask(client, question, stream=bool(number % 2))
                outcome.began, outcome.ended = began, time.monotonic()
                self.outcomes.append(outcome)
                if outcome.status != 200:
                    time.sleep(0.05)


def _ask(client: httpx.Client, question: dict[str, Any], *, stream: bool) -> Outcome:
    outcome = Outcome(0, 0, streamed=stream)
    try:
        if not stream:
            response = client.post("/v1/chat/completions", json=question)
            outcome.status, outcome.body = response.status_code, response.json()
            outcome.done = response.status_code == 200
            return outcome
        with client.stream("POST", "/v1/chat/completions", json=question | {"stream": True}) as response:
            outcome.status = response.status_code
            if response.status_code != 200:
                outcome.body = json.loads(response.read())
                return outcome
            for line in response.iter_lines():
                outcome.first_part = outcome.first_part or time.monotonic()
                _take(outcome, line.removeprefix("data: "))
    except (httpx.HTTPError, json.JSONDecodeError) as error:
        outcome.fault = repr(error)
    return outcome


def _take(outcome: Outcome, data: str) -> None:
    if data == "[DONE]":
        outcome.done = True
    elif data:
        event = json.loads(data)
        if "error" in event or "penstock" in event:
            outcome.body = event
