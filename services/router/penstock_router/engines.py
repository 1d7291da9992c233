"""Which engines of ours run the models of the catalog."""

from collections.abc import Mapping

from penstock.inference.v1 import inference_service_pb2
from servicekit.errors import ServiceError
from servicekit.logging import get_logger

from penstock_router.catalog import Catalog
from penstock_router.peers import InferencePeer

log = get_logger(__name__)


class Engines:
    """Asks inference what it has loaded."""

    def __init__(self, catalog: Catalog, inference: InferencePeer) -> None:
        self._inference = inference
        self._names = {  # of the first target of each model that is our own
            model.id: target.model
            for model in catalog.models.values()
            for target in reversed(model.targets)
            if catalog.endpoints[target.endpoint].kind == "inference"
        }

    async def loaded(self) -> Mapping[str, inference_service_pb2.LoadedModel]:
        """Give what is loaded, by the catalog's ids; nothing while inference does not answer."""
        try:
            loaded = {model.id: model for model in await self._inference.loaded_models()}
        except ServiceError as error:
            log.warning("engines_unknown", reason=error.reason)
            return {}
        return {model_id: loaded[name] for model_id, name in self._names.items() if name in loaded}
