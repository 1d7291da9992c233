"""Budgets in the database."""

from typing import Any

from servicekit.errors import AlreadyExists, InvalidArgument, NotFound, ServiceError
from sqlalchemy import Connection, Select, delete, func, insert, select, update

from penstock_billing.budget import Budget, Subject
from penstock_billing.rollup_store import sum_spend
from penstock_billing.rows import BUDGET, budget_row, read_budget
from penstock_billing.store import lock
from penstock_billing.tables import budgets, hold_is_open, holds

_COLUMNS = [budgets.c[name] for name in BUDGET]

# Admission reads every budget of a subject, so their number is bounded.
SUBJECT_BUDGETS_MAX = 16


def create_budget(connection: Connection, budget: Budget) -> Budget:
    """Make a budget; what its subject spent in the current period and holds now counts.

    Raises:
        AlreadyExists: there is one of that name (RESOURCE_EXISTS).
        InvalidArgument: the subject has 16 budgets already (INVALID_ARGUMENT).
    """
    lock(connection, {budget.organization})
    if connection.execute(_one(budget.organization, budget.budget_id)).first():
        raise AlreadyExists("RESOURCE_EXISTS", "There is such a budget.", metadata={"name": budget.name})
    of_subject = select(func.count()).select_from(budgets).where(budgets.c.subject == budget.subject)
    if connection.execute(of_subject).scalar_one() >= SUBJECT_BUDGETS_MAX:
        raise InvalidArgument(
            "INVALID_ARGUMENT",
            f"A subject has at most {SUBJECT_BUDGETS_MAX} budgets.",
            metadata={"field": "budget.subject"},
        )
    budget.slices = count_slices(connection, budget)
    budget.spent_nanos = count_spent(connection, budget)
    budget.held_nanos = count_held(connection, budget)
    connection.execute(insert(budgets), budget_row(budget))
    return budget


def get_budget(connection: Connection, organization: str, budget_id: str) -> Budget:
    """Read a budget.

    Raises:
        NotFound: there is none of that name (RESOURCE_NOT_FOUND).
    """
    row = connection.execute(_one(organization, budget_id)).first()
    if row is None:
        raise _not_found(organization, budget_id)
    return read_budget(row)


def list_budgets(connection: Connection, organization: str, after_id: str, items_max: int) -> list[Budget]:
    """Read the budgets whose ids follow an id, in order."""
    page = (
        select(*_COLUMNS)
        .where(budgets.c.organization == organization, budgets.c.budget_id > after_id)
        .order_by(budgets.c.budget_id)
        .limit(items_max)
    )
    return [read_budget(row) for row in connection.execute(page)]


def update_budget(
    connection: Connection, organization: str, budget_id: str, changes: dict[str, Any]
) -> Budget:
    """Change a budget.

    Raises:
        NotFound: there is none of that name (RESOURCE_NOT_FOUND).
    """
    lock(connection, {organization})
    if changes:
        connection.execute(update(budgets).where(*_is(organization, budget_id)).values(changes))
    return get_budget(connection, organization, budget_id)


def delete_budget(connection: Connection, organization: str, budget_id: str) -> None:
    """End a budget.

    Raises:
        NotFound: there is none of that name (RESOURCE_NOT_FOUND).
    """
    lock(connection, {organization})
    if not connection.execute(delete(budgets).where(*_is(organization, budget_id))).rowcount:
        raise _not_found(organization, budget_id)


def count_spent(connection: Connection, budget: Budget) -> int:
    """Sum what a budget's subject was charged since its period began; periods begin at whole hours."""
    return sum(sum_spend(connection, budget.subject, budget.period_start_us).values())


def count_slices(connection: Connection, budget: Budget) -> dict[int, int]:
    """Sum likewise by slice, for a rolling period; slices are whole hours."""
    slices: dict[int, int] = {}
    slice_us = budget.period.slice_us
    if slice_us:
        for hour_us, nanos in sum_spend(connection, budget.subject, budget.period_start_us).items():
            begin_us = hour_us // slice_us * slice_us
            slices[begin_us] = slices.get(begin_us, 0) + nanos
    return slices


def count_held(connection: Connection, budget: Budget) -> int:
    """Sum the open holds of a budget's subject."""
    held = select(func.coalesce(func.sum(holds.c.amount_nanos), 0))
    return int(connection.execute(held.where(hold_is_open, *_of_subject(holds, budget))).scalar_one())


def _of_subject(table: Any, budget: Budget) -> list[Any]:
    subject = Subject.parse(budget.subject)
    conditions = [table.c.organization == subject.organization]
    if subject.kind:
        conditions.append(table.c[f"{subject.kind}_id"] == subject.id)
    return conditions


def _is(organization: str, budget_id: str) -> tuple[Any, Any]:
    return budgets.c.organization == organization, budgets.c.budget_id == budget_id


def _one(organization: str, budget_id: str) -> Select[Any]:
    return select(*_COLUMNS).where(*_is(organization, budget_id))


def _not_found(organization: str, budget_id: str) -> ServiceError:
    name = f"organizations/{organization}/budgets/{budget_id}"
    return NotFound("RESOURCE_NOT_FOUND", "There is no such budget.", metadata={"name": name})
