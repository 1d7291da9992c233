"""Several prompts as one attempt: all are continued at once, and their events come as those of one generation."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace

from penstock_router.providers import Delta, Event, Finished, GenerationCall, PromptCounted, UsageReported


async def continue_all(
    generate: Callable[[GenerationCall], AsyncGenerator[Event]], call: GenerationCall
) -> AsyncGenerator[Event]:
    """Give the events of all prompts as they come: answers numbered through, counts added up. One failure ends all."""
    calls = _calls(call)
    sources, sums = [generate(each) for each in calls], _Sums()
    pending = {asyncio.create_task(_next(source)): place for place, source in enumerate(sources)}
    try:
        while pending:
            done, _ = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                place = pending.pop(task)
                event = task.result()
                if event is not None:
                    pending[asyncio.create_task(_next(sources[place]))] = place
                    yield sums.add(event, first_index=place * calls[place].answers)
    finally:
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        for source in sources:
            await source.aclose()


async def count_all(
    count: Callable[[GenerationCall], Awaitable[tuple[int, int]]], call: GenerationCall
) -> tuple[int, int]:
    """Give the tokens of all prompts, and a window that leaves as much room as is left beside the longest of them."""
    counts = await asyncio.gather(*map(count, _calls(call)))
    tokens = [prompt_tokens for prompt_tokens, _ in counts]
    return sum(tokens), counts[0][1] + sum(tokens) - max(tokens)


def _calls(call: GenerationCall) -> list[GenerationCall]:
    """Give a call for each prompt."""
    return [replace(call, prompts=(prompt,)) for prompt in call.prompts]


class _Sums:
    """Counts of all prompts together."""

    def __init__(self) -> None:
        self._counted = PromptCounted(0)
        self._reported = UsageReported(0, 0, 0, 0)

    def add(self, event: Event, first_index: int) -> Event:
        """Give a prompt's event as one of all prompts', whose answers begin at `first_index`."""
        match event:
            case Delta() | Finished():
                return replace(event, index=first_index + event.index)
            case PromptCounted():
                counted = self._counted
                self._counted = PromptCounted(
                    counted.prompt_tokens + event.prompt_tokens,
                    counted.cached_prompt_tokens + event.cached_prompt_tokens,
                    event.fingerprint,
                )
                return self._counted
            case UsageReported():
                reported = self._reported
                self._reported = UsageReported(
                    reported.prompt_tokens + event.prompt_tokens,
                    reported.cached_prompt_tokens + event.cached_prompt_tokens,
                    reported.completion_tokens + event.completion_tokens,
                    reported.reasoning_tokens + event.reasoning_tokens,
                )
                return self._reported


async def _next(source: AsyncGenerator[Event]) -> Event | None:
    return await anext(source, None)
