"""Wire messages to limits and back."""

from typing import cast

from penstock.billing.v1 import limit_pb2, limit_service_pb2

from penstock_billing.clock import to_timestamp
from penstock_billing.limit import Count, Limit, Scope, Unit
from penstock_billing.resources import changed, read_name, read_parent, refuse_nul

WINDOWS_MS = {
    limit_pb2.LIMIT_WINDOW_UNSPECIFIED: 0,
    limit_pb2.LIMIT_WINDOW_SECOND: 1000,
    limit_pb2.LIMIT_WINDOW_MINUTE: 60 * 1000,
    limit_pb2.LIMIT_WINDOW_HOUR: 3600 * 1000,
    limit_pb2.LIMIT_WINDOW_DAY: 86_400 * 1000,
}
_WINDOWS = {window_ms: window for window, window_ms in WINDOWS_MS.items()}
_CHANGEABLE = ("display_name", "value")
_TEXTS = ("display_name", "subject", "model", "tier")


def read_limit_name(name: str) -> tuple[str, str]:
    """Read "organizations/{organization}/limits/{limit}" to both ids."""
    return read_name(name, "limits", "limit.name")


def read_new_limit(request: limit_service_pb2.CreateLimitRequest, now_us: int) -> Limit:
    """Read a limit to make; the contract's rules have checked what belongs together."""
    limit = request.limit
    refuse_nul(limit, _TEXTS, "limit")
    return Limit(
        organization=read_parent(request.parent),
        limit_id=request.limit_id,
        display_name=limit.display_name,
        unit=Unit(limit.unit),
        window_ms=WINDOWS_MS[limit.window],
        value=limit.value,
        scope=Scope(limit.scope),
        subject=limit.subject,
        model=limit.model,
        tier=limit.tier,
        create_us=now_us,
    )


def read_limit_changes(request: limit_service_pb2.UpdateLimitRequest) -> dict[str, str | int]:
    """Read what to change: the fields of the mask, or without one those that are set (AIP-134)."""
    refuse_nul(request.limit, _TEXTS, "limit")
    return changed(request.limit, request.update_mask.paths, _CHANGEABLE)


def write_limit(limit: Limit, fullest: Count) -> limit_pb2.Limit:
    """Write a limit, and what is left in the fullest of its counts."""
    return limit_pb2.Limit(
        name=limit.name,
        display_name=limit.display_name,
        unit=cast("limit_pb2.LimitUnit", limit.unit.value),
        window=_WINDOWS[limit.window_ms],
        value=limit.value,
        scope=cast("limit_pb2.LimitScope", limit.scope.value),
        subject=limit.subject,
        model=limit.model,
        tier=limit.tier,
        create_time=to_timestamp(limit.create_us),
        remaining=fullest.room(limit),
        tightest=fullest.key.removeprefix(f"{limit.prefix}/"),
    )
