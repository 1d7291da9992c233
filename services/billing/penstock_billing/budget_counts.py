"""The budgets of one transaction: whose money it is, what is left, and what entries make of it."""

from collections.abc import Iterable

from penstock_billing.budget import Budget, Enforcement, subject_paths
from penstock_billing.ledger import Entry, Payer


class BudgetCounts:
    """Budgets as they stand at a time."""

    def __init__(self, budgets: Iterable[Budget], now_us: int) -> None:
        self._by_subject: dict[str, list[Budget]] = {}
        self._by_payer: dict[Payer, list[Budget]] = {}
        self._touched: dict[tuple[str, str], Budget] = {}
        budgets = list(budgets)
        # Replicas' clocks differ: what is posted never lies before a period that another has begun already.
        self.now_us = max(now_us, *(budget.period_start_us for budget in budgets), 0)
        for budget in budgets:
            budget.roll(self.now_us)
            self._by_subject.setdefault(budget.subject, []).append(budget)

    @property
    def changed(self) -> list[Budget]:
        """Budgets whose counters moved."""
        return list(self._touched.values())

    def tightest(self, payer: Payer) -> Budget | None:
        """Find the hard budget that has least left of all that a payer's spend counts for."""
        hard = [budget for budget in self._of(payer) if budget.enforcement is Enforcement.HARD]
        return min(hard, key=lambda budget: budget.available_nanos, default=None)

    def post(self, payer: Payer, entries: Iterable[Entry]) -> None:
        """Follow the ledger."""
        for budget in self._of(payer):
            self._touched[budget.organization, budget.budget_id] = budget
            for entry in entries:
                budget.post(entry)

    def _of(self, payer: Payer) -> list[Budget]:
        found = self._by_payer.get(payer)
        if found is None:
            found = [budget for path in subject_paths(payer) for budget in self._by_subject.get(path, ())]
            self._by_payer[payer] = found
        return found
