"""What each organization's cache has done for it. Pure."""

from collections import OrderedDict
from dataclasses import dataclass

from penstock_cache.ahead import Ahead
from penstock_cache.entry import Entry
from penstock_cache.question import Hit, Tier

ORGANIZATIONS_MAX = 4096


@dataclass(slots=True)
class Tally:
    """What was looked for, found, and made ahead, since the start."""

    lookups: int = 0
    exact_hits: int = 0
    semantic_hits: int = 0
    saved_cost_nanos: int = 0
    saved_generation_ms: int = 0
    ahead_answers: int = 0
    ahead_useful: int = 0
    ahead_wasted: int = 0
    wasted_cost_nanos: int = 0

    def hit(self, found: Hit) -> None:
        """Count an answer that was given."""
        if found.tier is Tier.L3:
            self.semantic_hits += 1
        else:
            self.exact_hits += 1
        self.saved_cost_nanos += found.entry.answer.cost_nanos
        self.saved_generation_ms += found.entry.answer.generation_ms


class Tallies:
    """The tallies of the organizations that asked last."""

    def __init__(self) -> None:
        self._tallies: OrderedDict[str, Tally] = OrderedDict()
        self._ahead = Ahead()
        self.all = Tally()  # of every organization, those that are not known any more too

    def of(self, organization: str) -> Tally:
        """Give an organization's tally."""
        tally = self._tallies.get(organization)
        if tally is None:
            tally = self._tallies[organization] = Tally()
            if len(self._tallies) > ORGANIZATIONS_MAX:
                self._tallies.popitem(last=False)
        else:
            self._tallies.move_to_end(organization)
        return tally

    def count(self, organization: str, found: Hit | None) -> Hit | None:
        """Count a lookup, and give what it found; what was made ahead is L4's. What is held back was not found."""
        tally = self.of(organization)
        tally.lookups += 1
        if found is None or found.held_back:
            return found
        tally.hit(found)
        if not self._ahead.asked(organization, found.entry.key):
            return found
        for each in (tally, self.all):
            each.ahead_useful += 1
        return found._replace(tier=Tier.L4) if found.tier is not Tier.L3 else found

    def kept_ahead(self, organization: str, entry: Entry) -> None:
        """Count an answer that nobody asked for yet."""
        for each in (self.of(organization), self.all):
            each.ahead_answers += 1
        self._ahead.note(organization, entry.key, entry.answer.cost_nanos, entry.expires_at)

    def expire(self, now: float, _entries_max: int) -> int:
        """Count what nobody asked for in time, for the sweeper."""
        for unasked in self._ahead.expire(now):
            for each in (self.of(unasked.organization), self.all):
                each.ahead_wasted += 1
                each.wasted_cost_nanos += unasked.cost_nanos
        return 0
