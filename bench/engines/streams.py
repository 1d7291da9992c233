"""Time streams of tokens from outside, the same in process and over gRPC."""

import asyncio
import statistics
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from engines.timing import SETTLE_SECONDS, WARM_UP_SECONDS

_EVENTS_MIN = 3  # of each answer, to have a rate
_POLL_SECONDS = 0.01
_STALL_SECONDS_MAX = 60.0


@dataclass(frozen=True, slots=True)
class Produced:
    """How far an answer is."""

    prompt_tokens: int
    completion_tokens: int


# Opens an answer to a prompt, for an organization (only within one are the beginnings of prompts shared).
Open = Callable[[str, str], AsyncGenerator[Produced]]


async def decode(open_answer: Open, prompt: str, concurrent: int, seconds: float) -> dict[str, Any]:
    """Let this many answers run, and count the tokens of a while in which all of them do."""
    readers = [_Reader() for _ in range(concurrent)]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(reader.read(open_answer(prompt, "bench"))) for reader in readers]
        for reader in readers:
            await reader.started.wait()
        await asyncio.sleep(WARM_UP_SECONDS)
        start = time.perf_counter()
        await asyncio.sleep(seconds)
        async with asyncio.timeout(_STALL_SECONDS_MAX):
            while any(len(reader.seen_since(start)) < _EVENTS_MIN for reader in readers):  # noqa: ASYNC110 - rare
                await asyncio.sleep(_POLL_SECONDS)
        for task in tasks:
            task.cancel()
    contexts = [reader.context(start) for reader in readers]
    rates = [reader.tokens_per_second(start) for reader in readers]
    return {"tokens_per_s": sum(rates), "context": round(sum(contexts) / concurrent)}


async def prefill(open_answer: Open, prompt: str, seconds: float, run: str) -> dict[str, Any]:
    """Read a prompt that nothing is known of, again and again; the time is that to the first token, queue and all."""
    rates: list[float] = []
    until = time.perf_counter() + seconds
    while not rates or time.perf_counter() < until:
        await asyncio.sleep(SETTLE_SECONDS)
        start = time.perf_counter()
        async with aclosing(open_answer(prompt, f"bench-{run}-{len(rates)}")) as answer:
            produced = await anext(answer)
            rates.append(produced.prompt_tokens / (time.perf_counter() - start))
    return {"tokens_per_s": statistics.median(rates)}


async def burst(
    open_answer: Open, prompts: Sequence[str], organizations: Sequence[str], tokens: int
) -> dict[str, Any]:
    """Ask for all answers at the same moment; give the seconds to each one's first token, and what all took."""
    await asyncio.sleep(SETTLE_SECONDS)
    start = time.perf_counter()

    async def read(prompt: str, organization: str) -> tuple[float, float, int]:
        first = 0.0
        async with aclosing(open_answer(prompt, organization)) as answer:
            async for produced in answer:
                first = first or time.perf_counter()
                if produced.completion_tokens >= tokens:
                    return first - start, time.perf_counter() - first, produced.completion_tokens
        raise RuntimeError("an answer ended before it was timed")

    read_all = [read(*each) for each in zip(prompts, organizations, strict=True)]
    answers = await asyncio.gather(*read_all)
    seconds = time.perf_counter() - start
    return {
        "first_token_seconds": [first for first, _, _ in answers],
        "inter_token_seconds": [rest / (count - 1) for _, rest, count in answers if count > 1],
        "tokens_per_s": sum(count for _, _, count in answers) / seconds,
    }


@dataclass(slots=True)
class _Reader:
    """What came of one answer, and when."""

    started: asyncio.Event = field(default_factory=asyncio.Event)
    seen: list[tuple[float, Produced]] = field(default_factory=list)

    async def read(self, answer: AsyncGenerator[Produced]) -> None:
        async with aclosing(answer):
            async for produced in answer:
                self.seen.append((time.perf_counter(), produced))
                self.started.set()
        raise RuntimeError("an answer ended before it was timed")

    def seen_since(self, start: float) -> list[tuple[float, Produced]]:
        """Give what came after a moment."""
        return [seen for seen in self.seen if seen[0] >= start]

    def tokens_per_second(self, start: float) -> float:
        """Count from one token's arrival to another's, so that no step counts in part."""
        (first_seconds, first), *_, (last_seconds, last) = self.seen_since(start)
        return (last.completion_tokens - first.completion_tokens) / (last_seconds - first_seconds)

    def context(self, start: float) -> int:
        """Give how many tokens the answer had before it, its prompt included."""
        _, first = self.seen_since(start)[0]
        return first.prompt_tokens + first.completion_tokens
