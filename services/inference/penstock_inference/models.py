"""The models of this process: loaded and unloaded while others answer, found by id."""

import contextlib
import time
from collections.abc import Collection, Mapping
from functools import partial

from servicekit.errors import ServiceError, Unavailable
from servicekit.logging import get_logger
from servicekit.metrics import Metrics

from penstock_inference.catalog import AdapterLoader, Catalog, Load, Model, model_not_found
from penstock_inference.changes import Changes
from penstock_inference.embed import EmbeddingModel
from penstock_inference.generative_model import GenerativeModel
from penstock_inference.memory import MemoryBudget

log = get_logger(__name__)

_INFO_LABELS = ("model", "engine", "kind")


class Models:
    """Load models one after another, and give those that are there.

    Who hangs up while a model is loaded or unloaded has it done all the same, and nothing is held for nobody.
    """

    def __init__(
        self,
        loaders: Mapping[str, Load | AdapterLoader],
        memory: MemoryBudget,
        metrics: Metrics,
        *,
        at_start: Collection[str],
    ) -> None:
        """Name what can be loaded by id, and what of it is wanted from the start."""
        self._catalog = Catalog(loaders)
        self._memory = memory
        self._info = metrics.gauge("inference_model_info", "Models that are loaded.", _INFO_LABELS)
        self._wanted = [model_id for model_id in loaders if model_id in at_start]
        self._loaded: dict[str, Model] = {}
        self._failed: dict[str, str] = {}
        self._changes = Changes()

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
        return await self._changes.make(partial(self._ensure, model_id))

    async def load_adapter(self, model_id: str, loader: AdapterLoader) -> Model:
        """Load an adapter that the settings do not name, until it is unloaded; nothing is done if it is there.

        Raises:
            NotFound: there is no such base (MODEL_NOT_FOUND).
            AlreadyExists: the id is another model's (RESOURCE_EXISTS).
            ResourceExhausted, Unavailable: as above.
        """
        return await self._changes.make(partial(self._add_adapter, model_id, loader))

    async def unload_model(self, model_id: str, drain_seconds: float) -> None:
        """Take no more work for a model and for its adapters, let answers end, and free memory.

        Raises:
            NotFound: it is not loaded (MODEL_NOT_FOUND).
        """
        await self._changes.make(partial(self._unload_with_adapters, model_id, drain_seconds))

    def generative(self, model_id: str) -> GenerativeModel:
        """Give a model that answers.

        Raises:
            NotFound: there is none of this name (MODEL_NOT_FOUND).
            Unavailable: it is not loaded yet, or cannot be (DEPENDENCY_UNAVAILABLE).
        """
        model = self.find(model_id)
        if not isinstance(model, GenerativeModel):
            raise model_not_found(model_id)
        return model

    def embedding(self, model_id: str) -> EmbeddingModel:
        """Give a model that embeds. Raises as `generative` does."""
        model = self.find(model_id)
        if not isinstance(model, EmbeddingModel):
            raise model_not_found(model_id)
        return model

    def get(self, model_id: str) -> Model | None:
        """Give a model if it is loaded."""
        return self._loaded.get(model_id)

    def ids(self) -> list[str]:
        """Give the ids of all models that could be loaded."""
        return sorted(self._catalog.ids())

    def all(self) -> list[Model]:
        """Give the loaded models, by id."""
        return [model for _, model in sorted(self._loaded.items())]

    async def check(self) -> None:
        """Probe: raise Unavailable unless every wanted model is loaded and well."""
        for model_id in self._wanted:
            await self.find(model_id).check()

    async def close(self) -> None:
        """Stop all models, one that is still being loaded once it is."""
        await self._changes.end()
        for model in reversed(self._loaded.values()):  # adapters before their base
            await model.close()

    async def _ensure(self, model_id: str) -> Model:
        loader = self._catalog.loader(model_id)
        if model_id not in self._loaded:
            was_wanted = model_id in self._wanted
            if not was_wanted:
                self._wanted.append(model_id)
            try:
                model = self._loaded[model_id] = await self._load(model_id, loader)
            finally:
                if not was_wanted and model_id not in self._loaded:
                    self._wanted.remove(model_id)  # who asked is told, and we serve as before
            self._info.labels(model.id, model.engine, model.kind).set(1)
        return self._loaded[model_id]

    async def _add_adapter(self, model_id: str, loader: AdapterLoader) -> Model:
        self._catalog.add(model_id, loader)
        try:
            return await self._ensure(model_id)
        finally:
            if model_id not in self._loaded:
                self._catalog.forget(model_id)

    async def _unload_with_adapters(self, model_id: str, drain_seconds: float) -> None:
        if model_id not in self._loaded:
            raise model_not_found(model_id)
        for adapter_id in self._adapters_of(model_id):
            await self._unload(adapter_id, drain_seconds)
        await self._unload(model_id, drain_seconds)

    async def _unload(self, model_id: str, drain_seconds: float) -> None:
        model = self._loaded.pop(model_id)
        self._wanted.remove(model_id)
        self._info.remove(model.id, model.engine, model.kind)
        await model.drain(drain_seconds)
        await model.close()
        self._memory.release(model_id)
        self._catalog.forget(model_id)
        log.info("model_unloaded", model=model_id)

    def _adapters_of(self, model_id: str) -> list[str]:
        models = [model for model in self._loaded.values() if isinstance(model, GenerativeModel)]
        return [model.id for model in models if model.base == model_id]

    async def _load(self, model_id: str, loader: Load | AdapterLoader) -> Model:
        log.info("model_loading", model=model_id)
        began = time.monotonic()
        self._failed.pop(model_id, None)
        try:
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
            raise model_not_found(model_id)
        raise self._unavailable(model_id)

    def _unavailable(self, model_id: str) -> Unavailable:
        failure = self._failed.get(model_id)
        state = "is still loading" if failure is None else f"cannot be loaded: {failure}"
        return Unavailable(
            "DEPENDENCY_UNAVAILABLE", f"The model {model_id} {state}.", metadata={"dependency": model_id}
        )
