"""The books of one transaction: decide on commands one after the other, each seeing what the ones before it did.

Pure: what is needed was loaded before, and what changed is saved after. A refused command changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from servicekit.errors import DeadlineExceeded, ServiceError

from penstock_billing import ledger, refusals
from penstock_billing.admission import Admission
from penstock_billing.budget import Budget
from penstock_billing.budget_counts import BudgetCounts
from penstock_billing.commands import Authorize, Command, Expire, Extend, Release, Settle
from penstock_billing.ledger import Entry, Hold, HoldState, Posting
from penstock_billing.limit import Caller, Count, Limit
from penstock_billing.limit_counts import LimitCounts
from penstock_billing.prices import PriceBook
from penstock_billing.usage import UsageLine, price_usage, tokens_used, total_nanos

Outcome = Hold | ServiceError


@dataclass(frozen=True, slots=True)
class Loaded:
    """What is known before the commands of a transaction are decided on."""

    holds: Sequence[Hold] = ()
    budgets: Sequence[Budget] = ()
    limits: Sequence[Limit] = ()
    counts: Sequence[Count] = ()


class Books:
    """Holds, budgets and limits as they stand, and what commands make of them."""

    def __init__(self, prices: PriceBook, now_us: int, loaded: Loaded) -> None:
        self._prices = prices
        self._holds = {hold.key: hold for hold in loaded.holds}
        self._known = frozenset(self._holds)
        self._changed: dict[tuple[str, str], Hold] = {}
        self._counts = LimitCounts(loaded.limits, loaded.counts, now_us // 1000)
        self._budgets = BudgetCounts(loaded.budgets, now_us)
        self._now_us = self._budgets.now_us
        self._admission = Admission(prices, self._budgets, self._counts)
        self.entries: list[Entry] = []
        self.usage: list[UsageLine] = []
        # Settlements dearer than their holds: the router let more through than was authorized.
        self.overruns = 0

    def decide(self, command: Command) -> Outcome:
        """Carry a command out and give the hold as it is then, or why it was refused."""
        try:
            match command:
                case Authorize():
                    return self._authorize(command)
                case Settle():
                    return self._settle(command)
                case Release():
                    return self._release(command)
                case Extend():
                    return self._extend(command)
                case Expire():
                    return self._expire(command)
        except ServiceError as error:
            return error

    @property
    def new_holds(self) -> list[Hold]:
        """Holds that were not there before."""
        return [hold for key, hold in self._changed.items() if key not in self._known]

    @property
    def moved_holds(self) -> list[Hold]:
        """Holds that were there, and are not as they were."""
        return [hold for key, hold in self._changed.items() if key in self._known]

    @property
    def changed_budgets(self) -> list[Budget]:
        """Budgets whose counters moved."""
        return self._budgets.changed

    @property
    def changed_counts(self) -> list[Count]:
        """Counts of limits that moved."""
        return self._counts.changed

    def _authorize(self, command: Authorize) -> Hold:
        self._check_deadline(command.deadline_us)
        bound = self._counts.binding(Caller(command.payer, command.model, command.tier))
        hold = self._find(command)
        if hold is None:
            hold = self._post(ledger.open_hold(self._admission.admit(command, bound)))
        else:
            hold = _same_again(hold, command)
        return hold._replace(rates=self._counts.rates(bound)) if bound else hold

    def _extend(self, command: Extend) -> Hold:
        self._check_deadline(command.deadline_us)
        hold = self._find(command)
        if hold is None:
            raise refusals.no_such_hold(command.payer.organization, command.operation_id)
        if hold.state is not HoldState.OPEN:
            raise refusals.not_open(hold)
        longer = self._admission.widen(hold, command)
        return self._post(ledger.extend(hold, longer, self._now_us))

    def _settle(self, command: Settle) -> Hold:
        hold = self._find(command) or ledger.never_held(command.payer, command.operation_id, self._now_us)
        if hold.state is HoldState.SETTLED:
            if hold.usage_hash != command.usage_hash:
                raise refusals.reused(hold)
            return hold
        lines = price_usage(command, hold, self._prices, self._now_us)
        cost_nanos = total_nanos(lines)
        self.usage += lines
        self.overruns += cost_nanos > hold.amount_nanos
        if hold.takings:
            self._count_settled(hold, tokens_used(lines))
        return self._post(ledger.settle(hold, cost_nanos, command.usage_hash, self._now_us))

    def _count_settled(self, hold: Hold, tokens: int) -> None:
        match hold.state:
            case HoldState.OPEN:
                self._counts.settle(hold, tokens)
            case HoldState.EXPIRED:
                self._counts.correct(hold, tokens)
            case HoldState.RELEASED:
                self._counts.recount(hold, tokens)

    def _release(self, command: Release) -> Hold:
        hold = self._find(command) or ledger.never_held(command.payer, command.operation_id, self._now_us)
        if hold.state is HoldState.SETTLED:
            raise refusals.not_open(hold)
        if hold.state is HoldState.OPEN:
            self._counts.release(hold)
            return self._post(ledger.close(hold, HoldState.RELEASED, self._now_us))
        return hold

    def _expire(self, command: Expire) -> Hold:
        hold = self._find(command)
        assert hold is not None, "holds are never deleted"
        if hold.state is HoldState.OPEN and hold.expire_us <= self._now_us - command.grace_us:
            self._counts.expire(hold)
            return self._post(ledger.close(hold, HoldState.EXPIRED, self._now_us))
        return hold

    def _find(self, command: Command) -> Hold | None:
        return self._holds.get((command.payer.organization, command.operation_id))

    def _post(self, posting: Posting) -> Hold:
        """Take over what a step made of a hold; every budget that applies follows its entries."""
        hold, entries = posting
        self._holds[hold.key] = self._changed[hold.key] = hold
        if entries:
            self._budgets.post(hold.payer, entries)
        self.entries += entries
        return hold

    def _check_deadline(self, deadline_us: int) -> None:
        if deadline_us and deadline_us <= self._now_us:
            raise DeadlineExceeded("DEADLINE_EXCEEDED", "The deadline passed before the work was started.")


def _same_again(hold: Hold, command: Authorize) -> Hold:
    """Answer an operation that is known: as before while its hold is open; closed, nothing may run on it any more."""
    if hold.request_hash and hold.request_hash != command.request_hash:
        raise refusals.reused(hold)
    if hold.state is not HoldState.OPEN:
        raise refusals.not_open(hold)
    return hold
