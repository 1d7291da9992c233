"""Hold answers to a form: which tokens may come next, computed by llguidance beside the engine's step."""

import functools
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import MappingProxyType

import llguidance
import numpy as np
from llguidance.gbnf_to_lark import gbnf_to_lark
from servicekit.errors import InvalidArgument

from penstock_inference.forms import Form, Notation
from penstock_inference.sampling import Bits
from penstock_inference.tokenizer import Tokenizer

_COMPILED_MAX = 64  # forms that are remembered
_REMEMBERED_CHARACTERS_MAX = 32_768  # of one: what is larger may hold much memory
_MASK_SECONDS_MAX = 10.0  # one takes a tenth of a millisecond
_MASK_ITEMS_MAX = 10_000  # of the parser
# Of the processor's time, at once and each token: who takes more, as ambiguous grammars do, would hold up all others.
_SECONDS_MAX, _TOKEN_SECONDS_MAX = 1.0, 0.01

_READERS: MappingProxyType[Notation, Callable[[str], str]] = MappingProxyType(
    {
        Notation.JSON_SCHEMA: llguidance.LLMatcher.grammar_from_json_schema,
        Notation.REGEX: llguidance.LLMatcher.grammar_from_regex,
        Notation.LARK: llguidance.LLMatcher.grammar_from_lark,
        Notation.GBNF: lambda text: llguidance.LLMatcher.grammar_from_lark(_lark(text)),
    }
)


class Grammars:
    """Compile forms for one model's vocabulary. Thread-safe."""

    def __init__(self, tokenizer: Tokenizer, vocabulary_tokens: int, end_tokens: Sequence[int]) -> None:
        """Read the vocabulary, which takes a fifth of a second. A form can be ended by any of `end_tokens`."""
        self._tokenizer = llguidance.LLTokenizer(
            llguidance.TokenizerWrapper(_Vocabulary(tokenizer, vocabulary_tokens, end_tokens)),
            n_vocab=vocabulary_tokens,
            eos_token=list(end_tokens),
        )
        self._only_ends = _bits(end_tokens, vocabulary_tokens)
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="grammar")
        self._compiled = functools.lru_cache(maxsize=_COMPILED_MAX)(self._compile)

    def compile(self, form: Form) -> "Grammar":
        """Compile a form, which may take a second; those of late are remembered.

        Raises:
            InvalidArgument: it is not valid, or asks for what cannot be enforced (INVALID_ARGUMENT).
        """
        return self._compiled(form) if len(form.text) <= _REMEMBERED_CHARACTERS_MAX else self._compile(form)

    def close(self) -> None:
        """Stop the worker; no mask may be asked for any more."""
        self._worker.shutdown()

    def _compile(self, form: Form) -> "Grammar":
        try:
            read = _READERS[form.notation](form.text)
        except ValueError as error:
            raise _refusal(form, str(error)) from error
        limits = llguidance.LLParserLimits(step_max_items=_MASK_ITEMS_MAX)
        matcher = llguidance.LLMatcher(self._tokenizer, read, log_level=0, limits=limits)
        if matcher.is_error():
            raise _refusal(form, matcher.get_error())
        return Grammar(matcher, self._worker, self._only_ends)


def _lark(gbnf: str) -> str:
    """Translate a grammar. Raises ValueError for what is none."""
    try:
        return gbnf_to_lark(gbnf)
    except Exception as error:  # it raises bare ones, too: for a rule that is missing
        raise ValueError(str(error)) from error


def _refusal(form: Form, why: str) -> InvalidArgument:
    return InvalidArgument(
        "INVALID_ARGUMENT",
        f"It is not {form.notation.value} that can be enforced: {why}",
        metadata={"field": "constraint.response_format"},
    )


class Grammar:
    """A compiled form, from which each answer begins anew."""

    def __init__(self, matcher: llguidance.LLMatcher, worker: ThreadPoolExecutor, only_ends: Bits) -> None:
        self._matcher = matcher
        self._worker = worker
        self._only_ends = only_ends

    def begin(self) -> "GrammarMask":
        """Begin an answer."""
        return GrammarMask(self._matcher.deep_copy(), self._worker, self._only_ends)


class GrammarMask:
    """Implement TokenMask: one answer's way through its form. The next mask is computed while the engine steps."""

    def __init__(self, matcher: llguidance.LLMatcher, worker: ThreadPoolExecutor, only_ends: Bits) -> None:
        self._matcher = matcher
        self._worker = worker
        self._only_ends = only_ends
        self._seconds_left = _SECONDS_MAX
        self._error = ""
        self._next: Future[Bits] = worker.submit(self._allowed)

    def allowed(self) -> Bits:
        """Tell which tokens may come next; one at least may."""
        return self._next.result(_MASK_SECONDS_MAX)

    def advance(self, token: int) -> None:
        """Go on by a token that may come."""
        self._next = self._worker.submit(self._allowed, token)

    def check(self) -> None:
        """Tell, once the answer has ended, whether it is of its form.

        Raises:
            InvalidArgument: the form takes more work to follow than is allowed (INVALID_ARGUMENT).
        """
        if self._error:
            raise InvalidArgument(
                "INVALID_ARGUMENT",
                f"The form takes more work to follow than is allowed: {self._error}",
                metadata={"field": "constraint.response_format"},
            )

    def _allowed(self, token: int | None = None) -> Bits:
        began = time.thread_time()
        if token is not None:
            self._matcher.consume_token(token)
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        taken = time.thread_time() - began
        self._seconds_left = min(self._seconds_left + _TOKEN_SECONDS_MAX, _SECONDS_MAX) - taken
        if self._matcher.is_error():  # then it allows the end only
            self._error = self._matcher.get_error().partition("\n")[0]
        elif self._seconds_left < 0 and not self._matcher.is_stopped():
            self._error = "what may come next takes too long to tell"
            return self._only_ends
        return bits


def _bits(tokens: Sequence[int], vocabulary_tokens: int) -> Bits:
    """Write tokens as llguidance writes masks: a bit for each of the vocabulary, in whole words of 32."""
    flags = np.zeros(-(-vocabulary_tokens // 32) * 32, np.bool_)
    flags[list(tokens)] = True
    return np.packbits(flags, bitorder="little")


class _Vocabulary:
    """What llguidance asks of a tokenizer."""

    bos_token_id = None

    def __init__(self, tokenizer: Tokenizer, vocabulary_tokens: int, end_tokens: Sequence[int]) -> None:
        self._tokenizer = tokenizer
        self.eos_token_id = end_tokens[0]
        self.tokens = [tokenizer.token_bytes(token) for token in range(vocabulary_tokens)]
        self.special_token_ids = sorted(tokenizer.special_tokens.values())
        for text, token in tokenizer.special_tokens.items():
            self.tokens[token] = text.encode()

    def __call__(self, text: bytes) -> list[int]:
        return self._tokenizer.encode_within(text.decode(errors="replace"))
