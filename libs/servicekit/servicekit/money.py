"""Money is an integer count of nano-dollars (1,000,000,000 are one US dollar): no float, and one rounding a line."""

from collections.abc import Iterable

from penstock.billing.v1 import hold_pb2

NANOS_PER_DOLLAR = 1_000_000_000
TOKENS_PER_PRICE = 1_000_000


def cost_nanos(classes: Iterable[tuple[int, int]]) -> int:
    """Price one usage line: sum what each class costs, then divide once, rounding half to even (IEEE 754).

    Args:
        classes: of each disjoint token class the tokens used, and the price in nano-dollars for 1,000,000 of them.
    """
    quotient, remainder = divmod(_scaled(classes), TOKENS_PER_PRICE)
    doubled = 2 * remainder
    if doubled > TOKENS_PER_PRICE or (doubled == TOKENS_PER_PRICE and quotient % 2):
        return quotient + 1
    return quotient


def ceiling_nanos(classes: Iterable[tuple[int, int]]) -> int:
    """Bound what the line can cost: as `cost_nanos`, rounded up, so that a hold always covers its settlement."""
    return -(-_scaled(classes) // TOKENS_PER_PRICE)


def is_charged(usage: hold_pb2.AttemptUsage) -> bool:
    """Tell whether a try costs anything: what our cache answered does not, nor what failed before any output."""
    if usage.outcome == hold_pb2.ATTEMPT_OUTCOME_CACHE_HIT:
        return False
    answered = usage.tokens.output or usage.tokens.reasoning
    return bool(answered) or usage.outcome != hold_pb2.ATTEMPT_OUTCOME_FAILED


def _scaled(classes: Iterable[tuple[int, int]]) -> int:
    return sum(tokens * price for tokens, price in classes)
