"""Usage lines: what one try used and cost, priced at its own SKU.

A line never changes. A correction posts the opposite of every line that stands, and the right ones after them. Lines
are numbered by posting and try: posting 0 is the settlement, 2n - 1 the reversal of correction n, 2n what it posted.
"""

from collections.abc import Iterable
from typing import NamedTuple

from penstock.billing.v1 import hold_pb2
from servicekit.errors import InvalidArgument
from servicekit.money import cost_nanos, is_charged

from penstock_billing.clock import AHEAD_US
from penstock_billing.commands import Settle
from penstock_billing.ledger import Hold, HoldState
from penstock_billing.prices import PriceBook, Prices

# A try is numbered below it, as the contract says; the column holds 16 bits, for 255 postings.
POSTING_LINES = 128
# What a reversal turns, and what sums sum.
NUMBERS = (
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost_nanos",
    "avoided_cost_nanos",
)


class UsageLine(NamedTuple):
    """One line, as it is stored. `attempt` is the number of its posting and its try."""

    organization: str
    operation_id: str
    attempt: int
    user_id: str
    team_id: str
    api_key_id: str
    model: str
    sku: str
    endpoint: str
    operation: str
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost_nanos: int
    avoided_cost_nanos: int
    outcome: int
    estimated: bool
    late: bool
    end_us: int
    post_us: int
    book_version: str
    metadata: dict[str, str]

    @property
    def posting(self) -> int:
        """Which posting of its operation it is of."""
        return self.attempt // POSTING_LINES

    @property
    def is_reversal(self) -> bool:
        """Tell whether it takes another line back; then its numbers are negative."""
        return self.posting % 2 == 1

    def moved(self, posting: int) -> "UsageLine":
        """Give the line of the same try in another posting."""
        return self._replace(attempt=self.attempt % POSTING_LINES + posting * POSTING_LINES)

    def reversed(self, now_us: int) -> "UsageLine":
        """Give the line that takes this one back. It ended when this one did, so that all sums of that hour agree."""
        negative = {name: -getattr(self, name) for name in NUMBERS}
        return self.moved(self.posting + 1)._replace(post_us=now_us, **negative)


def price_usage(command: Settle, hold: Hold, book: PriceBook, now_us: int) -> list[UsageLine]:
    """Price every try of an operation, at the prices pinned with its hold.

    Raises:
        FailedPrecondition: a SKU has no price (PRICE_UNKNOWN).
        InvalidArgument: a try comes twice.
    """
    if len({usage.attempt for usage in command.attempts}) < len(command.attempts):
        raise InvalidArgument(
            "INVALID_ARGUMENT", "A try comes twice.", metadata={"field": "attempts.attempt"}
        )
    pinned = {prices.sku: prices for prices in hold.prices}
    return [
        _line(command, hold, usage, _prices(usage, pinned, book, hold), now_us) for usage in command.attempts
    ]


def tokens_used(lines: Iterable[UsageLine]) -> int:
    """Count the tokens of all classes that engines and providers worked on; what our cache answered is none."""
    return sum(
        line.input_tokens
        + line.cache_read_tokens
        + line.cache_write_tokens
        + line.output_tokens
        + line.reasoning_tokens
        for line in lines
        if line.outcome != hold_pb2.ATTEMPT_OUTCOME_CACHE_HIT
    )


def total_nanos(lines: Iterable[UsageLine]) -> int:
    """Sum what lines cost."""
    return sum(line.cost_nanos for line in lines)


def _prices(
    usage: hold_pb2.AttemptUsage, pinned: dict[str, Prices], book: PriceBook, hold: Hold
) -> Prices | None:
    """Give the prices of a try; None where it costs nothing at any price."""
    if not is_charged(usage):
        return None
    return pinned.get(usage.sku) or book.find(usage.sku, hold.create_us)


def _line(
    command: Settle, hold: Hold, usage: hold_pb2.AttemptUsage, prices: Prices | None, now_us: int
) -> UsageLine:
    tokens, payer = usage.tokens, hold.payer
    return UsageLine(
        organization=payer.organization,
        operation_id=hold.operation_id,
        attempt=usage.attempt,
        user_id=payer.user,
        team_id=payer.team,
        api_key_id=payer.api_key,
        model=command.model,
        sku=usage.sku,
        endpoint=usage.endpoint,
        operation=command.operation,
        input_tokens=tokens.input,
        cache_read_tokens=tokens.cache_read,
        cache_write_tokens=tokens.cache_write,
        output_tokens=tokens.output,
        reasoning_tokens=tokens.reasoning,
        cost_nanos=0 if prices is None else _cost_nanos(tokens, prices),
        avoided_cost_nanos=usage.avoided_cost_nanos,
        outcome=usage.outcome,
        estimated=usage.estimated,
        late=hold.state is not HoldState.OPEN,
        end_us=min(command.end_us, now_us + AHEAD_US),
        post_us=now_us,
        book_version="" if prices is None else prices.book_version,
        metadata=dict(command.metadata),
    )


def _cost_nanos(tokens: hold_pb2.TokenUsage, prices: Prices) -> int:
    return cost_nanos(
        (
            (tokens.input, prices.input),
            (tokens.cache_read, prices.cache_read),
            (tokens.cache_write, prices.cache_write),
            (tokens.output, prices.output),
            (tokens.reasoning, prices.reasoning),
        )
    )
