"""The models of this process: loaded and unloaded while others answer, found by id."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

from servicekit.errors import NotFound, ServiceError, Unavailable
from servicekit.logging import get_logger

from penstock_inference.batcher import Batcher
from penstock_inference.embed import EmbeddingModel
from penstock_inference.engines import EngineLimits
from penstock_inference.grammar import Grammars
from penstock_inference.memory import MemoryBudget
from penstock_inference.prompt import PromptReader
from penstock_inference.tokenizer import Tokenizer

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class GenerativeModel:
    """A model that answers."""

    id: str
    engine: str
    kind: str
    fingerprint: str
    limits: EngineLimits
    end_tokens: tuple[int, ...]
    tokenizer: Tokenizer
    prompts: PromptReader
    grammars: Grammars
    batcher: Batcher

    async def check(self) -> None:
        """Probe: raise Unavailable while the engine fails."""
        await self.batcher.check()

    async def drain(self, seconds: float) -> None:
        """Let answers end, for so long at most."""
        await asyncio.to_thread(self.batcher.drain, seconds)

    async def close(self) -> None:
        """Stop the batch loop and free the engine."""
        await asyncio.to_thread(self.batcher.close)
        self.grammars.close()


Model = GenerativeModel | EmbeddingModel
Load = Callable[[], Awaitable[Model]]


class Models:
    """Load models one after another, and give those that are there."""

    def __init__(self, loaders: dict[str, Load], memory: MemoryBudget, *, at_start: Collection[str]) -> None:
        """Name the models by id, with what loads each, and which of them are wanted from the start."""
        self._loaders = loaders
        self._memory = memory
        self._wanted = [model_id for model_id in loaders if model_id in at_start]
        self._loaded: dict[str, Model] = {}
        self._failed: dict[str, str] = {}
        self._changing = asyncio.Lock()

    async def load(self) -> None:
        """Load what is wanted. A model that cannot be loaded keeps the process from serving as a whole."""
        for model_id in self._wanted.copy():
            with contextlib.suppress(ServiceError):  # it was logged
                await self.load_model(model_id)

    async def load_model(self, model_id: str) -> Model:
        """Load a model, unless it is there, until it can answer at full speed.

        Raises:
            NotFound: there is none of this name (MODEL_NOT_FOUND).
            ResourceExhausted: the memory budget has no room for it (OVERLOADED).
            Unavailable: it cannot be loaded (DEPENDENCY_UNAVAILABLE).
        """
        if model_id not in self._loaders:
            raise _not_found(model_id)
        async with self._changing:
            if model_id not in self._wanted:
                self._wanted.append(model_id)
            if model_id not in self._loaded:
                self._loaded[model_id] = await self._load(model_id)
            return self._loaded[model_id]

    async def unload_model(self, model_id: str, drain_seconds: float) -> None:
        """Take no more work for a model, let its answers end, and free its memory.

        Raises:
            NotFound: it is not loaded (MODEL_NOT_FOUND).
        """
        async with self._changing:
            model = self._loaded.pop(model_id, None)
            if model is None:
                raise _not_found(model_id)
            self._wanted.remove(model_id)
            await model.drain(drain_seconds)
            await model.close()
            self._memory.release(model_id)
            log.info("model_unloaded", model=model_id)

    def generative(self, model_id: str) -> GenerativeModel:
        """Give a model that answers.

        Raises:
            NotFound: there is none of this name (MODEL_NOT_FOUND).
            Unavailable: it is not loaded yet, or cannot be (DEPENDENCY_UNAVAILABLE).
        """
        model = self.find(model_id)
        if not isinstance(model, GenerativeModel):
            raise _not_found(model_id)
        return model

    def embedding(self, model_id: str) -> EmbeddingModel:
        """Give a model that embeds. Raises as `generative` does."""
        model = self.find(model_id)
        if not isinstance(model, EmbeddingModel):
            raise _not_found(model_id)
        return model

    def get(self, model_id: str) -> Model | None:
        """Give a model if it is loaded."""
        return self._loaded.get(model_id)

    def ids(self) -> list[str]:
        """Give the ids of all models that could be loaded."""
        return sorted(self._loaders)

    def all(self) -> list[Model]:
        """Give the loaded models, by id."""
        return [model for _, model in sorted(self._loaded.items())]

    async def check(self) -> None:
        """Probe: raise Unavailable unless every wanted model is loaded and well."""
        for model_id in self._wanted:
            await self.find(model_id).check()

    async def close(self) -> None:
        """Stop all models."""
        for model in self._loaded.values():
            await model.close()

    async def _load(self, model_id: str) -> Model:
        log.info("model_loading", model=model_id)
        began = time.monotonic()
        self._failed.pop(model_id, None)
        try:
            model = await self._loaders[model_id]()
        except Exception as error:
            self._memory.release(model_id)
            self._failed[model_id] = str(error)
            log.exception("model_load_failed", model=model_id)
            if isinstance(error, ServiceError):
                raise
            raise self._unavailable(model_id) from error
        log.info("model_loaded", model=model_id, seconds=round(time.monotonic() - began, 3))
        return model

    def find(self, model_id: str) -> Model:
        """Give a model of any kind. Raises as `generative` does."""
        if model_id in self._loaded:
            return self._loaded[model_id]
        if model_id not in self._wanted:
            raise _not_found(model_id)
        raise self._unavailable(model_id)

    def _unavailable(self, model_id: str) -> Unavailable:
        failure = self._failed.get(model_id)
        state = "is still loading" if failure is None else f"cannot be loaded: {failure}"
        return Unavailable(
            "DEPENDENCY_UNAVAILABLE", f"The model {model_id} {state}.", metadata={"dependency": model_id}
        )


def _not_found(model_id: str) -> NotFound:
    return NotFound("MODEL_NOT_FOUND", f"There is no model {model_id} here.", metadata={"model": model_id})
