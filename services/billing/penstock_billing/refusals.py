"""Why billing refuses."""

from servicekit.errors import FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted, ServiceError

from penstock_billing.budget import Budget
from penstock_billing.ledger import Hold

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


def budget_exceeded(budget: Budget, needed_nanos: int) -> ServiceError:
    """Say which budget is too small, what is left of it, and the least that would have had to fit."""
    return ResourceExhausted(
        "BUDGET_EXCEEDED",
        "What this may cost does not fit into a budget.",
        metadata={
            "budget": budget.name,
            "available_nanos": str(max(0, budget.available_nanos)),
            "needed_nanos": str(needed_nanos),
        },
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
