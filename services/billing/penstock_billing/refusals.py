"""Why billing refuses."""

from datetime import timedelta

from servicekit.errors import FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted, ServiceError

from penstock_billing.budget import Budget
from penstock_billing.clock import rfc3339
from penstock_billing.ledger import Hold
from penstock_billing.limit import Count, Limit, Unit
from penstock_billing.money_text import dollars

# A million dollars. Sums of thousands of such holds still fit into 64 bits.
HOLD_NANOS_MAX = 1_000_000 * 1_000_000_000

_COUNTED = {Unit.REQUESTS: "requests", Unit.TOKENS: "tokens", Unit.IN_FLIGHT: "in flight"}
_WINDOWS = {
    0: "",
    1_000: " per second",
    60_000: " per minute",
    3_600_000: " per hour",
    86_400_000: " per day",
}


def check_amount(nanos: int) -> None:
    """Refuse to set more aside for one operation than a million dollars (INVALID_ARGUMENT)."""
    if nanos > HOLD_NANOS_MAX:
        raise InvalidArgument(
            "INVALID_ARGUMENT",
            "One operation may cost at most a million dollars.",
            metadata={"needed_nanos": str(nanos)},
        )


def invalid(message: str, field: str, **metadata: str) -> ServiceError:
    """Say what is wrong with a request, and which field of it (INVALID_ARGUMENT)."""
    return InvalidArgument("INVALID_ARGUMENT", message, metadata={"field": field, **metadata})


def budget_exceeded(budget: Budget, needed_nanos: int, now_us: int) -> ServiceError:
    """Say which budget is too small, what is left of it, what would have had to fit, and when more may fit, if ever."""
    left_nanos = max(0, budget.available_nanos)
    metadata = {
        "budget": budget.name,
        "amount_nanos": str(budget.amount_nanos),
        "available_nanos": str(left_nanos),
        "needed_nanos": str(needed_nanos),
    }
    message = (
        f"Budget {budget.budget_id} of ${dollars(budget.amount_nanos)} has ${dollars(left_nanos)} left, "
        f"and this may cost ${dollars(needed_nanos)}."
    )
    reset_us = budget.reset_us(now_us) if needed_nanos <= budget.amount_nanos else None
    if reset_us is None:
        return ResourceExhausted("BUDGET_EXCEEDED", message, metadata=metadata)
    return ResourceExhausted(
        "BUDGET_EXCEEDED",
        f"{message} There is more at {rfc3339(reset_us)}.",
        metadata={**metadata, "reset_time": rfc3339(reset_us)},
        retry_after=timedelta(microseconds=max(0, reset_us - now_us)),
    )


def limit_exceeded(limit: Limit, count: Count, units: int) -> ServiceError:
    """Say which limit is used up, its value, what is left, and when what was asked for will fit, if ever."""
    wait_ms = count.wait_ms(limit, units)
    left = count.room(limit)
    metadata = {
        "limit": limit.name,
        "unit": limit.unit.name.lower(),
        "window_seconds": str(limit.window_ms // 1000),
        "value": str(limit.value),
        "remaining": str(left),
        "needed": str(units),
    }
    advice = (
        "More than it has is never admitted." if wait_ms is None else f"Retry in {-(-wait_ms // 1000)} s."
    )
    return ResourceExhausted(
        "CONCURRENCY_LIMIT_EXCEEDED" if limit.unit is Unit.IN_FLIGHT else "RATE_LIMIT_EXCEEDED",
        f"Limit {limit.limit_id} of {limit.value} {_COUNTED[limit.unit]}{_WINDOWS[limit.window_ms]} has {left} left, "
        f"and this needs {units}. {advice}",
        metadata=metadata,
        retry_after=None if wait_ms is None else timedelta(milliseconds=wait_ms),
    )


def reused(hold: Hold) -> ServiceError:
    """Say that the operation is known with another body."""
    return FailedPrecondition(
        "REQUEST_ID_REUSED",
        "The operation was recorded with another body.",
        metadata={"request_id": hold.operation_id},
    )


def not_open(hold: Hold) -> ServiceError:
    """Say that the hold is closed, and how."""
    return FailedPrecondition(
        "HOLD_NOT_OPEN",
        f"The hold is {hold.state.name.lower()}.",
        metadata={"hold": hold.operation_id, "state": hold.state.name},
    )


def no_such_hold(organization: str, operation_id: str) -> ServiceError:
    """Say that the operation is not known."""
    name = f"organizations/{organization}/holds/{operation_id}"
    return NotFound("RESOURCE_NOT_FOUND", "There is no such hold.", metadata={"name": name})
