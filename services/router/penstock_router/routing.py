"""Where a request may go: the model's endpoints in order, without those that are down or not private enough."""

import time
from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta

from servicekit.errors import PermissionDenied, Unavailable

from penstock_router.breaker import OPEN_SECONDS, Breaker
from penstock_router.catalog import Catalog, Model, Target
from penstock_router.providers import Provider


class Router:
    """Endpoints with their providers and breakers."""

    def __init__(self, catalog: Catalog, providers: Mapping[str, Provider]) -> None:
        self.catalog = catalog
        self._providers = providers
        self._breakers = {name: Breaker() for name in providers}

    def provider(self, target: Target) -> Provider:
        """Give what generates at a target."""
        return self._providers[target.endpoint]

    def eligible(self, model: Model, *, private_only: bool, regions: Collection[str] = ()) -> list[Target]:
        """Give the targets that may serve, in the order they are tried: private ones only, those in some regions only.

        Raises:
            PermissionDenied: none may (CONTENT_REFUSED).
        """
        endpoints = self.catalog.endpoints
        targets = [
            target
            for target in model.targets
            if (not private_only or endpoints[target.endpoint].private)
            and (not regions or endpoints[target.endpoint].region in regions)
        ]
        if not targets:
            raise _nowhere(model, regions, private_only=private_only)
        return targets

    def admitted(self, targets: list[Target]) -> Iterator[tuple[Target, Breaker]]:
        """Walk the targets whose breaker lets a request through now."""
        for target in targets:
            breaker = self._breakers[target.endpoint]
            if breaker.allows(time.monotonic()):
                yield target, breaker


def _nowhere(model: Model, regions: Collection[str], *, private_only: bool) -> PermissionDenied:
    """Say that the guardrail lets a text go to no endpoint of a model: no retry helps."""
    private, where = "private " * private_only, f" in {', '.join(regions)}" if regions else ""
    return PermissionDenied(
        "CONTENT_REFUSED",
        f"The guardrail lets this text go to {private}endpoints{where} only, and {model.id} has none.",
        metadata={"model": model.id},
    )


def no_endpoint(model: Model, attempts: int) -> Unavailable:
    """Say that no endpoint could answer."""
    return Unavailable(
        "PROVIDER_UNAVAILABLE",
        f"No endpoint of {model.id} could answer; retry.",
        metadata={"model": model.id, "attempts": str(attempts)},
        retry_after=timedelta(seconds=OPEN_SECONDS),
    )
