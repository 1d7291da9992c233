"""The books of one transaction: decide on commands one after the other, each seeing what the ones before it did.

Pure: what is needed was loaded before, and what changed is saved after. A refused command changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from servicekit.errors import DeadlineExceeded, ServiceError

from penstock_billing import ledger, refusals
from penstock_billing.budget import Budget
from penstock_billing.budget_counts import BudgetCounts
from penstock_billing.clock import DAY_US
from penstock_billing.commands import Authorize, Command, Expire, Extend, Release, Settle
from penstock_billing.ledger import Entry, Hold, HoldState, Posting
from penstock_billing.limit import Caller, Count, Limit, Unit
from penstock_billing.limit_counts import Bound, LimitCounts
from penstock_billing.prices import PriceBook
from penstock_billing.quote import Quote
from penstock_billing.refusals import HOLD_NANOS_MAX
from penstock_billing.usage import UsageLine, price_usage, tokens_used, total_nanos

LEASE_US_MAX = DAY_US

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
        hold = self._new_hold(command, bound) if hold is None else _same_again(hold, command)
        return hold._replace(rates=self._counts.rates(bound)) if bound else hold

    def _new_hold(self, command: Authorize, bound: list[Bound]) -> Hold:
        prices = tuple(self._prices.find(sku, self._now_us) for sku in command.skus)
        quote = Quote(prices, command.prompt_tokens, command.answers)
        max_tokens = self._admit(command, quote, bound)
        tokens = command.prompt_tokens + command.answers * max_tokens
        hold = Hold(
            operation_id=command.operation_id,
            payer=command.payer,
            state=HoldState.OPEN,
            amount_nanos=quote.worst_nanos(max_tokens),
            create_us=self._now_us,
            expire_us=self._now_us + command.lease_us,
            max_tokens=max_tokens,
            clamped=max_tokens < command.max_tokens,
            prices=prices,
            request_hash=command.request_hash,
            prompt_tokens=command.prompt_tokens,
            answers=command.answers,
            takings=self._counts.take(bound, tokens) if bound else (),
            model=command.model,
            holder=command.holder,
        )
        return self._post(ledger.open_hold(hold))

    def _admit(self, command: Authorize, quote: Quote, bound: list[Bound]) -> int:
        """Give how long answers may get: as asked for, clamped to what every budget buys and every limit ever admits.

        Nothing is taken before everything fits.
        """
        least = min(command.max_tokens, 1)
        needed_nanos = quote.worst_nanos(least)
        refusals.check_amount(needed_nanos)
        self._counts.check(bound, Unit.REQUESTS, 1)
        self._counts.check(bound, Unit.IN_FLIGHT, 1)
        tightest = self._budgets.tightest(command.payer)
        if tightest is not None and needed_nanos > tightest.available_nanos:
            raise refusals.budget_exceeded(tightest, needed_nanos, self._now_us)
        available_nanos = HOLD_NANOS_MAX if tightest is None else tightest.available_nanos
        longest = quote.tokens_within(min(available_nanos, HOLD_NANOS_MAX), command.max_tokens)
        for limit, _ in bound:
            if limit.unit is Unit.TOKENS:
                whole = (limit.value - command.prompt_tokens) // command.answers
                longest = min(longest, max(least, whole))
        self._counts.check(bound, Unit.TOKENS, command.prompt_tokens + command.answers * longest)
        return longest

    def _extend(self, command: Extend) -> Hold:
        self._check_deadline(command.deadline_us)
        hold = self._find(command)
        if hold is None:
            raise refusals.no_such_hold(command.payer.organization, command.operation_id)
        if hold.state is not HoldState.OPEN:
            raise refusals.not_open(hold)
        refusals.check_amount(command.amount_nanos)
        more_nanos = command.amount_nanos - hold.amount_nanos
        tightest = self._budgets.tightest(hold.payer)
        if more_nanos > 0 and tightest is not None and more_nanos > tightest.available_nanos:
            raise refusals.budget_exceeded(tightest, more_nanos, self._now_us)
        expire_us = min(command.expire_us, self._now_us + LEASE_US_MAX)
        longer = hold._replace(
            amount_nanos=max(hold.amount_nanos, command.amount_nanos),
            expire_us=max(hold.expire_us, expire_us),
        )
        if command.max_tokens > hold.max_tokens:
            longer = self._widen(longer, command.max_tokens, max(0, more_nanos))
        return self._post(ledger.extend(hold, longer, self._now_us))

    def _widen(self, hold: Hold, max_tokens: int, reserved_nanos: int) -> Hold:
        """Grant the next slice of a long answer, clamped to what budgets and token limits have now."""
        room = self._counts.tokens_room(hold)
        if room is not None:
            max_tokens = min(max_tokens, hold.max_tokens + room // hold.answers)
        tightest = self._budgets.tightest(hold.payer)
        free_nanos = HOLD_NANOS_MAX if tightest is None else tightest.available_nanos - reserved_nanos
        quote = Quote(hold.prices, hold.prompt_tokens, hold.answers)
        granted = quote.tokens_within(min(hold.amount_nanos + max(0, free_nanos), HOLD_NANOS_MAX), max_tokens)
        more_tokens = granted - hold.max_tokens
        if more_tokens <= 0:
            return hold
        hold = self._counts.take_more(hold, more_tokens * hold.answers)
        amount_nanos = max(hold.amount_nanos, quote.worst_nanos(granted))
        return hold._replace(max_tokens=granted, amount_nanos=amount_nanos)

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
