"""Server-sent events (WHATWG HTML, section 9.2): bytes in whatever pieces, the data of each event out. Pure."""

import re
from collections.abc import Iterator

EVENT_BYTES_MAX = 4 * 1024 * 1024
_LINE_END = re.compile(rb"\r\n|\n|\r")


class EventTooLargeError(ValueError):
    """An event does not end within its bound."""


class EventReader:
    """Splits a byte stream into events; LF, CR and CRLF end lines, wherever the pieces are cut."""

    def __init__(self) -> None:
        self._rest = b""
        self._ended_in_cr = False
        self._data: list[bytes] = []
        self._data_bytes = 0

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Give the data of every event that this piece completes.

        Raises:
            EventTooLargeError: an event is larger than 4 MiB.
        """
        if not piece:
            return
        if self._ended_in_cr:  # the line has ended already; a LF now is the second half of its CRLF
            piece = piece.removeprefix(b"\n")
        self._ended_in_cr = piece.endswith(b"\r")
        *lines, self._rest = _LINE_END.split(self._rest + piece)
        if len(self._rest) + self._data_bytes > EVENT_BYTES_MAX:
            raise EventTooLargeError(f"an event is larger than {EVENT_BYTES_MAX} bytes")
        for line in lines:
            if line:
                self._line(line)
            elif self._data:
                data = b"\n".join(self._data)
                self._data, self._data_bytes = [], 0
                yield data

    def _line(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
            self._data_bytes += len(value)
