"""The models of this process: loaded in the background, found by id."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from servicekit.errors import NotFound, Unavailable
from servicekit.logging import get_logger

from penstock_inference.batcher import Batcher
from penstock_inference.embed import EmbeddingModel
from penstock_inference.engines import EngineLimits
from penstock_inference.grammar import Grammars
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

    async def close(self) -> None:
        """Stop the batch loop and free the engine."""
        await asyncio.to_thread(self.batcher.close)
        self.grammars.close()


Model = GenerativeModel | EmbeddingModel
Load = Callable[[], Awaitable[Model]]


class Models:
    """Load models one after another, and give those that are there."""

    def __init__(self, loaders: dict[str, Load]) -> None:
        """Name the models by id, with what loads each."""
        self._loaders = loaders
        self._loaded: dict[str, Model] = {}
        self._failed: dict[str, str] = {}

    async def load(self) -> None:
        """Load everything. A model that cannot be loaded is logged and keeps the process from serving as a whole."""
        for model_id, loader in self._loaders.items():
            log.info("model_loading", model=model_id)
            began = time.monotonic()
            try:
                self._loaded[model_id] = await loader()
            except Exception as error:
                self._failed[model_id] = str(error)
                log.exception("model_load_failed", model=model_id)
            else:
                log.info("model_loaded", model=model_id, seconds=round(time.monotonic() - began, 3))

    def generative(self, model_id: str) -> GenerativeModel:
        """Give a model that answers.

        Raises:
            NotFound: there is none of this name (MODEL_NOT_FOUND).
            Unavailable: it is not loaded yet, or cannot be (DEPENDENCY_UNAVAILABLE).
        """
        model = self._find(model_id)
        if not isinstance(model, GenerativeModel):
            raise _not_found(model_id)
        return model

    def embedding(self, model_id: str) -> EmbeddingModel:
        """Give a model that embeds. Raises as `generative` does."""
        model = self._find(model_id)
        if not isinstance(model, EmbeddingModel):
            raise _not_found(model_id)
        return model

    def all(self) -> list[Model]:
        """Give the loaded models, by id."""
        return [model for _, model in sorted(self._loaded.items())]

    async def check(self) -> None:
        """Probe: raise Unavailable unless every model is loaded and well."""
        for model_id in self._loaders:
            await self._find(model_id).check()

    async def close(self) -> None:
        """Stop all models."""
        for model in self._loaded.values():
            await model.close()

    def _find(self, model_id: str) -> Model:
        if model_id in self._loaded:
            return self._loaded[model_id]
        if model_id not in self._loaders:
            raise _not_found(model_id)
        state = (
            f"cannot be loaded: {self._failed[model_id]}" if model_id in self._failed else "is still loading"
        )
        raise Unavailable(
            "DEPENDENCY_UNAVAILABLE", f"The model {model_id} {state}.", metadata={"dependency": model_id}
        )


def _not_found(model_id: str) -> NotFound:
    return NotFound("MODEL_NOT_FOUND", f"There is no model {model_id} here.", metadata={"model": model_id})
