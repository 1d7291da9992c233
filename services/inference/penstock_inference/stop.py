"""End an answer before the first of its stop texts, wherever token borders fall."""

from typing import NamedTuple


class Released(NamedTuple):
    """Text that may leave, and whether the answer ends with it."""

    text: str
    stopped: bool


class StopMatcher:
    """Hold back text while it may still be the beginning of a stop text.

    The stop text that is complete first counts; of several that end at one character, the longest. So the result does
    not depend on how the text is cut into pieces.
    """

    def __init__(self, stops: tuple[str, ...]) -> None:
        assert all(stops), "an empty stop text would end every answer at once"
        self._stops = stops
        self._held = ""

    def feed(self, text: str) -> Released:
        """Take the next piece of the answer."""
        if not self._stops:
            return Released(text, stopped=False)
        held = self._held + text
        found = [(place + len(stop), place) for stop in self._stops if (place := held.find(stop)) >= 0]
        if found:
            self._held = ""
            return Released(held[: min(found)[1]], stopped=True)
        kept = _longest_beginning(held, self._stops)
        self._held = held[len(held) - kept :]
        return Released(held[: len(held) - kept], stopped=False)

    def flush(self) -> str:
        """Give what was held back: no more text will come."""
        held, self._held = self._held, ""
        return held


def _longest_beginning(text: str, stops: tuple[str, ...]) -> int:
    """Measure the longest end of the text that begins a stop text."""
    longest = max(map(len, stops)) - 1
    for length in range(min(longest, len(text)), 0, -1):
        if any(stop.startswith(text[-length:]) for stop in stops):
            return length
    return 0
