"""The turns that a benchmark takes with whoever answers, however it is asked."""

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Any

import uvloop
from harness.turns import in_loop, serve

from engines import streams
from engines.streams import Open
from engines.texts import beginning


class Client:
    """Asks for answers, and times them."""

    def __init__(self, open_answer: Open, text: str) -> None:
        self._open_answer = open_answer
        self._text = text

    async def about(self) -> dict[str, Any]:
        """Say nothing; it serves."""
        return {}

    async def decode(self, concurrent: int, context: int, seconds: float) -> dict[str, Any]:
        """Ask for this many answers at once, each after about `context` tokens."""
        return await streams.decode(self._open_answer, beginning(self._text, context), concurrent, seconds)

    async def burst(self, prompts: list[str], organizations: list[str], tokens: int) -> dict[str, Any]:
        """Ask for an answer to each prompt at the same moment."""
        return await streams.burst(self._open_answer, prompts, organizations, tokens)


def take_turns(serving: AbstractAsyncContextManager[Client]) -> None:
    """Start a server, take turns with its client until the input ends, and end it."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        client = runner.run(serving.__aenter__())
        serve({turn.__name__: in_loop(runner, turn) for turn in (client.about, client.decode, client.burst)})
        runner.run(serving.__aexit__(None, None, None))
