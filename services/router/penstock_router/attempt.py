"""What one try at an operation used, counted as events pass. Pure."""

from penstock.billing.v1 import hold_pb2

from penstock_router.catalog import Target
from penstock_router.providers import Delta, Event, Finished, GenerationCall, PromptCounted, UsageReported


class Attempt:
    """One try: its tokens so far, and how it ended."""

    def __init__(self, number: int, target: Target) -> None:
        self.number = number
        self.target = target
        self.call: GenerationCall | None = None
        self.outcome = hold_pb2.ATTEMPT_OUTCOME_FAILED
        self.answering = False
        self.finished: set[int] = set()
        self.fingerprint = ""
        self.estimated = True
        self.doubtful = False  # its endpoint will tell what it produced, later
        self._prompt_tokens = 0
        self._cached_prompt_tokens = 0
        self._reasoning_tokens = 0
        self._completion_tokens: dict[int, int] = {}

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the prompt, cached ones included."""
        return self._prompt_tokens

    @property
    def cached_prompt_tokens(self) -> int:
        """Prompt tokens that a prefix cache had."""
        return self._cached_prompt_tokens

    @property
    def completion_tokens(self) -> int:
        """Tokens of all answers, thinking included."""
        return sum(self._completion_tokens.values())

    @property
    def reasoning_tokens(self) -> int:
        """Tokens of all answers that were thinking."""
        return self._reasoning_tokens

    def observe(self, event: Event) -> None:
        """Count an event."""
        match event:
            case Delta():
                self.answering = True
                self._completion_tokens[event.index] = event.completion_tokens
            case Finished():
                self.finished.add(event.index)
                self._completion_tokens[event.index] = event.completion_tokens
            case PromptCounted():
                self._prompt_tokens = event.prompt_tokens
                self._cached_prompt_tokens = event.cached_prompt_tokens
                self.fingerprint = event.fingerprint
            case UsageReported():
                self.report(event)

    def report(self, usage: UsageReported) -> None:
        """Take the endpoint's own count over what was counted on the way."""
        self._prompt_tokens = usage.prompt_tokens
        self._cached_prompt_tokens = usage.cached_prompt_tokens
        self._reasoning_tokens = usage.reasoning_tokens
        self._completion_tokens = {0: usage.completion_tokens}
        self.estimated = False

    def used_nothing(self) -> None:
        """Take it that the endpoint refused the request."""
        self.report(UsageReported(0, 0, 0, 0))

    def usage(self) -> hold_pb2.AttemptUsage:
        """Write what was used, in billing's disjoint classes."""
        cached = min(self._cached_prompt_tokens, self._prompt_tokens)
        reasoning = min(self._reasoning_tokens, self.completion_tokens)
        return hold_pb2.AttemptUsage(
            attempt=self.number,
            sku=self.target.sku,
            tokens=hold_pb2.TokenUsage(
                input=self._prompt_tokens - cached,
                cache_read=cached,
                output=self.completion_tokens - reasoning,
                reasoning=reasoning,
            ),
            endpoint=self.target.endpoint,
            outcome=self.outcome,
            estimated=self.estimated,
        )


def is_used(tokens: hold_pb2.TokenUsage) -> bool:
    """Tell whether anything was used."""
    return bool(tokens.input or tokens.cache_read or tokens.cache_write or tokens.output or tokens.reasoning)
