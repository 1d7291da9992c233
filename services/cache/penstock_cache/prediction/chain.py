"""What one organization asks after what: a Markov chain of variable order over templates, with counters. Pure.

Back-off: T. Brants et al., "Large language models in machine translation", EMNLP 2007 (stupid back-off).
Discount: H. Ney et al., "On structuring probabilistic dependences in stochastic language modelling", 1994.
"""

from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from penstock_cache.prediction.template import Template, advance, parse, steps

ORDER = 3
BACK_OFF = 0.4
DISCOUNT = 0.75  # of how often a step was seen: one that was seen once says little
PREDICTIONS_MAX = 5
CONTEXTS_MAX = 20_000
LANES_MAX = 5_000
FOLLOWERS_MAX = 32
TEMPLATES_MAX = 16
LANE_SECONDS_MAX = 1800.0  # after a longer pause a user begins anew


class Prediction(NamedTuple):
    """A question that may come next."""

    text: str
    probability: float


class LaneName(NamedTuple):
    """Whose questions follow each other: a user's, in one room, after one conversation."""

    user: str
    room: bytes
    history: bytes


class _Asked(NamedTuple):
    """A template as a user asked it: its numbers the last time, and how often."""

    numbers: tuple[str, ...]
    times: int


@dataclass(slots=True)
class _Lane:
    asked_at: float = 0.0
    recent: tuple[Template, ...] = ()
    asked: "OrderedDict[Template, _Asked]" = field(default_factory=OrderedDict)
    predicted: frozenset[str] = frozenset()


# What was seen, and whom it was seen of: a person's part can be taken out.
_Seen = tuple[str, object]
Key = TypeVar("Key")
Value = TypeVar("Value")


class Chain:
    """Learns from each question and says what may come next. Everything in it is bounded; the oldest goes first."""

    def __init__(self) -> None:
        self._lanes: OrderedDict[LaneName, _Lane] = OrderedDict()
        self._followers: OrderedDict[tuple[bytes, tuple[Template, ...]], Counter[_Seen]] = OrderedDict()
        self._steps: OrderedDict[tuple[bytes, Template], Counter[_Seen]] = OrderedDict()
        self.right = self.wrong = 0

    def __len__(self) -> int:
        return len(self._lanes) + len(self._followers) + len(self._steps)

    def observe(self, name: LaneName, text: str, now: float) -> list[Prediction]:
        """Learn from a question and predict the next ones, the likeliest first."""
        template, numbers = parse(text)
        lane = self._lane(name, now)
        if lane.predicted:
            self.right += text in lane.predicted
            self.wrong += text not in lane.predicted
        self._learn(name, lane, template, numbers)
        predictions = self._predict(name, lane)
        lane.predicted = frozenset(prediction.text for prediction in predictions)
        return predictions

    def forget(self, user: str) -> None:
        """Forget a user: where they are, and what was learnt from them."""
        for name in [each for each in self._lanes if each.user == user]:
            del self._lanes[name]
        _take_out(self._followers, user)
        _take_out(self._steps, user)

    def _lane(self, name: LaneName, now: float) -> _Lane:
        lane = self._lanes.get(name)
        if lane is None or now - lane.asked_at > LANE_SECONDS_MAX:
            lane = self._lanes[name] = _Lane()
        lane.asked_at = now
        _keep(self._lanes, name, LANES_MAX)
        return lane

    def _learn(self, name: LaneName, lane: _Lane, template: Template, numbers: tuple[str, ...]) -> None:
        for order in range(1, len(lane.recent) + 1):
            context = (name.room, lane.recent[-order:])
            _count(self._followers.setdefault(context, Counter()), (name.user, template))
            _keep(self._followers, context, CONTEXTS_MAX)
        before = lane.asked.get(template, _Asked((), 0))
        if before.numbers:
            moved = steps(before.numbers, numbers)
            _count(self._steps.setdefault((name.room, template), Counter()), (name.user, moved))
            _keep(self._steps, (name.room, template), CONTEXTS_MAX)
        lane.asked[template] = _Asked(numbers, before.times + 1)
        _keep(lane.asked, template, TEMPLATES_MAX)
        lane.recent = (*lane.recent, template)[-ORDER:]

    def _predict(self, name: LaneName, lane: _Lane) -> list[Prediction]:
        """Ask the longest context first; a shorter one counts less, and only for what is not known yet.

        The shortest is none at all: what the user counts through, whatever is asked in between.
        """
        found: dict[str, float] = {}
        for shorter, order in enumerate(range(len(lane.recent), 0, -1)):
            seen = self._followers.get((name.room, lane.recent[-order:]), Counter())
            followers = _by_value(seen).most_common(PREDICTIONS_MAX)
            self._add(found, name.room, lane, followers, BACK_OFF**shorter / max(1, seen.total()))
        times = sum(asked.times for asked in lane.asked.values())
        counted = [(template, asked.times) for template, asked in lane.asked.items() if asked.numbers]
        self._add(found, name.room, lane, counted, BACK_OFF ** len(lane.recent) / times)
        likeliest = sorted(found.items(), key=lambda each: -each[1])[:PREDICTIONS_MAX]
        return [Prediction(text, probability) for text, probability in likeliest]

    def _add(
        self,
        found: dict[str, float],
        room: bytes,
        lane: _Lane,
        followers: Sequence[tuple[object, int]],
        weight: float,
    ) -> None:
        """Add what a context says, as likely as its template, and the way that its numbers go on, are common."""
        for template, count in followers:
            assert isinstance(template, Template)
            text, share = self._fill(room, lane, template)
            if text:
                found.setdefault(text, weight * share * count)

    def _fill(self, room: bytes, lane: _Lane, template: Template) -> tuple[str, float]:
        """Let the numbers go on as they most often did, and tell how often; nothing where that is not known."""
        if len(template.pieces) == 1:
            return template.pieces[0], 1.0
        asked, seen = lane.asked.get(template), self._steps.get((room, template))
        if asked is None or not seen:
            return "", 0.0
        [(by, count)] = _by_value(seen).most_common(1)
        assert isinstance(by, tuple)
        moved = advance(asked.numbers, by)
        share = (count - DISCOUNT) / seen.total()
        return ("", 0.0) if moved is None else (template.fill(moved), share)


def _by_value(seen: Counter[_Seen]) -> Counter[object]:
    """Add up over users."""
    counts: Counter[object] = Counter()
    for (_, value), count in seen.items():
        counts[value] += count
    return counts


def _count(seen: Counter[_Seen], what: _Seen) -> None:
    seen[what] += 1
    if len(seen) > FOLLOWERS_MAX:
        del seen[min(seen, key=seen.__getitem__)]


def _take_out(counts: OrderedDict[Key, Counter[_Seen]], user: str) -> None:
    for key, seen in list(counts.items()):
        for each in [each for each in seen if each[0] == user]:
            del seen[each]
        if not seen:
            del counts[key]


def _keep(held: OrderedDict[Key, Value], key: Key, count_max: int) -> None:
    """Note a use, and drop what was not used for longest."""
    held.move_to_end(key)
    if len(held) > count_max:
        held.popitem(last=False)
