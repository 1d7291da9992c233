"""Time as the ledger keeps it: integer microseconds since the Unix epoch, UTC."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp
from servicekit.errors import InvalidArgument

SECOND_US = 1_000_000
HOUR_US = 3600 * SECOND_US
DAY_US = 24 * HOUR_US

# How much later than now an operation may say that it ended.
AHEAD_US = HOUR_US
# No two clocks differ by more: nothing is posted earlier than that before it happened.
CLOCKS_DIFFER_US = DAY_US

Clock = Callable[[], datetime]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SECONDS_MAX = 253_402_300_799
_NANOS = 1_000_000_000


def utc_now() -> datetime:
    """Tell the time."""
    return datetime.now(UTC)


def to_us(at: datetime) -> int:
    """Write an aware time."""
    return (at - _EPOCH) // _MICROSECOND


def from_us(at_us: int) -> datetime:
    """Read an aware time."""
    return _EPOCH + timedelta(microseconds=at_us)


def year_start_us(at_us: int) -> int:
    """Give the midnight UTC that began the year."""
    return month_start_us(to_us(from_us(at_us).replace(month=1, day=1)))


def month_start_us(at_us: int) -> int:
    """Give the midnight UTC that began the month."""
    return to_us(from_us(at_us).replace(day=1, hour=0, minute=0, second=0, microsecond=0))


def rfc3339(at_us: int) -> str:
    """Write a time for people, to the second."""
    return from_us(at_us).strftime("%Y-%m-%dT%H:%M:%SZ")


def from_timestamp(timestamp: Timestamp) -> int:
    """Read a wire time; what is finer than a microsecond is cut.

    Raises:
        InvalidArgument: it lies before 1970 or after 9999 (INVALID_ARGUMENT).
    """
    if not (0 <= timestamp.seconds <= _SECONDS_MAX and 0 <= timestamp.nanos < _NANOS):
        raise InvalidArgument("INVALID_ARGUMENT", "A time lies before 1970 or after 9999.")
    return timestamp.seconds * SECOND_US + timestamp.nanos // 1000


def to_timestamp(at_us: int) -> Timestamp:
    """Write a wire time."""
    seconds, rest_us = divmod(at_us, SECOND_US)
    return Timestamp(seconds=seconds, nanos=rest_us * 1000)
