"""The text of one answer as its tokens come."""

from penstock_inference.detokenizer import Detokenizer
from penstock_inference.stop import Released, StopMatcher
from penstock_inference.tokenizer import Tokenizer


class AnswerText:
    """Turn tokens into text that may leave: whole characters, and nothing that may still be part of a stop text."""

    def __init__(self, tokenizer: Tokenizer, stops: tuple[str, ...]) -> None:
        self._detokenizer = Detokenizer(tokenizer)
        self._stop_matcher = StopMatcher(stops)

    def feed(self, token: int, *, may_stop: bool) -> Released:
        """Take a token; while the answer may not stop yet, its text is not looked at."""
        text = self._detokenizer.feed(token)
        return self._stop_matcher.feed(text) if may_stop else Released(text, stopped=False)

    def finish(self) -> str:
        """Give what was held back: the answer ended for another reason."""
        released = self._stop_matcher.feed(self._detokenizer.flush())
        return released.text + self._stop_matcher.flush()
