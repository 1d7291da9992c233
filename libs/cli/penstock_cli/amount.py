"""Amounts of money as people write and read them: exact, in integers of nano-dollars."""

import re

import typer

NANO_DIGITS = 9
_DOLLARS = re.compile(r"\$?(\d{1,9})(?:\.(\d{1,9}))?")


def read_dollars(text: str) -> int:
    """Read dollars: "25", "$25.50", "0.000000001"."""
    found = _DOLLARS.fullmatch(text.strip().replace(",", ""))
    if found is None:
        raise typer.BadParameter(f"{text!r} is not an amount of dollars, such as 25 or 25.50")
    whole, fraction = found.groups()
    return int(whole + (fraction or "").ljust(NANO_DIGITS, "0"))


def dollars(nanos: int) -> str:
    """Write nano-dollars as dollars, without zeros that say nothing."""
    whole, rest = divmod(abs(nanos), 10**NANO_DIGITS)
    fraction = f".{rest:09d}".rstrip("0").rstrip(".")
    return f"{'-' if nanos < 0 else ''}${whole:,}{fraction}"
