"""The models of this process: loaded and unloaded while others answer, found by id."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass

from servicekit.errors import NotFound, ServiceError, Unavailable
from servicekit.logging import get_logger
from servicekit.metrics import Metrics

from penstock_inference.batcher import Batcher
from penstock_inference.embed import EmbeddingModel
from penstock_inference.engines import Adapters, EngineLimits
from penstock_inference.formats import ModelConfig
from penstock_inference.grammar import Grammars
from penstock_inference.memory import MemoryBudget
from penstock_inference.prompt import PromptReader
from penstock_inference.tokenizer import Tokenizer

log = get_logger(__name__)

_INFO_LABELS = ("model", "engine", "kind")


@dataclass(frozen=True, slots=True)
class GenerativeModel:
    """A model that answers: by itself, or as an adapter changes another, whose engine it shares."""

    id: str
    engine: str
    kind: str
    fingerprint: str
    limits: EngineLimits
    config: ModelConfig
    end_tokens: tuple[int, ...]
    tokenizer: Tokenizer
    prompts: PromptReader
    grammars: Grammars
    batcher: Batcher
    adapters: Adapters | None  # None: the engine has none
    base: str = ""  # whose adapter it is
    adapter: str | None = None  # its name among them

    async def check(self) -> None:
        """Probe: raise Unavailable while the engine fails."""
        await self.batcher.check()

    async def drain(self, seconds: float) -> None:
        """Let answers end, for so long at most."""
        await asyncio.to_thread(self.batcher.drain, seconds, self.adapter)

    async def close(self) -> None:
        """Free the adapter, or stop the batch loop and free the engine."""
        if self.adapter is not None:
            await asyncio.to_thread(self.batcher.dismiss, self.adapter)
            assert self.adapters is not None
            self.adapters.remove(self.adapter)
            return
        await asyncio.to_thread(self.batcher.close)
        self.grammars.close()


Model = GenerativeModel | EmbeddingModel
Load = Callable[[], Awaitable[Model]]


@dataclass(frozen=True, slots=True)
class AdapterLoader:
    """What loads an adapter onto its base."""

    base: str
    load: Callable[[GenerativeModel], Awaitable[GenerativeModel]]


class Models:
    """Load models one after another, and give those that are there."""

    def __init__(
        self,
        loaders: Mapping[str, Load | AdapterLoader],
        memory: MemoryBudget,
        metrics: Metrics,
        *,
        at_start: Collection[str],
    ) -> None:
        """Name the models by id, with what loads each, and which of them are wanted from the start."""
        self._loaders = loaders
        self._memory = memory
        self._info = metrics.gauge("inference_model_info", "Models that are loaded.", _INFO_LABELS)
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
        """Load a model, unless it is there, until it can answer at full speed; an adapter's base first.

        Raises:
            NotFound: there is none of this name (MODEL_NOT_FOUND).
            ResourceExhausted: the memory budget has no room for it (OVERLOADED).
            Unavailable: it cannot be loaded (DEPENDENCY_UNAVAILABLE).
        """
        if model_id not in self._loaders:
            raise _not_found(model_id)
        async with self._changing:
            return await self._ensure(model_id)

    async def unload_model(self, model_id: str, drain_seconds: float) -> None:
        """Take no more work for a model and for its adapters, let answers end, and free memory.

        Raises:
            NotFound: it is not loaded (MODEL_NOT_FOUND).
        """
        async with self._changing:
            if model_id not in self._loaded:
                raise _not_found(model_id)
            for adapter_id in self._adapters_of(model_id):
                await self._unload(adapter_id, drain_seconds)
            await self._unload(model_id, drain_seconds)

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
        for model in reversed(self._loaded.values()):  # adapters before their base
            await model.close()

    async def _ensure(self, model_id: str) -> Model:
        if model_id not in self._wanted:
            self._wanted.append(model_id)
        if model_id not in self._loaded:
            model = await self._load(model_id)
            self._loaded[model_id] = model
            self._info.labels(model.id, model.engine, model.kind).set(1)
        return self._loaded[model_id]

    async def _unload(self, model_id: str, drain_seconds: float) -> None:
        model = self._loaded.pop(model_id)
        self._wanted.remove(model_id)
        self._info.remove(model.id, model.engine, model.kind)
        await model.drain(drain_seconds)
        await model.close()
        self._memory.release(model_id)
        log.info("model_unloaded", model=model_id)

    def _adapters_of(self, model_id: str) -> list[str]:
        models = [model for model in self._loaded.values() if isinstance(model, GenerativeModel)]
        return [model.id for model in models if model.base == model_id]

    async def _load(self, model_id: str) -> Model:
        log.info("model_loading", model=model_id)
        began = time.monotonic()
        self._failed.pop(model_id, None)
        try:
            loader = self._loaders[model_id]
            if isinstance(loader, AdapterLoader):
                await self._ensure(loader.base)
                model: Model = await loader.load(self.generative(loader.base))
            else:
                model = await loader()
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
