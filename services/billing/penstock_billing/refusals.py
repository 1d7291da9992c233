"""Why billing refuses."""

from datetime import timedelta

from servicekit.errors import FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted, ServiceError

from penstock_billing.budget import Budget
from penstock_billing.clock import rfc3339
from penstock_billing.ledger import Hold
from penstock_billing.limit import Count, Limit, Unit

# A million dollars. Sums of thousands of such holds still fit into 64 bits.
HOLD_NANOS_MAX = 1_000_000 * 1_000_000_000


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
    """Say which budget is too small, what is left of it, what would have had to fit, and when spend starts anew."""
    metadata = {
        "budget": budget.name,
        "amount_nanos": str(budget.amount_nanos),
        "available_nanos": str(max(0, budget.available_nanos)),
        "needed_nanos": str(needed_nanos),
    }
    reset_us = budget.reset_us(now_us)
    if reset_us is not None:
        metadata["reset_time"] = rfc3339(reset_us)
    return ResourceExhausted(
        "BUDGET_EXCEEDED", "What this may cost does not fit into a budget.", metadata=metadata
    )


def limit_exceeded(limit: Limit, count: Count, units: int) -> ServiceError:
    """Say which limit is used up, its value, what is left, and when what was asked for will fit, if ever."""
    wait_ms = count.wait_ms(limit, units)
    metadata = {
        "limit": limit.name,
        "unit": limit.unit.name.lower(),
        "window_seconds": str(limit.window_ms // 1000),
        "value": str(limit.value),
        "remaining": str(count.room(limit)),
        "needed": str(units),
    }
    in_flight = limit.unit is Unit.IN_FLIGHT
    return ResourceExhausted(
        "CONCURRENCY_LIMIT_EXCEEDED" if in_flight else "RATE_LIMIT_EXCEEDED",
        "Too many operations run at once." if in_flight else "A rate limit is used up.",
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
