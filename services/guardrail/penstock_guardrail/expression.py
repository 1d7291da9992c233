r"""Grammars written as regular expressions: the part of RE2's syntax that says what may be found, and no more.

Characters and classes, `(?:…)`, `|`, `?`, `+`, `*`, `{m}`, `{m,n}`, `{m,}` and `\\b`. What it cannot read it refuses.
"""

import re

from penstock_guardrail.grammar import (
    BOUNDARY,
    Characters,
    Grammar,
    characters,
    either,
    literal,
    repeated,
    sequence,
)

_CLASS = re.compile(r"\[\^?\]?(?:[^\]\\]|\\.)*\]|\\[dswDSW]|\.")
_TIMES = re.compile(r"\{([0-9]+)(,)?([0-9]*)\}")
_TIMES_MAX = 1000
_SIGNS = {"?": (0, 1), "+": (1, None), "*": (0, None)}


def grammar_of(expression: str, *, ignore_case: bool = False) -> Grammar:
    """Read a regular expression.

    Raises:
        ValueError: it is not one, or one that grammars cannot write.
    """
    reader = _Reader(expression, ignore_case)
    grammar = reader.alternatives()
    if reader.at < len(expression):
        raise ValueError(f"{expression!r} has a ) too many")
    return grammar


class _Reader:
    def __init__(self, expression: str, ignore_case: bool) -> None:
        self._text = expression
        self._ignore_case = ignore_case
        self.at = 0

    def alternatives(self) -> Grammar:
        choices = [self._sequence()]
        while self._text.startswith("|", self.at):
            self.at += 1
            choices.append(self._sequence())
        return choices[0] if len(choices) == 1 else either(*choices)

    def _sequence(self) -> Grammar:
        parts: list[Grammar] = []
        while self.at < len(self._text) and self._text[self.at] not in "|)":
            parts.append(self._times(self._one()))
        return sequence(*parts)

    def _one(self) -> Grammar:
        text, at = self._text, self.at
        if text.startswith("(?:", at):
            self.at += 3
            inner = self.alternatives()
            if not text.startswith(")", self.at):
                raise ValueError(f"{text!r} lacks a )")
            self.at += 1
            return inner
        if text.startswith("\\b", at):
            self.at += 2
            return BOUNDARY
        if found := _CLASS.match(text, at):
            self.at = found.end()
            of = f"(?i:{found[0]})" if self._ignore_case else found[0]
            return characters(of, 1, 1)
        return self._literal()

    def _literal(self) -> Grammar:
        text, at = self._text, self.at
        escaped = text[at] == "\\" and at + 1 < len(text)
        character = text[at + 1] if escaped else text[at]
        if character in "ntr" and escaped:
            character = {"n": "\n", "t": "\t", "r": "\r"}[character]
        elif escaped == (character.isalnum() or not character.isascii()) and (
            escaped or character in "()[]{}?*+^$"
        ):
            raise ValueError(f"{text!r} says {text[at : at + 2]!r}, which grammars cannot write")
        self.at += 2 if escaped else 1
        return literal(character, ignore_case=self._ignore_case)

    def _times(self, one: Grammar) -> Grammar:
        text, at = self._text, self.at
        if at < len(text) and text[at] in _SIGNS:
            self.at += 1
            return _repeated(one, *_SIGNS[text[at]])
        if found := _TIMES.match(text, at):
            self.at = found.end()
            least = int(found[1])
            most = least if not found[2] else int(found[3]) if found[3] else None
            if max(least, most or 0) > _TIMES_MAX or (most is not None and most < least):
                raise ValueError(f"{text!r} repeats {found[0]}")
            return _repeated(one, least, most)
        return one


def _repeated(one: Grammar, least: int, most: int | None) -> Grammar:
    if len(one) == 1 and isinstance(one[0], Characters) and one[0].least == one[0].most == 1:
        return characters(one[0].of, least, most)
    return repeated(one, least, most)
