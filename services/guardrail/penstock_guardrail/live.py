"""Which matches are open: begun, and not yet known to fail or to be whole.

An automaton reads a text once, character by character, and knows at any time where the earliest open match
began: what a stream must hold back, and not one character more. A state is what the grammars may go on with
(their derivatives) after what was read since one place; two places in the same state have the same future, so
only the earlier is followed. States are made when they are first met and kept, so that reading a character is a
look-up or two.
"""

from collections.abc import Sequence

from penstock_guardrail.detectors.detector import MATCH_CHARACTERS_MAX
from penstock_guardrail.grammar import Grammar, derivatives, either

_STATES_MAX = 65_536
_AT_BOUNDARY = 256
_WORD = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz")

Goals = frozenset[Grammar]


class State:
    """What may follow, and where each character leads: to another state or, when nothing may follow, to None."""

    __slots__ = ("goals", "steps")

    def __init__(self, goals: Goals) -> None:
        self.goals = goals
        self.steps: dict[int, State | None] = {}


class Automaton:
    """The states of some grammars, shared by all texts."""

    def __init__(self, grammars: Sequence[Grammar]) -> None:
        self.initial = State(frozenset((either(*grammars),)))
        self._states: dict[Goals, State] = {}

    def step(self, state: State, key: int) -> State | None:
        """Make the step from a state by a character (plus 256 at a boundary) that it has not met."""
        byte, at_boundary = key & 0xFF, key >= _AT_BOUNDARY
        follow = (rest for goal in state.goals for rest in derivatives(goal, byte, at_boundary))
        # What is whole and cannot grow is decided, so it is not open.
        goals = frozenset(rest for rest in follow if rest)
        state.steps[key] = after = self._state(goals) if goals else None
        return after

    def _state(self, goals: Goals) -> State:
        found = self._states.get(goals)
        if found is None:
            if len(self._states) >= _STATES_MAX:
                self._forget()
            found = self._states[goals] = State(goals)
        return found

    def _forget(self) -> None:
        self._states.clear()
        self.initial.steps.clear()


class OpenMatches:
    """The open matches of one text."""

    def __init__(self, automaton: Automaton) -> None:
        self._automaton = automaton
        self._starts: dict[State, int] = {}
        self._position = 0
        self._after_word = False

    def read(self, characters: bytes) -> int:
        """Read what follows; give where the earliest open match began, the end of the text when none is open.

        Matches that began longer ago than a match may be long are not followed.
        """
        characters = self._skip(characters)
        step, initial, starts = self._automaton.step, self._automaton.initial, self._starts
        for position, byte in enumerate(characters, self._position):
            is_word = byte in _WORD
            key = byte if is_word == self._after_word else byte + _AT_BOUNDARY
            self._after_word = is_word
            open_starts: dict[State, int] = {}
            for state, start in (*starts.items(), (initial, position)):
                after = state.steps[key] if key in state.steps else step(state, key)
                if after is not None:
                    open_starts.setdefault(after, start)
            starts = open_starts
        self._starts = starts
        self._position += len(characters)
        return next(iter(starts.values()), self._position)

    def _skip(self, characters: bytes) -> bytes:
        """Pass over what is too long ago to matter, and give the rest."""
        skipped = len(characters) - MATCH_CHARACTERS_MAX
        if skipped <= 0:
            return characters
        self._starts = {}
        self._position += skipped
        self._after_word = characters[skipped - 1] in _WORD
        return characters[skipped:]
