"""What our own engines produced, as their usage journal says: also for a process of theirs, or of ours, that died."""

from collections.abc import Mapping, Sequence

from penstock.billing.v1 import hold_pb2
from penstock.inference.v1 import inference_service_pb2
from servicekit.errors import NotFound, ServiceError

from penstock_router.catalog import Catalog, Target
from penstock_router.peers import InferencePeer

Produced = inference_service_pb2.AttemptUsage


class UsageJournal:
    """Looks operations up."""

    def __init__(self, inference: InferencePeer, catalog: Catalog) -> None:
        self._inference = inference
        self._targets: dict[str, Target] = {
            target.sku: target
            for model in catalog.models.values()
            for target in model.targets
            if catalog.endpoints[target.endpoint].kind == "inference"
        }

    def covers(self, sku: str) -> bool:
        """Tell whether what is priced as this is produced by our own engines."""
        return sku in self._targets

    def target(self, model: str, skus: Sequence[str]) -> Target | None:
        """Give the one of some targets that a model of our engines was reached by."""
        of_ours = (self._targets[sku] for sku in skus if sku in self._targets)
        return next((target for target in of_ours if target.model == model), None)

    async def read(self, operation_ids: Sequence[str]) -> Mapping[str, Sequence[Produced]]:
        """Give what the attempts at operations produced; nothing for those that no engine ever began.

        Raises:
            ServiceError: the journal cannot be asked now, or not about all of them.
        """
        found: dict[str, Sequence[Produced]] = {}
        for operation_id, result in zip(
            operation_ids, await self._inference.usage(operation_ids), strict=True
        ):
            if isinstance(result, NotFound):
                found[operation_id] = ()
            elif isinstance(result, ServiceError):
                raise result
            else:
                found[operation_id] = tuple(result.attempts)
        return found


def tokens_of(produced: Produced) -> hold_pb2.TokenUsage:
    """Write what was produced in billing's disjoint classes."""
    cached = min(produced.cached_prompt_tokens, produced.prompt_tokens)
    return hold_pb2.TokenUsage(
        input=produced.prompt_tokens - cached, cache_read=cached, output=produced.completion_tokens
    )
