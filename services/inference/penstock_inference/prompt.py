"""Turn what a request asks into the tokens that the model reads."""

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from servicekit.errors import InvalidArgument

from penstock_inference.chat_template import BREAK, ChatTemplate, ChatTurn
from penstock_inference.refusals import check_context
from penstock_inference.tokenizer import Tokenizer
from penstock_inference.tool_turns import write_tools

_INLINE_CHARACTERS_MAX = 4000  # takes a millisecond; what is longer goes to a thread


@dataclass(frozen=True, slots=True)
class Chat:
    """A conversation, and tools as JSON objects that the model may call."""

    turns: tuple[ChatTurn, ...]
    tools: tuple[dict[str, Any], ...] = ()
    must_call: tuple[str, ...] = ()  # names of tools, one of which must be called; none: the model decides
    several_calls: bool = True  # in one turn

    @property
    def uses_tools(self) -> bool:
        """Tell whether there are tools, calls of tools or their results."""
        return bool(self.tools) or any(
            turn.role == "tool" or "tool_calls" in turn.extras for turn in self.turns
        )


Tokens = tuple[int, ...]
PromptInput = Chat | str | Tokens  # a str is read as it is, special tokens included


class PromptReader:
    """Read inputs for one model."""

    def __init__(self, tokenizer: Tokenizer, template: ChatTemplate | None, context_tokens: int) -> None:
        self._tokenizer = tokenizer
        self._template = template
        self.context_tokens = context_tokens
        self._written = [*map(tokenizer.written_bytes, range(tokenizer.vocabulary_tokens))]
        self._token_bytes_max = max(map(len, self._written))
        self._special = re.compile(f"({_alternatives(tokenizer.special_tokens)})")

    async def tokens(self, prompt: PromptInput) -> list[int]:
        """Give the prompt's tokens.

        Raises:
            InvalidArgument: it leaves no room for an answer (CONTEXT_LENGTH_EXCEEDED), the model has no template for
                conversations (UNSUPPORTED_FEATURE), its template refuses them or it has no such token
                (INVALID_ARGUMENT).
        """
        if isinstance(prompt, tuple):
            self._check_tokens(prompt)
            return list(prompt)
        text = prompt if isinstance(prompt, str) else self._render(prompt)
        self._check_length(text)
        if len(text) > _INLINE_CHARACTERS_MAX:
            tokens = await asyncio.to_thread(self._encode, text)
        else:
            tokens = self._encode(text)
        check_context(len(tokens), self.context_tokens)
        if not tokens:
            raise InvalidArgument(
                "INVALID_ARGUMENT", "The prompt is empty.", metadata={"field": "input.prompt"}
            )
        return tokens

    def text(self, tokens: Tokens) -> str:
        """Give the text of tokens, special ones written out; bytes that are no UTF-8 are U+FFFD.

        Raises:
            InvalidArgument: the model has no such token (INVALID_ARGUMENT), or has no room for so many
                (CONTEXT_LENGTH_EXCEEDED).
        """
        self._check_tokens(tokens)
        return b"".join(map(self._written.__getitem__, tokens)).decode(errors="replace")

    def _check_tokens(self, tokens: Tokens) -> None:
        check_context(len(tokens), self.context_tokens)
        if max(tokens) >= len(self._written):
            raise InvalidArgument(
                "INVALID_ARGUMENT",
                f"Token ids of this model are below {len(self._written)}.",
                metadata={"field": "input.tokens"},
            )

    def _render(self, chat: Chat) -> str:
        if self._template is None:
            raise unsupported("input.chat", "The model has no chat template; send a prompt.")
        self._check_length("".join(turn.content for turn in chat.turns))
        if chat.uses_tools and not self._template.knows_tools:
            return self._template.render(write_tools(chat.turns, chat.tools))
        return self._template.render(chat.turns, chat.tools)

    def _encode(self, text: str) -> list[int]:
        tokens: list[int] = []
        for place, piece in enumerate(self._special.split(text)):
            if place % 2:
                tokens.append(self._tokenizer.special_tokens[piece])
            elif piece:
                tokens += self._tokenizer.encode(piece.replace(BREAK, ""), parse_special=False)
        return tokens

    def _check_length(self, text: str) -> None:
        """Refuse what cannot fit before time is spent on it: no token stands for more bytes than the longest."""
        tokens_min = len(text.encode()) // self._token_bytes_max
        check_context(tokens_min, self.context_tokens, counted=False)


def unsupported(field: str, message: str) -> InvalidArgument:
    """Say what the model cannot do."""
    return InvalidArgument("UNSUPPORTED_FEATURE", message, metadata={"field": field})


def _alternatives(tokens: Iterable[str]) -> str:
    """Match any of these; where one begins another, the longer."""
    return "|".join(map(re.escape, sorted(tokens, key=len, reverse=True)))
