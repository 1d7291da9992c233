"""Which sequence is in which slot of the engine's KV memory."""

from penstock_inference.engines import EngineLimits
from penstock_inference.plan import Plan, SlotCopy
from penstock_inference.prefixes import SlotPrefixes
from penstock_inference.sequence import Sequence


class Slots:
    """Give slots and take them back. An engine may compute every slot between two that run, so they stay together."""

    def __init__(self, limits: EngineLimits) -> None:
        self._limits = limits
        self._sequences: list[Sequence | None] = [None] * limits.slots_max
        self.prefixes = SlotPrefixes(limits.slots_max, limits.block_tokens)

    @property
    def running(self) -> list[Sequence]:
        """Give the sequences in slots, by slot."""
        return [sequence for sequence in self._sequences if sequence is not None]

    @property
    def free(self) -> int:
        """Count the empty slots."""
        return self._sequences.count(None)

    def take(self, sequence: Sequence, plan: Plan) -> None:
        """Give a sequence a slot, and whatever others have computed of its prompt."""
        prefix = self.prefixes.find(sequence.wanted_blocks)
        slot = self._choose(prefix.slot if prefix.rows else None)
        if prefix.rows and prefix.slot != slot:
            plan.copies.append(SlotCopy(prefix.slot, slot, prefix.rows))
        self.prefixes.begin(slot, sequence.block_names, prefix.rows)
        self._sequences[slot], sequence.slot = sequence, slot
        sequence.computed_tokens = prefix.rows
        if not sequence.preemptions:
            sequence.cached_tokens = prefix.rows

    def catch_up(self, sequence: Sequence, plan: Plan) -> None:
        """Copy what others have computed of a prompt since its own reading began."""
        prefix = self.prefixes.find(sequence.wanted_blocks)
        if prefix.rows > sequence.computed_tokens:
            plan.copies.append(SlotCopy(prefix.slot, sequence.held_slot, prefix.rows))
            self.prefixes.extend(sequence.held_slot, prefix.rows)
            sequence.computed_tokens = prefix.rows

    def release(self, sequence: Sequence) -> None:
        """Empty a slot; what it holds can still be copied."""
        self._sequences[sequence.held_slot] = None
        sequence.slot = None

    def discard(self, sequence: Sequence) -> None:
        """Empty a slot, of which nothing is to be copied any more."""
        self.prefixes.begin(sequence.held_slot, [], rows=0)
        self.release(sequence)

    def close_gap(self, plan: Plan) -> None:
        """Move the highest sequence into the lowest gap."""
        running = self.running
        if not running or running[-1].held_slot - running[0].held_slot + 1 == len(running):
            return
        moved, target = running[-1], self._sequences.index(None, running[0].held_slot)
        source = moved.held_slot
        plan.copies.append(SlotCopy(source, target, moved.computed_tokens))
        self.prefixes.move(source, target)
        self._sequences[source], self._sequences[target], moved.slot = None, moved, target

    def check_integrity(self) -> None:
        """Assert what holds between any two steps."""
        for slot, sequence in enumerate(self._sequences):
            if sequence is not None:
                assert sequence.slot == slot
                assert not sequence.finished
                known = len(sequence.prompt) + len(sequence.tokens)
                assert sequence.computed_tokens < known <= self._limits.context_tokens_max
                assert sequence.preemptions or sequence.prefilling or sequence.computed_tokens == known - 1
        self.prefixes.check_integrity()

    def _choose(self, preferred: int | None) -> int:
        """Choose an empty slot beside those that run: one with the rows that are wanted, else the least useful."""
        running = self.running
        end = running[-1].held_slot + 2 if running else len(self._sequences)
        start = max(running[0].held_slot - 1, 0) if running else 0
        empty = [
            slot for slot in range(start, min(end, len(self._sequences))) if self._sequences[slot] is None
        ]
        if not empty:
            empty = [self._sequences.index(None)]
        return preferred if preferred in empty else min(empty, key=self.prefixes.value)
