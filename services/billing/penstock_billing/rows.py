"""Values as rows of the store and back. A usage line needs none of this: its fields are its columns."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from penstock_billing.budget import Budget, Period
from penstock_billing.ledger import Entry, Hold, HoldState, Payer
from penstock_billing.prices import Prices

HOLD_CHANGES = ("state", "amount_nanos", "expire_us", "usage_hash", "cost_nanos", "late")
BUDGET_CHANGES = ("period_start_us", "spent_nanos", "held_nanos")


def read_budget(row: Sequence[Any]) -> Budget:
    """Read a row of the budgets."""
    organization, budget_id, subject, display_name, amount_nanos, period, *counters = row
    return Budget(organization, budget_id, subject, display_name, amount_nanos, Period(period), *counters)


def read_hold(row: Sequence[Any]) -> Hold:
    """Read a row of the holds."""
    (
        operation_id,
        organization,
        user,
        team,
        api_key,
        state,
        amount_nanos,
        create_us,
        expire_us,
        max_tokens,
        clamped,
        prices,
        *recorded,
    ) = row
    payer = Payer(organization, user, team, api_key)
    standing = (HoldState(state), amount_nanos, create_us, expire_us)
    return Hold(operation_id, payer, *standing, max_tokens, clamped, _read_prices(prices), *recorded)


def hold_row(hold: Hold) -> dict[str, Any]:
    """Write a new hold."""
    return {
        "operation_id": hold.operation_id,
        "organization": hold.payer.organization,
        "user_id": hold.payer.user,
        "team_id": hold.payer.team,
        "api_key_id": hold.payer.api_key,
        "state": hold.state.value,
        "amount_nanos": hold.amount_nanos,
        "create_us": hold.create_us,
        "expire_us": hold.expire_us,
        "max_tokens": hold.max_tokens,
        "clamped": hold.clamped,
        "prices": _write_prices(hold.prices),
        "request_hash": hold.request_hash,
        "usage_hash": hold.usage_hash,
        "cost_nanos": hold.cost_nanos,
        "late": hold.late,
    }


def hold_change(hold: Hold) -> dict[str, Any]:
    """Write what can change of a hold, under its key."""
    return {
        "b_operation_id": hold.operation_id,
        "b_organization": hold.payer.organization,
        "state": hold.state.value,
        "amount_nanos": hold.amount_nanos,
        "expire_us": hold.expire_us,
        "usage_hash": hold.usage_hash,
        "cost_nanos": hold.cost_nanos,
        "late": hold.late,
    }


def entry_row(entry: Entry) -> dict[str, Any]:
    """Write an entry."""
    return {
        "organization": entry.organization,
        "operation_id": entry.operation_id,
        "kind": entry.kind.value,
        "available_nanos": entry.available_nanos,
        "held_nanos": entry.held_nanos,
        "revenue_nanos": entry.revenue_nanos,
        "post_us": entry.post_us,
    }


def budget_change(budget: Budget) -> dict[str, Any]:
    """Write the counters of a budget, under its key."""
    return {
        "b_organization": budget.organization,
        "b_budget_id": budget.budget_id,
        "period_start_us": budget.period_start_us,
        "spent_nanos": budget.spent_nanos,
        "held_nanos": budget.held_nanos,
    }


@lru_cache(maxsize=4096)
def _write_prices(prices: tuple[Prices, ...]) -> str:
    return json.dumps([asdict(price) for price in prices])


@lru_cache(maxsize=4096)
def _read_prices(text: str) -> tuple[Prices, ...]:
    return tuple(Prices(**price) for price in json.loads(text))
