r"""Grammars of what detectors match, over canonical views: bytes, one a character.

A regular expression says whether a text holds a word. A stream has to know as well whether what it has so far
may yet become one, and no linear-time engine tells (RE2 has no partial matching). So detectors write grammars.
`words` gives the RE2 pattern of a grammar, to find words with; `derivatives` gives what may still follow once a
character was read (Brzozowski 1964, Antimirov 1996), which `live.py` makes an automaton of.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from penstock_guardrail.pattern import escaped, members

Grammar = tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Characters:
    """Between `least` and `most` characters of a class, without end when `most` is None."""

    of: str
    least: int
    most: int | None

    def words(self) -> str:
        """Give the RE2 pattern of this node."""
        return self.of if self.least == self.most == 1 else f"{self.of}{_times(self.least, self.most)}"

    def derivatives(self, rest: Grammar, byte: int, at_boundary: bool) -> Iterator[Grammar]:
        """Give what may follow after a character, this node standing before `rest`."""
        if byte in members(self.of):
            yield (*_one_less(self), *rest)
        if self.least == 0:
            yield from derivatives(rest, byte, at_boundary)


@dataclass(frozen=True, slots=True)
class Either:
    """One of several grammars."""

    choices: tuple[Grammar, ...]

    def words(self) -> str:
        """Give the RE2 pattern of this node."""
        return f"(?:{'|'.join(words(choice) for choice in self.choices)})"

    def derivatives(self, rest: Grammar, byte: int, at_boundary: bool) -> Iterator[Grammar]:
        """Give what may follow after a character, this node standing before `rest`."""
        for choice in self.choices:
            yield from derivatives((*choice, *rest), byte, at_boundary)


@dataclass(frozen=True, slots=True)
class Repeated:
    """The same grammar between `least` and `most` times, without end when `most` is None."""

    part: Grammar
    least: int
    most: int | None

    def words(self) -> str:
        """Give the RE2 pattern of this node."""
        return f"(?:{words(self.part)}){_times(self.least, self.most)}"

    def derivatives(self, rest: Grammar, byte: int, at_boundary: bool) -> Iterator[Grammar]:
        """Give what may follow after a character, this node standing before `rest`."""
        yield from derivatives((*self.part, *_one_less(self), *rest), byte, at_boundary)
        if self.least == 0:
            yield from derivatives(rest, byte, at_boundary)


@dataclass(frozen=True, slots=True)
class Boundary:
    """Nothing, between a character of [0-9A-Za-z_] and one that is not, or at an end of the text."""

    def words(self) -> str:
        """Give the RE2 pattern of this node."""
        return r"\b"

    def derivatives(self, rest: Grammar, byte: int, at_boundary: bool) -> Iterator[Grammar]:
        """Give what may follow after a character, this node standing before `rest`."""
        if at_boundary:
            yield from derivatives(rest, byte, at_boundary)


Node = Characters | Either | Repeated | Boundary

BOUNDARY: Grammar = (Boundary(),)


def characters(of: str, least: int = 1, most: int | None = None) -> Grammar:
    """Match characters of a class, written as RE2 does: `characters("[0-9]", 2, 4)`."""
    return (Characters(of, least, most),)


def literal(text: str, *, ignore_case: bool = False) -> Grammar:
    """Match a text as it is."""
    return tuple(Characters(_class_of(character, ignore_case), 1, 1) for character in text)


def literals(*texts: str, ignore_case: bool = False) -> Grammar:
    """Match one of several texts."""
    return either(*(literal(text, ignore_case=ignore_case) for text in texts))


def sequence(*parts: Grammar) -> Grammar:
    """Match one after the other."""
    return tuple(node for part in parts for node in part)


def either(*choices: Grammar) -> Grammar:
    """Match one of several."""
    return (Either(choices),)


def repeated(part: Grammar, least: int, most: int | None = None) -> Grammar:
    """Match the same several times. What may be repeated without end must not match nothing."""
    return (Repeated(part, least, most),)


def optional(part: Grammar) -> Grammar:
    """Match it or nothing."""
    return repeated(part, 0, 1)


def words(grammar: Grammar) -> str:
    """Give the RE2 pattern of all words."""
    return "".join(node.words() for node in grammar)


def derivatives(grammar: Grammar, byte: int, at_boundary: bool) -> Iterator[Grammar]:
    """Give what may follow after one character: words(grammar) that begin with `byte` go on as words of one of these.

    Args:
        grammar: what may follow before it.
        byte: the character read.
        at_boundary: whether a BOUNDARY holds before it.
    """
    if grammar:
        yield from grammar[0].derivatives(grammar[1:], byte, at_boundary)


def _one_less(node: Characters | Repeated) -> Grammar:
    """Give what remains of a repetition when one is done."""
    if node.most == 1:
        return ()
    most = None if node.most is None else node.most - 1
    return (replace(node, least=max(0, node.least - 1), most=most),)


def _times(least: int, most: int | None) -> str:
    return f"{{{least},{'' if most is None else most}}}"


def _class_of(character: str, ignore_case: bool) -> str:
    if ignore_case and character.isalpha():
        return f"[{character.lower()}{character.upper()}]"
    return escaped(character)
