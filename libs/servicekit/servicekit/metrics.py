"""Prometheus collectors of one service: made once by name, never global."""

import asyncio
from collections.abc import Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

NAMESPACE = "penstock"
LAG_INTERVAL_SECONDS = 0.5
SECONDS_BUCKETS = (
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1,
    2.5,
    5,
    10,
    30,
    60,
    120,
)
ITEMS_BUCKETS = (1, 2, 4, 8, 16, 32, 64)

# A second series beside every counter that says when it was made: nobody asks for it.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """A registry whose collectors are asked for by name; asking twice gives the same one."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._collectors: dict[str, Counter | Gauge | Histogram] = {}

    def counter(self, name: str, documentation: str, labels: Sequence[str] = ()) -> Counter:
        """Give the counter `penstock_<name>`; name it `..._total`."""
        found = self._collectors.get(name)
        if found is None:
            found = Counter(name, documentation, labels, namespace=NAMESPACE, registry=self.registry)
            self._collectors[name] = found
        assert isinstance(found, Counter), name
        return found

    def gauge(self, name: str, documentation: str, labels: Sequence[str] = ()) -> Gauge:
        """Give the gauge `penstock_<name>`."""
        found = self._collectors.get(name)
        if found is None:
            found = Gauge(name, documentation, labels, namespace=NAMESPACE, registry=self.registry)
            self._collectors[name] = found
        assert isinstance(found, Gauge), name
        return found

    def histogram(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str] = (),
        buckets: Sequence[float] = SECONDS_BUCKETS,
    ) -> Histogram:
        """Give the histogram `penstock_<name>`."""
        found = self._collectors.get(name)
        if found is None:
            found = Histogram(
                name, documentation, labels, namespace=NAMESPACE, registry=self.registry, buckets=buckets
            )
            self._collectors[name] = found
        assert isinstance(found, Histogram), name
        return found

    def exposition(self) -> bytes:
        """Write everything in the Prometheus text format."""
        return generate_latest(self.registry)


async def watch_lag(metrics: Metrics) -> None:
    """Measure for ever how late the event loop wakes a sleeper: what every request waits on top."""
    lag = metrics.histogram("event_loop_lag_seconds", "How late the event loop runs what is due.")
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LAG_INTERVAL_SECONDS
        await asyncio.sleep(LAG_INTERVAL_SECONDS)
        lag.observe(max(0.0, loop.time() - due))
