"""Remember which prompts the slots' KV begins with, so that a repeated beginning is copied and not computed again.

Only whole chunks are shared, computed at the same place of the prompt: a copied row has the bits that computing it
again would give, so an answer is the same with or without. Only prompts of one organization share, since how fast an
answer comes would tell another what was asked.
"""

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(slots=True)
class _Content:
    organization: str = ""
    prompt: list[int] | None = None
    rows: int = 0  # of whole chunks


class Prefix(NamedTuple):
    """Rows at the beginning of a slot that a prompt can use."""

    slot: int
    rows: int


class SlotPrefixes:
    """What each slot begins with, also after its sequence has ended."""

    def __init__(self, slots: int, chunk_tokens: int) -> None:
        self._chunk_tokens = chunk_tokens
        self._contents = [_Content() for _ in range(slots)]

    def find(self, organization: str, prompt: list[int]) -> Prefix:
        """Find the longest shared beginning. It leaves at least the last token, whose logits are wanted."""
        best = Prefix(0, 0)
        for slot, content in enumerate(self._contents):
            if content.rows > best.rows and content.organization == organization:
                best = max(
                    best, Prefix(slot, self._shared_rows(content, prompt)), key=lambda prefix: prefix.rows
                )
        return best

    def begin(self, slot: int, organization: str, prompt: list[int], rows: int) -> None:
        """Note that a slot is now a prompt's, whose first rows are there already."""
        self._contents[slot] = _Content(organization, prompt, rows)

    def extend(self, slot: int, rows: int) -> None:
        """Note how much of the slot's prompt is computed."""
        self._contents[slot].rows = rows // self._chunk_tokens * self._chunk_tokens

    def move(self, source: int, target: int) -> None:
        """Note that a slot's rows were copied over another's."""
        content = self._contents[source]
        self._contents[target] = _Content(content.organization, content.prompt, content.rows)

    def clear(self) -> None:
        """Forget everything: the slots may hold anything."""
        self._contents = [_Content() for _ in self._contents]

    def _shared_rows(self, content: _Content, prompt: list[int]) -> int:
        assert content.prompt is not None
        chunk, shared = self._chunk_tokens, 0
        usable = min(content.rows, (len(prompt) - 1) // chunk * chunk)
        while shared < usable and prompt[shared : shared + chunk] == content.prompt[shared : shared + chunk]:
            shared += chunk
        return shared
