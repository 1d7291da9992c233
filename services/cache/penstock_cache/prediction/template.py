"""Questions that differ only in their numbers, as one. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

NUMBERS_MAX = 4
DIGITS_MAX = 15
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Template:
    """A question without its numbers, "PO # of #", and how wide they were, leading zeros included."""

    pieces: tuple[str, ...]

    def fill(self, numbers: Sequence[str]) -> str:
        """Put numbers where they were."""
        between = [piece + number for piece, number in zip(self.pieces, numbers, strict=False)]
        return "".join(between) + self.pieces[-1]


def parse(text: str) -> tuple[Template, tuple[str, ...]]:
    """Take the numbers out of a question; one with too many, or too large ones, is a template as it is."""
    numbers = tuple(_NUMBER.findall(text))
    if len(numbers) > NUMBERS_MAX or any(len(number) > DIGITS_MAX for number in numbers):
        return Template((text,)), ()
    return Template(tuple(_NUMBER.split(text))), numbers


def steps(before: Sequence[str], after: Sequence[str]) -> tuple[int, ...]:
    """Tell by how much each number went on."""
    return tuple(int(new) - int(old) for old, new in zip(before, after, strict=True))


def advance(numbers: Sequence[str], by: Sequence[int]) -> tuple[str, ...] | None:
    """Let each number go on, as wide as it was; None where one would fall below zero."""
    moved = [int(number) + step for number, step in zip(numbers, by, strict=True)]
    if any(number < 0 for number in moved):
        return None
    return tuple(str(new).zfill(len(old)) for old, new in zip(numbers, moved, strict=True))
