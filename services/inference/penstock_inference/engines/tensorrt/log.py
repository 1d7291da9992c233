"""What TensorRT says."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

_ERROR = 1  # severities that are no greater are faults
_FAULTS_KEPT_MAX = 16


class Log:
    """Faults, the last of them, and while somebody records everything.

    A process has one: TensorRT keeps the first logger that it is given, and ignores all others.
    """

    def __init__(self) -> None:
        self._faults: deque[str] = deque(maxlen=_FAULTS_KEPT_MAX)
        self._records: list[list[str]] = []

    def note(self, severity: int, message: str) -> None:
        """Take what was said."""
        if severity <= _ERROR:
            self._faults.append(message.strip())
        for record in self._records:
            record.append(message)

    @contextmanager
    def recording(self) -> Iterator[list[str]]:
        """Collect what is said meanwhile, and begin to count faults anew."""
        record: list[str] = []
        self._faults.clear()
        self._records.append(record)
        try:
            yield record
        finally:
            self._records.remove(record)

    @property
    def faults(self) -> str:
        """Give the faults in TensorRT's words."""
        return "; ".join(self._faults) or "it did not say why"
