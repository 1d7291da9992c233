"""The life of a chat completion: screen, look up, authorize, generate, release, settle, store. Read this file first.

Messages of the contracts are used as they are: on this path a copy into values of our own costs more than it clarifies.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from penstock.router.v1 import chat_completion_pb2
from servicekit.logging import get_logger

from penstock_router.admission import Admission
from penstock_router.answer import AnswerBuilder, ChunkWriter, replay
from penstock_router.generation import Generation
from penstock_router.identity import Principal
from penstock_router.memory import Memory
from penstock_router.operation import Operation, complete
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
    ) -> None:
        self._guard = guard
        self._memory = memory
        self._admission = admission
        self._generation = generation
        self._settlement = settlement

    async def complete(self, parameters: Parameters, principal: Principal) -> Completion:
        """Answer whole."""
        operation = self._admission.begin(parameters, principal)
        async with self._settled(operation):
            asked = await self._guard.screen(operation, parameters)
            said = await self._memory.recall(operation, asked)
            if said is None:
                call = await self._admission.authorize(operation, asked, streaming=False)
                answer = AnswerBuilder()
                async with aclosing(self._generation.events(operation, call)) as events:
                    async for event in events:
                        answer.add(event)
                said = answer.build(operation.attempts[-1])
            completion = await self._guard.release(operation, said)
        self._memory.keep(operation, said, parameters.cache_control)
        complete(operation, completion)
        return completion

    async def stream(self, parameters: Parameters, principal: Principal) -> AsyncGenerator[Chunk]:
        """Answer as the answer comes; the last chunk, with the receipt, leaves when the settlement is safe."""
        operation = self._admission.begin(parameters, principal)
        chunks = ChunkWriter(operation.completion_id, operation.created, operation.model.id)
        async with self._settled(operation):
            asked = await self._guard.screen(operation, parameters)
            said = await self._memory.recall(operation, asked)
            if said is not None:
                for delta in replay(await self._guard.release(operation, said)):
                    yield chunks.write(delta)
            else:
                call = await self._admission.authorize(operation, asked, streaming=True)
                answer = AnswerBuilder()
                async with (
                    self._guard.release_stream(operation) as release,
                    aclosing(self._generation.events(operation, call)) as events,
                ):
                    async for event in events:
                        answer.add(event)
                        for delta in await release.release(event):
                            yield chunks.write(delta)
                        if release.refused_all(call.answers):
                            break
                said = answer.build(operation.attempts[-1])
        self._memory.keep(operation, said, parameters.cache_control)
        usage = said.usage if parameters.stream_options.include_usage else None
        yield chunks.last(usage, operation.receipt())

    @asynccontextmanager
    async def _settled(self, operation: Operation) -> AsyncIterator[None]:
        """Whatever happens inside, what was used is counted and on its way to the ledger when this is left."""
        try:
            yield
        finally:
            await self._generation.account(operation)
            operation.conclude()
            await self._settlement.close(operation)
            log.debug("chat_ended", operation_id=operation.id, cost_nanos=operation.cost_nanos)
