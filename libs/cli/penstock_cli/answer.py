"""A chat answer as it is received: its text, what it took, and what it cost."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from penstock_cli.edge import Edge, Json

CHAT_PATH = "/v1/chat/completions"
NANOS_PER_DOLLAR = 1_000_000_000
_CACHE = {
    "CACHE_STATUS_MISS": "miss",
    "CACHE_STATUS_EXACT_HIT": "exact hit",
    "CACHE_STATUS_SEMANTIC_HIT": "semantic hit",
    "CACHE_STATUS_BYPASS": "not asked",
}


@dataclass(slots=True)
class Answer:
    """What came back, and when. Seconds are measured here, from the request on."""

    text: str = ""
    usage: Json = field(default_factory=dict)
    receipt: Json = field(default_factory=dict)
    first_token_seconds: float = 0.0
    total_seconds: float = 0.0

    @property
    def tokens_per_second(self) -> float | None:
        """Give the speed after the first token; None when that says nothing: from the cache, or all at once."""
        count = self.usage.get("completion_tokens", 0) - 1
        seconds = self.total_seconds - self.first_token_seconds
        if self.is_cached or not self.first_token_seconds or count < 1 or seconds <= 0:
            return None
        return float(count / seconds)

    @property
    def is_cached(self) -> bool:
        """Tell whether the cache answered."""
        return str(self.receipt.get("cache", "")).endswith("_HIT")

    @property
    def cost_nanos(self) -> int:
        """Give what it cost, in nano-dollars."""
        return int(self.receipt.get("cost_nanos", 0))

    @property
    def avoided_cost_nanos(self) -> int:
        """Give what the cache saved, in nano-dollars."""
        return int(self.receipt.get("avoided_cost_nanos", 0))

    def summary(self) -> str:
        """Write what it took in one line."""
        parts = [
            f"{self.usage.get('prompt_tokens', 0)} + {self.usage.get('completion_tokens', 0)} tokens",
            f"{self.tokens_per_second:.0f} tokens/s" if self.tokens_per_second else "",
            f"first token after {_milliseconds(self.first_token_seconds)}"
            if self.first_token_seconds
            else "",
            f"{_milliseconds(self.total_seconds)} in all",
            f"cost {dollars(self.cost_nanos)}",
            f"saved {dollars(self.avoided_cost_nanos)}" if self.avoided_cost_nanos else "",
            f"cache: {_CACHE.get(self.receipt.get('cache', ''), 'unknown')}",
        ]
        return " · ".join(filter(None, parts))

    def names(self) -> str:
        """Write the ids by which logs and traces know the request."""
        return f"request {self.receipt.get('request_id', '?')} · trace {self.receipt.get('trace_id', '?')}"


def ask(edge: Edge, body: Json) -> Answer:
    """Ask for an answer whole."""
    began = time.perf_counter()
    completion = edge.post(CHAT_PATH, body)
    message = completion["choices"][0]["message"]
    return Answer(
        text=message.get("content") or message.get("refusal") or "",
        usage=completion.get("usage") or {},
        receipt=completion.get("penstock") or {},
        total_seconds=time.perf_counter() - began,
    )


def ask_streaming(edge: Edge, body: Json, answer: Answer) -> Iterator[str]:
    """Ask for an answer as it comes; give each piece of text and fill in `answer` on the way."""
    began = time.perf_counter()
    for chunk in edge.stream(CHAT_PATH, {**body, "stream": True, "stream_options": {"include_usage": True}}):
        answer.usage = chunk.get("usage") or answer.usage
        answer.receipt = chunk.get("penstock") or answer.receipt
        for choice in chunk.get("choices", []):
            delta = choice.get("delta", {})
            piece = delta.get("content") or delta.get("refusal") or ""
            if piece:
                answer.first_token_seconds = answer.first_token_seconds or time.perf_counter() - began
                answer.text += piece
                yield piece
    answer.total_seconds = time.perf_counter() - began


def dollars(nanos: int) -> str:
    """Write nano-dollars as dollars, without zeros that say nothing."""
    return "$" + f"{nanos / NANOS_PER_DOLLAR:.9f}".rstrip("0").rstrip(".")


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
