"""A call of a session as a servicer sees it: an RPC's context."""

import time
from collections.abc import Iterable, Sequence
from typing import Never

import grpc
import grpc.aio
from google.rpc import status_pb2
from penstock.session.v1 import session_service_pb2

from servicekit.errors import STATUS_DETAILS_KEY
from servicekit.session import CODES

_NANOS = 1_000_000_000


class CallContext:
    """What a servicer may ask of an RPC's context, for a call of a session.

    Attributes:
        status: why the call was aborted.
    """

    __slots__ = ("_deadline", "_metadata", "status")

    def __init__(self, call: session_service_pb2.Call) -> None:
        self._metadata = tuple((pair.key, pair.value) for pair in call.metadata)
        self._deadline: float | None = None
        if call.HasField("timeout"):
            self._deadline = time.monotonic() + call.timeout.seconds + call.timeout.nanos / _NANOS
        self.status: status_pb2.Status | None = None

    def invocation_metadata(self) -> Sequence[tuple[str, str]]:
        """Give the metadata that came with the call."""
        return self._metadata

    def time_remaining(self) -> float | None:
        """Tell how long the caller still waits."""
        return None if self._deadline is None else self._deadline - time.monotonic()

    def set_trailing_metadata(self, _metadata: object) -> None:
        """Send nothing: who opens a session names its calls itself."""

    def set_code(self, _code: grpc.StatusCode) -> None:
        """Take nothing, as `set_details` does: what a generated base class says so it raises, too."""

    def set_details(self, _details: str) -> None:
        """Take nothing."""

    def code(self) -> grpc.StatusCode | None:
        """Give the code of an abort."""
        return None if self.status is None else CODES[self.status.code]

    async def abort(
        self,
        code: grpc.StatusCode,
        details: str = "",
        trailing_metadata: Iterable[tuple[str, str | bytes]] = (),
    ) -> Never:
        """End the call."""
        rich = dict(trailing_metadata).get(STATUS_DETAILS_KEY)
        if isinstance(rich, bytes):
            self.status = status_pb2.Status.FromString(rich)
        else:
            self.status = status_pb2.Status(code=code.value[0], message=details)
        raise grpc.aio.AbortError
