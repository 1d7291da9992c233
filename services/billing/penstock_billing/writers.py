"""What runs the steps of a transaction where its rows are: in SQLite's thread, or over a connection to PostgreSQL."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from servicekit.errors import Unavailable
from servicekit.logging import get_logger

from penstock_billing.statements import Row
from penstock_billing.steps import Step, Steps

Result = TypeVar("Result")

log = get_logger(__name__)


class Writer(Protocol):
    """Runs transactions of the hot path, one after the other."""

    async def run(self, begin: Callable[[], Steps[Result]]) -> Result:
        """Run the steps in a transaction: committed when they end, rolled back when they raise.

        Raises:
            Unavailable: the store does not answer, or its lock was not got in time (STORAGE_UNAVAILABLE).
        """

    async def close(self) -> None:
        """Give the connection back."""


def drive(steps: Steps[Result], run: Callable[[Step], Sequence[Row]]) -> Result:
    """Run steps to their end."""
    found: Sequence[Row] = ()
    try:
        step = next(steps)
        while True:
            found = run(step)
            step = steps.send(found)
    except StopIteration as end:
        result: Result = end.value
        return result


def lock_key(name: str) -> int:
    """Give the number that a name is locked by."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), signed=True)


def unavailable(error: BaseException) -> Unavailable:
    """Say that the store does not answer, and log why."""
    log.warning("store_unavailable", error=str(error) or type(error).__name__)
    message = "The store does not answer; retry."
    return Unavailable("STORAGE_UNAVAILABLE", message, metadata={"store": "database"})
