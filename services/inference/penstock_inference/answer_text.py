"""The text of one answer as its tokens come."""

from collections import deque
from typing import NamedTuple

from penstock_inference.detokenizer import Detokenizer
from penstock_inference.logprobs import TokenLogprob
from penstock_inference.stop import StopMatcher
from penstock_inference.tokenizer import Tokenizer

Logprobs = tuple[TokenLogprob, ...]


class Released(NamedTuple):
    """What may leave: text, the log probabilities of tokens whose text has left, and whether the answer ends here."""

    text: str
    logprobs: Logprobs = ()
    stopped: bool = False


class AnswerText:
    """Turn tokens into text that may leave: whole characters, and nothing that may still be part of a stop text.

    Log probabilities name tokens, so they wait for their tokens' text, and go where it goes.
    """

    def __init__(self, tokenizer: Tokenizer, stops: tuple[str, ...]) -> None:
        self._detokenizer = Detokenizer(tokenizer)
        self._stop_matcher = StopMatcher(stops)
        self._fed = self._left = 0  # characters
        self._held: deque[tuple[int, TokenLogprob]] = deque()  # with the character that each must wait for

    def feed(self, token: int, logprob: TokenLogprob | None = None, *, may_stop: bool) -> Released:
        """Take a token; while the answer may not stop yet, its text is not looked at."""
        text = self._detokenizer.feed(token)
        self._fed += len(text)
        if logprob is not None:
            self._held.append((self._fed + self._detokenizer.holds_bytes, logprob))
        if not may_stop:
            return self._release(text)
        found = self._stop_matcher.feed(text)
        return self._release(found.text, stopped=found.stopped)

    def finish(self) -> Released:
        """Give what was held back: the answer ended for another reason."""
        rest = self._detokenizer.flush()
        self._fed += len(rest)
        return self._release(self._stop_matcher.feed(rest).text + self._stop_matcher.flush())

    def _release(self, text: str, *, stopped: bool = False) -> Released:
        self._left += len(text)
        logprobs = []
        while self._held and self._held[0][0] <= self._left:
            logprobs.append(self._held.popleft()[1])
        return Released(text, tuple(logprobs), stopped)
