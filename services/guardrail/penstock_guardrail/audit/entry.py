"""An entry of the audit log: what was decided, and on whose request. It never holds a text or a value."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

# Which way the texts flow that a decision is on.
INPUT, OUTPUT = "input", "output"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DAY_US = 86_400 * 1_000_000


@dataclass(frozen=True, slots=True)
class Entry:
    """A record, as bytes that are committed to, and what of it the log must know."""

    id: str
    organization: str
    user: str
    expire_us: int
    time_us: int
    record: bytes


def make_record(kind: str, *, entry_id: str, time_us: int, retention_days: int, **facts: Any) -> bytes:
    """Write a record: JSON of one line. `facts` hold `organization` and `user`."""
    content = {"kind": kind, "id": entry_id, "time_us": time_us, "retention_days": retention_days, **facts}
    return orjson.dumps(content)


def read_record(record: bytes) -> Entry:
    """Read back what the log must know.

    Raises:
        ValueError: it is none.
        KeyError: it lacks a field.
    """
    content = orjson.loads(record)
    time_us = content["time_us"]
    expire_us = time_us + content["retention_days"] * _DAY_US
    return Entry(content["id"], content["organization"], content["user"], expire_us, time_us, record)


def to_us(time: datetime) -> int:
    """Give a time in microseconds since the epoch."""
    return (time - _EPOCH) // _MICROSECOND


def counted(names: Iterable[str]) -> dict[str, int]:
    """Count names, in the order of their first occurrence."""
    return dict(Counter(names))
