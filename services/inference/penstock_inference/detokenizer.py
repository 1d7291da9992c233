"""Text from a stream of tokens, as soon as its characters are whole."""

import codecs

from penstock_inference.tokenizer import Tokenizer


class Detokenizer:
    """Turn one sequence's tokens into text, at a cost per token that does not grow with the sequence.

    Whatever the split, the pieces joined are `Tokenizer.decode` of all tokens.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def feed(self, token: int) -> str:
        """Give the text that this token completes; a character that lacks bytes yet is kept back."""
        return self._decoder.decode(self._tokenizer.token_bytes(token))

    @property
    def holds_bytes(self) -> bool:
        """Tell whether a character lacks bytes."""
        return bool(self._decoder.getstate()[0])

    def flush(self) -> str:
        """Give what was kept back, as U+FFFD: no more tokens will come."""
        return self._decoder.decode(b"", final=True)
