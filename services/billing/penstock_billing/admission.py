"""What may be set aside: how the worst case of an operation fits into budgets and limits as they stand. Pure."""

from penstock_billing import refusals
from penstock_billing.budget_counts import BudgetCounts
from penstock_billing.clock import DAY_US
from penstock_billing.commands import Authorize, Extend
from penstock_billing.ledger import Hold, HoldState
from penstock_billing.limit import Unit
from penstock_billing.limit_counts import Bound, LimitCounts
from penstock_billing.prices import PriceBook
from penstock_billing.quote import Quote
from penstock_billing.refusals import HOLD_NANOS_MAX

LEASE_US_MAX = DAY_US


class Admission:
    """Decides on holds, by the prices, budgets and limits of one transaction."""

    def __init__(self, prices: PriceBook, budgets: BudgetCounts, counts: LimitCounts) -> None:
        self._prices = prices
        self._budgets = budgets
        self._counts = counts
        self._now_us = budgets.now_us

    def admit(self, command: Authorize, bound: list[Bound]) -> Hold:
        """Give the hold of a new operation, and take what it needs of the limits that bind it.

        Raises:
            InvalidArgument: its worst case is more than a million dollars (INVALID_ARGUMENT).
            FailedPrecondition: a SKU has no price (PRICE_UNKNOWN).
            ResourceExhausted: a budget or a limit has no room; then nothing is taken (BUDGET_EXCEEDED,
                RATE_LIMIT_EXCEEDED, CONCURRENCY_LIMIT_EXCEEDED).
        """
        prices = tuple(self._prices.find(sku, self._now_us) for sku in command.skus)
        quote = Quote(prices, command.prompt_tokens, command.answers)
        max_tokens = self._longest(command, quote, bound)
        tokens = command.prompt_tokens + command.answers * max_tokens
        return Hold(
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

    def widen(self, hold: Hold, command: Extend) -> Hold:
        """Give an open hold longer and wider, as far as there is room for it.

        Raises:
            InvalidArgument: it would be more than a million dollars (INVALID_ARGUMENT).
            ResourceExhausted: a budget has no room for the amount (BUDGET_EXCEEDED).
        """
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
            return self._grant(longer, command.max_tokens, max(0, more_nanos))
        return longer

    def _longest(self, command: Authorize, quote: Quote, bound: list[Bound]) -> int:
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

    def _grant(self, hold: Hold, max_tokens: int, reserved_nanos: int) -> Hold:
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
