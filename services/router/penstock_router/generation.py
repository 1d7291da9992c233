"""Generating with fallback: endpoints are tried in order until one begins to answer; after that a fault is a fault."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from penstock.billing.v1 import hold_pb2
from servicekit.errors import InvalidArgument, ServiceError, Unavailable
from servicekit.logging import get_logger
from servicekit.metrics import Metrics

from penstock_router.attempt import Attempt
from penstock_router.breaker import Breaker
from penstock_router.operation import Operation
from penstock_router.providers import Event, GenerationCall, Provider, ProviderFailedError
from penstock_router.routing import Router, no_endpoint
from penstock_router.settings import RouterSettings

log = get_logger(__name__)


class Generation:
    """Runs the attempts of operations."""

    def __init__(self, router: Router, settings: RouterSettings, metrics: Metrics) -> None:
        self._router = router
        self._settings = settings
        self._attempts = metrics.counter("attempts_total", "Tries at answering.", ["endpoint", "outcome"])
        self._first = metrics.histogram(
            "time_to_first_token_seconds", "Until an endpoint began to answer.", ["model"]
        )

    async def events(self, operation: Operation, call: GenerationCall) -> AsyncGenerator[Event]:
        """Give the events of the first endpoint that answers.

        Raises:
            Unavailable: every endpoint failed (PROVIDER_UNAVAILABLE), or one that had begun (STREAM_INTERRUPTED).
            ServiceError: the request itself cannot be answered.
        """
        failure: ProviderFailedError | None = None
        for target, breaker in self._router.admitted(operation.targets):
            attempt = operation.begin_attempt(target)
            mine = call.at(target, attempt.number)
            try:
                async with aclosing(self._attempt(operation, attempt, breaker, mine)) as events:
                    async for event in events:
                        yield event
            except ProviderFailedError as error:
                log.warning(
                    "attempt_failed", endpoint=target.endpoint, attempt=attempt.number, error=str(error)
                )
                if attempt.answering:
                    raise interrupted() from error
                failure = error
            else:
                return
        if failure is not None and failure.refusal is not None:
            raise failure.refusal
        raise no_endpoint(operation.model, len(operation.attempts)) from failure

    async def account(self, operation: Operation) -> None:
        """Ask endpoints what their broken attempts did produce, so that it is charged, no more and no less.

        One that cannot tell now is asked again before the settlement is posted.
        """
        for attempt in operation.attempts:
            if attempt.estimated and attempt.call is not None:
                try:
                    usage = await self._router.provider(attempt.target).usage(attempt.call)
                except ServiceError as error:
                    log.info("usage_asked_later", endpoint=attempt.target.endpoint, reason=error.reason)
                    attempt.doubtful = True
                else:
                    if usage is not None:
                        attempt.report(usage)

    async def _attempt(
        self, operation: Operation, attempt: Attempt, breaker: Breaker, call: GenerationCall
    ) -> AsyncGenerator[Event]:
        attempt.call = call
        began = time.monotonic()
        try:
            provider = self._router.provider(call.target)
            # An answer that comes whole may take its request's whole time, which its provider keeps.
            events_of = self._timed(provider, call) if call.streaming else provider.generate(call)
            async with aclosing(events_of) as events:
                async for event in events:
                    if not attempt.answering:
                        attempt.observe(event)
                        if attempt.answering:
                            self._first.labels(operation.model.id).observe(time.monotonic() - began)
                    else:
                        attempt.observe(event)
                    yield event
            _check_whole(attempt, call)
            attempt.outcome = hold_pb2.ATTEMPT_OUTCOME_SUCCEEDED
            breaker.succeeded()
        except ProviderFailedError as error:
            if error.refusal is None:
                breaker.failed(time.monotonic())
            else:
                breaker.gave_up()
            raise
        except ServiceError as error:
            breaker.succeeded()
            if isinstance(error, InvalidArgument) and not attempt.answering:
                attempt.used_nothing()
            raise
        except (asyncio.CancelledError, GeneratorExit):
            attempt.outcome = hold_pb2.ATTEMPT_OUTCOME_CANCELLED
            breaker.gave_up()
            raise
        finally:
            outcome = hold_pb2.AttemptOutcome.Name(attempt.outcome)
            self._attempts.labels(call.target.endpoint, outcome.removeprefix("ATTEMPT_OUTCOME_")).inc()

    async def _timed(self, provider: Provider, call: GenerationCall) -> AsyncGenerator[Event]:
        """Bound the wait for each event of a stream."""
        seconds = self._settings.first_token_seconds_max
        async with aclosing(provider.generate(call)) as events:
            while True:
                try:
                    async with asyncio.timeout(seconds):
                        event = await anext(events)
                except StopAsyncIteration:
                    return
                except TimeoutError as error:
                    raise ProviderFailedError(f"no event within {seconds} s") from error
                yield event
                seconds = self._settings.next_token_seconds_max


def interrupted() -> Unavailable:
    """Say that what came is not whole."""
    return Unavailable(
        "STREAM_INTERRUPTED", "The answer broke off after its first part; what came is not whole."
    )


def _check_whole(attempt: Attempt, call: GenerationCall) -> None:
    """A stream that just stops is a fault, however cleanly it was closed."""
    if len(attempt.finished) != call.answers:
        raise ProviderFailedError(f"{len(attempt.finished)} of {call.answers} answers came to an end")
