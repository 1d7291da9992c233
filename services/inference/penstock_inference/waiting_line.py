"""Who waits for a slot, and whose turn is next."""

from collections.abc import Iterator

from penstock_inference.fairness import TokenCounters
from penstock_inference.sequence import Sequence

AGEING_SECONDS = 5.0  # who has waited so long is one priority better
_SHARE = 3  # a tenant may fill so many times the places that it leaves free

Turn = tuple[int, int, int]


class WaitingLine:
    """Order by priority, which improves with waiting; then by what tenants were served; then by arrival.

    So nobody starves: after nine times AGEING_SECONDS everybody is of the first priority, where tenants take turns.
    """

    def __init__(self, counters: TokenCounters) -> None:
        self._counters = counters
        # By tenant and priority, in order of arrival: only the first of each can be next.
        self._queues: dict[tuple[str, int], dict[int, Sequence]] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Sequence]:
        for queue in self._queues.values():
            yield from queue.values()

    def takes(self, tenant: str, count: int, places: int) -> bool:
        """Tell whether so many more find a place.

        A tenant's part shrinks as the line fills, so that there is room for others (dynamic thresholds, Choudhury and
        Hahne, ToN 1998).
        """
        free = places - self._size
        return count <= free and self._counters.waiting(tenant) + count <= max(_SHARE * free, count)

    def add(self, sequence: Sequence) -> None:
        """Let a sequence wait; one that waited before takes its old place."""
        key = (sequence.organization, sequence.urgency.priority)
        queue = self._queues.setdefault(key, {})
        queue[sequence.arrival] = sequence
        if sequence.preemptions and len(queue) > 1:
            self._queues[key] = dict(sorted(queue.items()))
        self._counters.join(sequence.organization)
        self._size += 1

    def remove(self, sequence: Sequence) -> None:
        """Let a sequence go."""
        key = (sequence.organization, sequence.urgency.priority)
        queue = self._queues[key]
        del queue[sequence.arrival]
        if not queue:
            del self._queues[key]
        self._counters.leave(sequence.organization)
        self._size -= 1

    def first(self, now: float) -> Sequence | None:
        """Give whose turn is next."""
        heads = (next(iter(queue.values())) for queue in self._queues.values())
        return min(heads, key=lambda sequence: self.turn(sequence, now), default=None)

    def turn(self, sequence: Sequence, now: float) -> Turn:
        """Give a sequence's place in the order: less is sooner."""
        return level(sequence, now), self._counters.served(sequence.organization), sequence.arrival


def level(sequence: Sequence, now: float) -> int:
    """Give the priority that a sequence has by now."""
    return max(1, sequence.urgency.priority - int((now - sequence.submit_time) / AGEING_SECONDS))
