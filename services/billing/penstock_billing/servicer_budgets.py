"""BudgetService: wire to the store and back."""

from functools import partial
from typing import Any

from penstock.billing.v1 import budget_service_pb2, budget_service_pb2_grpc

from penstock_billing import resources
from penstock_billing.budget_store import (
    create_budget,
    delete_budget,
    get_budget,
    list_budgets,
    update_budget,
)
from penstock_billing.clock import Clock, to_us
from penstock_billing.page_token import page_size, read_token, write_token
from penstock_billing.transactions import Transactions


class BudgetServicer(budget_service_pb2_grpc.BudgetServiceServicer):
    """Budgets, in the store."""

    def __init__(self, transactions: Transactions, clock: Clock) -> None:
        self._transactions = transactions
        self._clock = clock

    async def CreateBudget(
        self, request: budget_service_pb2.CreateBudgetRequest, _context: Any
    ) -> budget_service_pb2.CreateBudgetResponse:
        """Make a budget."""
        now_us = to_us(self._clock())
        budget = resources.read_new_budget(request, now_us)
        budget = await self._transactions.write(partial(create_budget, budget=budget))
        return budget_service_pb2.CreateBudgetResponse(budget=resources.write_budget(budget, now_us))

    async def GetBudget(
        self, request: budget_service_pb2.GetBudgetRequest, _context: Any
    ) -> budget_service_pb2.GetBudgetResponse:
        """Give a budget."""
        organization, budget_id = resources.read_budget_name(request.name)
        find = partial(get_budget, organization=organization, budget_id=budget_id)
        budget = await self._transactions.read(find)
        message = resources.write_budget(budget, to_us(self._clock()))
        return budget_service_pb2.GetBudgetResponse(budget=message)

    async def ListBudgets(
        self, request: budget_service_pb2.ListBudgetsRequest, _context: Any
    ) -> budget_service_pb2.ListBudgetsResponse:
        """Give a page of budgets."""
        (after_id,) = read_token(request.page_token, [request.parent], [str]) or [""]
        size = page_size(request.page_size)
        organization = resources.read_parent(request.parent)
        find = partial(list_budgets, organization=organization, after_id=str(after_id), items_max=size + 1)
        found = await self._transactions.read(find)
        now_us = to_us(self._clock())
        response = budget_service_pb2.ListBudgetsResponse(
            budgets=[resources.write_budget(budget, now_us) for budget in found[:size]]
        )
        if len(found) > size:
            response.next_page_token = write_token([found[size - 1].budget_id], [request.parent])
        return response

    async def UpdateBudget(
        self, request: budget_service_pb2.UpdateBudgetRequest, _context: Any
    ) -> budget_service_pb2.UpdateBudgetResponse:
        """Change a budget."""
        organization, budget_id = resources.read_budget_name(request.budget.name)
        changes = resources.read_changes(request)
        change = partial(update_budget, organization=organization, budget_id=budget_id, changes=changes)
        budget = await self._transactions.write(change)
        message = resources.write_budget(budget, to_us(self._clock()))
        return budget_service_pb2.UpdateBudgetResponse(budget=message)

    async def DeleteBudget(
        self, request: budget_service_pb2.DeleteBudgetRequest, _context: Any
    ) -> budget_service_pb2.DeleteBudgetResponse:
        """End a budget."""
        organization, budget_id = resources.read_budget_name(request.name)
        end = partial(delete_budget, organization=organization, budget_id=budget_id)
        await self._transactions.write(end)
        return budget_service_pb2.DeleteBudgetResponse()
