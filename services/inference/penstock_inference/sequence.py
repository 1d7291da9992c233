"""One answer as the scheduler sees it: a prompt, the tokens so far, and where its keys and values are."""

import math
from dataclasses import dataclass

from penstock_inference.prompt_lookup import PromptLookup
from penstock_inference.sampler import Sampler


@dataclass(frozen=True, slots=True)
class EndConditions:
    """When an answer ends."""

    end_tokens: frozenset[int]
    max_tokens: int
    min_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Urgency:
    """Whose turn it is: lower priority numbers go first, and nothing is computed after the deadline."""

    priority: int = 5
    deadline: float = math.inf  # on the monotonic clock, in seconds


class Sequence:
    """What the scheduler moves through slots. It alone changes all but `tokens`, `cancelled` and `stopped`."""

    def __init__(  # noqa: PLR0913 - each has its name at the call
        self,
        prompt: list[int],
        *,
        organization: str,
        urgency: Urgency,
        ends: EndConditions,
        sampler: Sampler,
        scores_prompt: bool = False,
        adapter: str | None = None,
    ) -> None:
        assert prompt, "there is nothing to compute logits from"
        self.prompt = prompt
        self.organization = organization
        self.urgency = urgency
        self.ends = ends
        self.sampler = sampler
        self.scores_prompt = scores_prompt  # the prompt's own log probabilities are wanted
        self.adapter = adapter  # what changes the model for it
        self.tokens: list[int] = []
        self.arrival = 0
        self.submit_time = 0.0
        self.block_names: list[bytes] = []  # what others may share of the prompt
        self.slot: int | None = None
        self.computed_tokens = 0  # rows of KV that hold this sequence
        self.cached_tokens = 0  # those of them that were copied from another
        self.charged_tokens = 0  # of the answer, to its organization's share
        self.preemptions = 0
        self.cancelled = False  # by its caller
        self.stopped = False  # by its own text
        self.finished = False  # by its last token
        self._lookup: PromptLookup | None = None

    @property
    def held_slot(self) -> int:
        """Give the slot of a sequence that has one."""
        assert self.slot is not None
        return self.slot

    @property
    def cache_partition(self) -> str:
        """Say with whom its prompt may share rows: its organization, and there who has its adapter."""
        return f"{self.organization}\0{self.adapter or ''}"

    @property
    def wanted_blocks(self) -> list[bytes]:
        """Name what it may take over from others: nothing if each of its own rows is wanted."""
        return [] if self.scores_prompt else self.block_names

    @property
    def prefilling(self) -> bool:
        """Tell whether some of the prompt is still to be computed."""
        return self.computed_tokens < len(self.prompt)

    @property
    def next_token(self) -> int:
        """Give the answer's first token that has no row of KV yet."""
        return self.tokens[self.computed_tokens - len(self.prompt)]

    @property
    def known_ahead(self) -> list[int]:
        """Give those behind it: none but to a sequence that was preempted and catches up with itself."""
        return self.tokens[self.computed_tokens - len(self.prompt) + 1 :]

    @property
    def known_tokens(self) -> int:
        """Count the tokens of prompt and answer."""
        return len(self.prompt) + len(self.tokens)

    @property
    def lookup(self) -> PromptLookup:
        """Give what guesses the answer's next tokens; it is made when it is first asked for."""
        if self._lookup is None:
            self._lookup = PromptLookup(self.prompt, self.tokens)
        return self._lookup

    def completed_by(self, rows: int) -> bool:
        """Tell whether so many more rows hold all that is known, so that the next token comes of them.

        It is false while a sequence that was preempted catches up with itself.
        """
        return self.computed_tokens + rows == self.known_tokens

    def append(self, token: int) -> None:
        """Take the next token of the answer."""
        assert not self.finished
        self.tokens.append(token)
        if self._lookup is not None:
            self._lookup.append(token)
        self.finished = token in self.ends.end_tokens or len(self.tokens) >= self.ends.max_tokens
