"""Values as rows of the store and back: tuples in the order of the columns named here."""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from penstock_billing.budget import Budget, Enforcement, Period
from penstock_billing.ledger import Entry, Hold, HoldState, Payer, Taking
from penstock_billing.limit import Limit, Scope, Unit
from penstock_billing.prices import Prices
from penstock_billing.usage import UsageLine

_PAYER = ("organization", "user_id", "team_id", "api_key_id")
HOLD_CHANGES = (
    "state",
    "amount_nanos",
    "expire_us",
    "max_tokens",
    "takings",
    "usage_hash",
    "cost_nanos",
    "late",
)
_HOLD_FIXED = (
    "create_us",
    "clamped",
    "prices",
    "request_hash",
    "prompt_tokens",
    "answers",
    "model",
    "holder",
)

HOLD = ("operation_id", *_PAYER, *HOLD_CHANGES, *_HOLD_FIXED)
ENTRY = tuple(Entry.__dataclass_fields__)
USAGE_LINE = tuple(UsageLine._fields)
BUDGET = tuple(Budget.__dataclass_fields__)
BUDGET_CHANGES = ("organization", "budget_id", "period_start_us", "spent_nanos", "held_nanos", "slices")
LIMIT = tuple(Limit.__dataclass_fields__)
COUNT = ("key", "level", "at_ms")


def read_budget(row: Sequence[Any]) -> Budget:
    """Read a row of the budgets."""
    organization, budget_id, subject, display_name, amount_nanos, period, create_us, *counters = row
    start_us, spent_nanos, held_nanos, slices, enforcement = counters
    return Budget(
        organization,
        budget_id,
        subject,
        display_name,
        amount_nanos,
        Period(period),
        create_us,
        start_us,
        spent_nanos,
        held_nanos,
        _read_slices(slices),
        Enforcement(enforcement),
    )


def budget_row(budget: Budget) -> dict[str, Any]:
    """Write a new budget, by the names of its columns."""
    values = {name: getattr(budget, name) for name in BUDGET}
    return values | {
        "period": budget.period.value,
        "enforcement": budget.enforcement.value,
        "slices": _write_slices(budget.slices),
    }


def budget_change(budget: Budget) -> tuple[Any, ...]:
    """Write the counters of a budget, and its key last."""
    slices = _write_slices(budget.slices)
    counters = (budget.period_start_us, budget.spent_nanos, budget.held_nanos, slices)
    return (*counters, budget.organization, budget.budget_id)


def read_limit(row: Sequence[Any]) -> Limit:
    """Read a row of the limits."""
    organization, limit_id, display_name, unit, window_ms, value, scope, *matching = row
    return Limit(organization, limit_id, display_name, Unit(unit), window_ms, value, Scope(scope), *matching)


def limit_row(limit: Limit) -> dict[str, Any]:
    """Write a new limit, by the names of its columns."""
    values = {name: getattr(limit, name) for name in LIMIT}
    return values | {"unit": limit.unit.value, "scope": limit.scope.value}


def read_hold(row: Sequence[Any]) -> Hold:
    """Read a row of the holds."""
    operation_id, organization, user, team, api_key, *changing_and_fixed = row
    changing, fixed = changing_and_fixed[: len(HOLD_CHANGES)], changing_and_fixed[len(HOLD_CHANGES) :]
    state, amount_nanos, expire_us, max_tokens, takings, usage_hash, cost_nanos, late = changing
    create_us, clamped, prices, request_hash, prompt_tokens, answers, model, holder = fixed
    return Hold(
        operation_id,
        Payer(organization, user, team, api_key),
        HoldState(state),
        amount_nanos,
        create_us,
        expire_us,
        max_tokens,
        bool(clamped),
        _read_prices(prices),
        request_hash,
        usage_hash,
        cost_nanos,
        bool(late),
        prompt_tokens,
        answers,
        _read_takings(takings),
        model,
        holder,
    )


def hold_row(hold: Hold) -> tuple[Any, ...]:
    """Write a new hold."""
    return (
        hold.operation_id,
        *hold.payer,
        *_hold_changes(hold),
        hold.create_us,
        hold.clamped,
        _write_prices(hold.prices),
        hold.request_hash,
        hold.prompt_tokens,
        hold.answers,
        hold.model,
        hold.holder,
    )


def hold_change(hold: Hold) -> tuple[Any, ...]:
    """Write what may change of a hold, and its key last."""
    return (*_hold_changes(hold), hold.operation_id, hold.payer.organization)


def entry_row(entry: Entry) -> tuple[Any, ...]:
    """Write an entry."""
    return (
        entry.organization,
        entry.operation_id,
        entry.kind.value,
        entry.available_nanos,
        entry.held_nanos,
        entry.revenue_nanos,
        entry.post_us,
    )


def usage_row(line: UsageLine) -> tuple[Any, ...]:
    """Write a usage line; its fields are its columns, and labels, the last of them, are JSON."""
    *values, metadata = line
    return (*values, json.dumps(metadata) if metadata else "{}")


def _hold_changes(hold: Hold) -> tuple[Any, ...]:
    return (
        hold.state.value,
        hold.amount_nanos,
        hold.expire_us,
        hold.max_tokens,
        _write_takings(hold.takings) if hold.takings else "",
        hold.usage_hash,
        hold.cost_nanos,
        hold.late,
    )


def _read_takings(text: str) -> tuple[Taking, ...]:
    return tuple(Taking(*taking) for taking in json.loads(text)) if text else ()


def _write_takings(takings: tuple[Taking, ...]) -> str:
    return json.dumps([(taking.key, taking.units, taking.at_ms) for taking in takings], separators=(",", ":"))


def _read_slices(text: str) -> dict[int, int]:
    return dict(json.loads(text)) if text else {}


def _write_slices(slices: dict[int, int]) -> str:
    return json.dumps(sorted(slices.items()), separators=(",", ":")) if slices else ""


@lru_cache(maxsize=4096)
def _write_prices(prices: tuple[Prices, ...]) -> str:
    return json.dumps([price._asdict() for price in prices])


@lru_cache(maxsize=4096)
def _read_prices(text: str) -> tuple[Prices, ...]:
    return tuple(Prices(**price) for price in json.loads(text))
