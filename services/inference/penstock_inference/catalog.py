"""What can be loaded: what the settings name, and adapters that came later."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from servicekit.errors import AlreadyExists, NotFound

from penstock_inference.embed import EmbeddingModel
from penstock_inference.generative_model import GenerativeModel

Model = GenerativeModel | EmbeddingModel
Load = Callable[[], Awaitable[Model]]


@dataclass(frozen=True, slots=True)
class AdapterLoader:
    """What loads an adapter onto its base."""

    base: str
    reference: str  # where it is
    load: Callable[[GenerativeModel], Awaitable[GenerativeModel]]


class Catalog:
    """Give what loads a model, by its id."""

    def __init__(self, configured: Mapping[str, Load | AdapterLoader]) -> None:
        self._configured = configured
        self._added: dict[str, AdapterLoader] = {}

    def ids(self) -> list[str]:
        """Give all ids."""
        return [*self._configured, *self._added]

    def loader(self, model_id: str) -> Load | AdapterLoader:
        """Give what loads a model. Raises NotFound (MODEL_NOT_FOUND)."""
        found = self._configured.get(model_id) or self._added.get(model_id)
        if found is None:
            raise model_not_found(model_id)
        return found

    def add(self, model_id: str, adapter: AdapterLoader) -> None:
        """Add an adapter; nothing is done if it is there.

        Raises:
            NotFound: there is no such base (MODEL_NOT_FOUND).
            AlreadyExists: the id is another model's (RESOURCE_EXISTS).
        """
        if isinstance(self.loader(adapter.base), AdapterLoader):
            raise model_not_found(adapter.base)
        known = self._configured.get(model_id) or self._added.setdefault(model_id, adapter)
        if not isinstance(known, AdapterLoader) or (known.base, known.reference) != (
            adapter.base,
            adapter.reference,
        ):
            raise AlreadyExists(
                "RESOURCE_EXISTS", f"{model_id} is another model here.", metadata={"name": model_id}
            )

    def forget(self, model_id: str) -> None:
        """Remove what was added."""
        self._added.pop(model_id, None)


def model_not_found(model_id: str) -> NotFound:
    """Say that there is no such model."""
    return NotFound("MODEL_NOT_FOUND", f"There is no model {model_id} here.", metadata={"model": model_id})
