"""Bars in a terminal."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

WIDTH = 40
_PARTS = " ▏▎▍▌▋▊▉"
_EIGHTHS = 8


def bar(value: int, most: int, width: int = WIDTH) -> str:
    """Draw a value as a bar of at most `width` letters; what is not nothing is seen."""
    if value <= 0 or most <= 0:
        return ""
    eighths = max(1, value * width * _EIGHTHS // most)
    whole, rest = divmod(eighths, _EIGHTHS)
    return "█" * whole + (_PARTS[rest] if rest else "")


def bars(rows: Sequence[tuple[str, int, str]]) -> Table:
    """Draw rows of a label, a value and its text."""
    most = max((value for _, value, _ in rows), default=0)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(min_width=WIDTH, no_wrap=True)
    table.add_column(justify="right")
    for label, value, text in rows:
        table.add_row(label, Text(bar(value, most), "cyan"), text)
    return table
