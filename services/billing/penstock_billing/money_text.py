"""Amounts as people and other programs read them: exact decimals, written from integers."""

from servicekit.money import NANOS_PER_DOLLAR

NANO_DIGITS = 9
NANOS_PER_CENT = NANOS_PER_DOLLAR // 100


def decimal(amount: int, digits: int) -> str:
    """Write `amount` times ten to the power of minus `digits`, with no trailing zeros."""
    return fixed(amount, digits).rstrip("0").rstrip(".")


def fixed(amount: int, digits: int) -> str:
    """Write it with all of its digits, for columns."""
    sign = "-" if amount < 0 else ""
    whole, rest = divmod(abs(amount), 10**digits)
    return f"{sign}{whole}.{rest:0{digits}d}"


def dollars(nanos: int) -> str:
    """Write nano-dollars as dollars."""
    return decimal(nanos, NANO_DIGITS)


def cents(nanos: int) -> int:
    """Round nano-dollars to cents, half to even."""
    quotient, remainder = divmod(nanos, NANOS_PER_CENT)
    doubled = 2 * remainder
    return quotient + (doubled > NANOS_PER_CENT or (doubled == NANOS_PER_CENT and quotient % 2 == 1))
