"""Count and time RPCs. Labels are registered methods and gRPC codes only, so their number is bounded."""

import time

import grpc
from prometheus_client import Counter

from servicekit.metrics import Metrics


class MethodMetrics:
    """The collectors of one method, bound to their labels once."""

    def __init__(self, metrics: Metrics, method: str) -> None:
        self._method = method
        self._answered = metrics.counter("rpcs_total", "RPCs answered.", ["method", "code"])
        self._by_code: dict[grpc.StatusCode, Counter] = {}
        self._seconds = metrics.histogram("rpc_seconds", "Time to answer an RPC.", ["method"]).labels(method)
        self._in_flight = metrics.gauge("rpcs_in_flight", "RPCs being answered.", ["method"]).labels(method)

    def begin(self) -> float:
        """Count an RPC in and give the time it began."""
        self._in_flight.inc()
        return time.perf_counter()

    def end(self, began: float, code: grpc.StatusCode) -> None:
        """Count an RPC out."""
        self._in_flight.dec()
        self._seconds.observe(time.perf_counter() - began)
        counter = self._by_code.get(code)
        if counter is None:
            counter = self._by_code[code] = self._answered.labels(self._method, code.name)
        counter.inc()
