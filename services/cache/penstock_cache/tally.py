"""What each organization's cache has done for it. Pure."""

from collections import OrderedDict
from dataclasses import dataclass

from penstock_cache.question import Hit, Tier

ORGANIZATIONS_MAX = 4096


@dataclass(slots=True)
class Tally:
    """What was looked for and found since the start; what is held back was not found."""

    lookups: int = 0
    exact_hits: int = 0
    semantic_hits: int = 0
    saved_cost_nanos: int = 0
    saved_generation_ms: int = 0

    def count(self, found: Hit | None) -> None:
        """Count a lookup."""
        self.lookups += 1
        if found is None or found.held_back:
            return
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

    def of(self, organization: str) -> Tally:
        """Give an organization's tally, to read or to count in."""
        tally = self._tallies.get(organization)
        if tally is None:
            tally = self._tallies[organization] = Tally()
            if len(self._tallies) > ORGANIZATIONS_MAX:
                self._tallies.popitem(last=False)
        else:
            self._tallies.move_to_end(organization)
        return tally
