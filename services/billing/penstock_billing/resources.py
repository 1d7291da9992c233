"""Wire messages to values and back: budgets, usage, and the names of things (AIP-122)."""

from collections.abc import Sequence
from typing import Any, cast

from penstock.billing.v1 import budget_pb2, budget_service_pb2, hold_pb2, usage_pb2
from servicekit.errors import InvalidArgument

from penstock_billing.budget import Budget, Enforcement, Period, Subject
from penstock_billing.clock import rfc3339, to_timestamp
from penstock_billing.usage import POSTING_LINES, UsageLine

NAME_PARTS = 4

# What UpdateBudget may change: the contract's fields to ours.
_CHANGEABLE = ("display_name", "amount_nanos", "enforcement")
_TEXTS = ("display_name", "user", "team", "api_key")


def read_parent(parent: str) -> str:
    """Read "organizations/{organization}"; the contract's rules have checked its form."""
    return parent.removeprefix("organizations/")


def read_name(name: str, collection: str, field: str) -> tuple[str, str]:
    """Read "organizations/{organization}/{collection}/{id}" to both ids."""
    parts = name.split("/")
    if len(parts) != NAME_PARTS or parts[::2] != ["organizations", collection]:
        raise InvalidArgument("INVALID_ARGUMENT", f"Not a name of {collection}.", metadata={"field": field})
    return parts[1], parts[3]


def read_budget_name(name: str) -> tuple[str, str]:
    """Read "organizations/{organization}/budgets/{budget}" to both ids."""
    return read_name(name, "budgets", "budget.name")


def read_new_budget(request: budget_service_pb2.CreateBudgetRequest, now_us: int) -> Budget:
    """Read a budget to make."""
    organization, budget = read_parent(request.parent), request.budget
    refuse_nul(budget, _TEXTS, "budget")
    kind = budget.WhichOneof("subject")
    subject = Subject(organization, kind, getattr(budget, kind)) if kind else Subject(organization)
    period = Period(budget.period)
    return Budget(
        organization=organization,
        budget_id=request.budget_id,
        subject=subject.path,
        display_name=budget.display_name,
        amount_nanos=budget.amount_nanos,
        period=period,
        create_us=now_us,
        period_start_us=period.start_us(now_us),
        spent_nanos=0,
        held_nanos=0,
        enforcement=Enforcement(budget.enforcement),
    )


def read_changes(request: budget_service_pb2.UpdateBudgetRequest) -> dict[str, str | int]:
    """Read what to change: the fields of the mask, or without one those that are set (AIP-134)."""
    refuse_nul(request.budget, _TEXTS, "budget")
    return changed(request.budget, request.update_mask.paths, _CHANGEABLE)


def changed(message: Any, paths: Sequence[str], changeable: Sequence[str]) -> dict[str, str | int]:
    """Read fields to change: those of the mask, or without one those that are set (AIP-134)."""
    for path in paths:
        if path not in changeable:
            raise InvalidArgument(
                "INVALID_ARGUMENT", f"{path!r} cannot be changed.", metadata={"field": "update_mask"}
            )
    values = {field: getattr(message, field) for field in changeable}
    return {field: value for field, value in values.items() if (field in paths if paths else value)}


def refuse_nul(message: Any, fields: Sequence[str], of: str) -> None:
    """Refuse texts that PostgreSQL cannot keep."""
    for field in fields:
        if "\0" in getattr(message, field):
            raise InvalidArgument("INVALID_ARGUMENT", "A NUL in a text.", metadata={"field": f"{of}.{field}"})


def write_budget(budget: Budget, now_us: int) -> budget_pb2.Budget:
    """Write a budget as it stands now: a period that began meanwhile has no spend yet."""
    budget.roll(now_us)
    subject = Subject.parse(budget.subject)
    message = budget_pb2.Budget(
        name=budget.name,
        display_name=budget.display_name,
        amount_nanos=budget.amount_nanos,
        period=cast("budget_pb2.BudgetPeriod", budget.period.value),
        spent_nanos=budget.spent_nanos,
        held_nanos=budget.held_nanos,
        create_time=to_timestamp(budget.create_us),
        enforcement=cast("budget_pb2.BudgetEnforcement", budget.enforcement.value),
    )
    if budget.period_start_us:
        message.period_start_time.CopyFrom(to_timestamp(budget.period_start_us))
    if subject.kind:
        setattr(message, subject.kind, subject.id)
    return message


def write_usage_row(row: Sequence[Any], group_by: Sequence[int]) -> usage_pb2.UsageRow:
    """Write sums of usage."""
    group, sums = row[: len(group_by)], row[len(group_by) :]
    operations, attempts, tokens_input, cache_read, cache_write, output, reasoning, cost, avoided = sums
    return usage_pb2.UsageRow(
        group=[_group_value(value, dimension) for value, dimension in zip(group, group_by, strict=True)],
        operations=operations,
        attempts=attempts,
        tokens=usage_pb2.TokenTotals(
            input=tokens_input,
            cache_read=cache_read,
            cache_write=cache_write,
            output=output,
            reasoning=reasoning,
        ),
        cost_nanos=cost,
        avoided_cost_nanos=avoided,
    )


def write_usage_record(line: UsageLine) -> usage_pb2.UsageRecord:
    """Write one line."""
    return usage_pb2.UsageRecord(
        operation_id=line.operation_id,
        attempt=line.attempt % POSTING_LINES,
        organization=line.organization,
        user=line.user_id,
        team=line.team_id,
        api_key=line.api_key_id,
        model=line.model,
        sku=line.sku,
        endpoint=line.endpoint,
        operation=line.operation,
        tokens=hold_pb2.TokenUsage(
            input=abs(line.input_tokens),
            cache_read=abs(line.cache_read_tokens),
            cache_write=abs(line.cache_write_tokens),
            output=abs(line.output_tokens),
            reasoning=abs(line.reasoning_tokens),
        ),
        cost_nanos=line.cost_nanos,
        avoided_cost_nanos=line.avoided_cost_nanos,
        outcome=cast("hold_pb2.AttemptOutcome", line.outcome),
        estimated=line.estimated,
        late=line.late,
        end_time=to_timestamp(line.end_us),
        book_version=line.book_version,
        metadata=line.metadata,
        correction=(line.posting + 1) // 2,
        reversal=line.is_reversal,
    )


def _group_value(value: Any, dimension: int) -> str:
    if dimension in (usage_pb2.USAGE_DIMENSION_HOUR, usage_pb2.USAGE_DIMENSION_DAY):
        return rfc3339(value)
    if dimension == usage_pb2.USAGE_DIMENSION_OUTCOME:
        return hold_pb2.AttemptOutcome.Name(value)
    return str(value)
