"""The life of a chat completion: screen, look up, authorize, generate, release, settle, store. Read this file first.

Messages of the contracts are used as they are: on this path a copy into values of our own costs more than it clarifies.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import partial

from penstock.router.v1 import chat_completion_pb2
from servicekit.background import completed
from servicekit.logging import get_logger

from penstock_router.admission import Admission
from penstock_router.answer import AnswerBuilder, ChunkWriter, replay
from penstock_router.flights import Flights
from penstock_router.generation import Generation
from penstock_router.identity import Principal
from penstock_router.memory import Memory
from penstock_router.operation import Operation, complete
from penstock_router.providers import Event, Prompt
from penstock_router.release import Guard
from penstock_router.settlement import Settlement

Parameters = chat_completion_pb2.ChatCompletionParameters
Completion = chat_completion_pb2.ChatCompletion
Chunk = chat_completion_pb2.ChatCompletionChunk

log = get_logger(__name__)


class ChatPipeline:
    """Answers conversations, whole or as a stream, by the same steps."""

    def __init__(
        self,
        guard: Guard,
        memory: Memory,
        admission: Admission,
        generation: Generation,
        settlement: Settlement,
        flights: Flights,
    ) -> None:
        self._guard = guard
        self._memory = memory
        self._admission = admission
        self._generation = generation
        self._settlement = settlement
        self._flights = flights

    async def complete(
        self, parameters: Parameters, principal: Principal, prompts: Sequence[Prompt] = ()
    ) -> Completion:
        """Answer whole; with prompts, the parameters' messages are their texts."""
        operation = self._admission.begin(parameters, principal, prompts)
        async with self._settled(operation) as settle:
            asked = await self._guard.screen(operation, parameters)
            said = await self._memory.recall(operation, asked)
            if said is None:
                answer = AnswerBuilder()
                async with aclosing(self._events(operation, asked, streaming=False)) as events:
                    async for event in events:
                        answer.add(event)
                said = answer.build(operation.counted)
            settle()  # what was used goes to the disk while the answer is inspected
            completion = await self._guard.release(operation, said)
        self._memory.keep(operation, said, asked)
        complete(operation, completion)
        return completion

    async def stream(
        self, parameters: Parameters, principal: Principal, prompts: Sequence[Prompt] = ()
    ) -> AsyncGenerator[Chunk]:
        """Answer as the answer comes; the last chunk, with the receipt, leaves when the settlement is safe."""
        operation = self._admission.begin(parameters, principal, prompts)
        chunks = ChunkWriter(operation.completion_id, operation.created, operation.model.id)
        async with self._settled(operation):
            asked = await self._guard.screen(operation, parameters)
            said = await self._memory.recall(operation, asked)
            if said is not None:
                for delta in replay(await self._guard.release(operation, said)):
                    yield chunks.write(delta)
            else:
                answer = AnswerBuilder()
                async with (
                    self._guard.release_stream(operation) as release,
                    aclosing(self._events(operation, asked, streaming=True)) as events,
                ):
                    async for event in events:
                        answer.add(event)
                        for delta in await release.release(event):
                            yield chunks.write(delta, operation.rate_limits)
                        if release.refused_all((asked.n or 1) * (len(prompts) or 1)):
                            break
                said = answer.build(operation.counted)
        self._memory.keep(operation, said, asked)
        usage = said.usage if parameters.stream_options.include_usage else None
        yield chunks.last(usage, operation.receipt())

    async def _events(
        self, operation: Operation, asked: Parameters, *, streaming: bool
    ) -> AsyncGenerator[Event]:
        """Give the events of the generation that an equal question leads, or of our own, which others may follow."""
        if self._flights.of(operation) is not None:
            recall = partial(self._memory.recall, operation, asked)
            async with aclosing(self._flights.follow(operation, recall)) as events:
                async for event in events:
                    yield event
            if operation.followed is not None:
                return
        call = await self._admission.authorize(operation, asked, streaming=streaming)
        generated = self._flights.led(operation, self._generation.events(operation, call))
        async with aclosing(generated) as events:
            async for event in events:
                yield event

    @asynccontextmanager
    async def _settled(self, operation: Operation) -> AsyncIterator[Callable[[], None]]:
        """Whatever happens inside, what was used is counted and on its way to the ledger when this is left.

        Gives a function that begins with it earlier: when nothing more can be used.
        """
        settling: asyncio.Task[None] | None = None

        def settle() -> None:
            nonlocal settling
            settling = asyncio.create_task(self._settle(operation))

        try:
            yield settle
        except BaseException:
            self._memory.keep_nothing(operation)
            raise
        finally:
            if settling is None:
                await self._settle(operation)
            else:
                await completed(settling)

    async def _settle(self, operation: Operation) -> None:
        await self._generation.account(operation)
        operation.conclude()
        await self._settlement.close(operation)
        log.debug("chat_ended", operation_id=operation.id, cost_nanos=operation.cost_nanos)
