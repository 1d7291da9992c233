"""How far a conversion is."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]  # a phase, how much of it is done, of how much

CALIBRATING = "Calibrating"
CONVERTING = "Converting"
COMPARING = "Comparing with the source"


def say_nothing(_phase: str, _done: int, _total: int) -> None:
    """Tell nobody."""
