"""A transaction as steps: it says what to read and write, and whoever runs it does so.

The same steps run in SQLite's thread, on PostgreSQL's connection, and in a simulation.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from penstock_billing.statements import Find, Row, Save

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Lock:
    """Keep other replicas off these names until the transaction ends."""

    names: Sequence[str]


@dataclass(frozen=True, slots=True)
class Fetch:
    """Read the rows that these keys find."""

    find: Find
    keys: Sequence[str]


@dataclass(frozen=True, slots=True)
class Write:
    """Write rows, each statement with its own."""

    saves: Sequence[tuple[Save, Sequence[Row]]]


Step = Lock | Fetch | Write
# Each step is answered with the rows that it found.
Steps = Generator[Step, Sequence[Row], Result]
