"""One request in the batch loop."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from servicekit.errors import ServiceError

from penstock_inference.answer import Answer, Delta
from penstock_inference.sequence import Sequence
from penstock_inference.usage_record import Attempt

Outcome = Delta | ServiceError


@dataclass(slots=True, eq=False)
class Job:
    """Answers that are generated side by side, and the record of what they use.

    Once it is submitted, the batch loop owns the sequences and the delivery the rest; `receive` is called in the event
    loop, with an answer's place and what is new about it.
    """

    sequences: list[Sequence]
    answers: list[Answer]  # one for each of them
    attempt: Attempt
    receive: Callable[[int, Outcome], None]
    submit_time: float = field(default_factory=time.monotonic)
    open: set[Sequence] = field(init=False)

    def __post_init__(self) -> None:
        self.open = set(self.sequences)

    def end(self, sequence: Sequence) -> None:
        """Note that one of the answers ended, in whatever way."""
        self.open.discard(sequence)
        self.attempt.ended = not self.open


@dataclass(frozen=True, slots=True)
class Result:
    """What is new about one answer."""

    job: Job
    index: int
    outcome: Outcome


def deliver(results: list[Result]) -> None:
    """Pass results on, in the event loop."""
    for result in results:
        result.job.receive(result.index, result.outcome)
