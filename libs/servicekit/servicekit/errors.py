"""Expected failures: one exception per canonical gRPC code, one reason for programs.

ServiceError
├── InvalidArgument      INVALID_ARGUMENT      400
├── FailedPrecondition   FAILED_PRECONDITION   400
├── OutOfRange           OUT_OF_RANGE          400
├── Unauthenticated      UNAUTHENTICATED       401
├── PermissionDenied     PERMISSION_DENIED     403
├── NotFound             NOT_FOUND             404
├── AlreadyExists        ALREADY_EXISTS        409
├── Aborted              ABORTED               409
├── ResourceExhausted    RESOURCE_EXHAUSTED    429
├── Cancelled            CANCELLED             499
├── Unknown              UNKNOWN               500
├── Internal             INTERNAL              500
├── DataLoss             DATA_LOSS             500
├── Unimplemented        UNIMPLEMENTED         501
├── Unavailable          UNAVAILABLE           503
└── DeadlineExceeded     DEADLINE_EXCEEDED     504

On the wire an error is a google.rpc.Status with one ErrorInfo (AIP-193), and RetryInfo or BadRequest where they
say more.
"""
# ruff: noqa: N818 - the classes are named like the canonical codes

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Literal, Never, cast

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

DOMAIN = "penstock"
STATUS_DETAILS_KEY = "grpc-status-details-bin"
INTERNAL_MESSAGE = "Internal error. The request id leads to its trace in the logs."

# An error travels in metadata, which gRPC limits to 8 KiB by default: all of these at their longest fit.
MESSAGE_CHARACTERS_MAX = 512
METADATA_ENTRIES_MAX = 8
METADATA_CHARACTERS_MAX = 128
VIOLATIONS_MAX = 8

HTTP_CODES: Mapping[grpc.StatusCode, int] = {
    grpc.StatusCode.OK: 200,
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.UNKNOWN: 500,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DATA_LOSS: 500,
    grpc.StatusCode.UNAUTHENTICATED: 401,
}

# penstock.errors.v1.ErrorReason without its prefix; a test keeps the two equal.
Reason = Literal[
    "INVALID_ARGUMENT",
    "MALFORMED_REQUEST",
    "UNSUPPORTED_FEATURE",
    "CONTEXT_LENGTH_EXCEEDED",
    "MODEL_NOT_FOUND",
    "RESOURCE_NOT_FOUND",
    "METHOD_NOT_FOUND",
    "RESOURCE_EXISTS",
    "API_KEY_MISSING",
    "API_KEY_INVALID",
    "API_KEY_REVOKED",
    "PERMISSION_DENIED",
    "CONTENT_REFUSED",
    "BODY_TOO_LARGE",
    "RATE_LIMIT_EXCEEDED",
    "CONCURRENCY_LIMIT_EXCEEDED",
    "BUDGET_EXCEEDED",
    "PRICE_UNKNOWN",
    "HOLD_NOT_OPEN",
    "REQUEST_ID_REUSED",
    "REQUEST_IN_PROGRESS",
    "OVERLOADED",
    "DEADLINE_EXCEEDED",
    "CANCELLED",
    "DEPENDENCY_UNAVAILABLE",
    "STORAGE_UNAVAILABLE",
    "DRAINING",
    "PROVIDER_UNAVAILABLE",
    "PROVIDER_REJECTED",
    "STREAM_INTERRUPTED",
    "INTERNAL",
    "METHOD_NOT_ALLOWED",
]


@dataclass(frozen=True, slots=True)
class Violation:
    """One field of a request and what is wrong with it."""

    field: str
    description: str


class ServiceError(Exception):
    """An expected failure: raise a subclass from anywhere below a servicer.

    Args:
        reason: for programs, one of penstock.errors.v1.ErrorReason without its prefix.
        message: for people; must not contain a prompt, an answer or a secret.
        metadata: facts about the failure, as in the reason's example.
        retry_after: when a retry may succeed.
        violations: the fields at fault (InvalidArgument).
    """

    code: ClassVar[grpc.StatusCode] = grpc.StatusCode.UNKNOWN

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        retry_after: timedelta | None = None,
        violations: Sequence[Violation] = (),
    ) -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.message = message
        self.metadata: dict[str, str] = dict(metadata or {})
        self.retry_after = retry_after
        self.violations = tuple(violations)

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"

    @property
    def http_code(self) -> int:
        """Give the HTTP status code a REST caller sees."""
        return HTTP_CODES[self.code]

    def copy(self) -> "ServiceError":
        """Make an equal error without the traceback, for another waiter of the same failure."""
        return type(self)(
            self.reason,
            self.message,
            metadata=self.metadata,
            retry_after=self.retry_after,
            violations=self.violations,
        )

    def to_status(self) -> status_pb2.Status:
        """Write this error as google.rpc.Status with ErrorInfo, RetryInfo and BadRequest details."""
        status = status_pb2.Status(code=self.code.value[0], message=self.message[:MESSAGE_CHARACTERS_MAX])
        entries = list(self.metadata.items())[:METADATA_ENTRIES_MAX]
        metadata = {key: value[:METADATA_CHARACTERS_MAX] for key, value in entries}
        info = error_details_pb2.ErrorInfo(reason=self.reason, domain=DOMAIN, metadata=metadata)
        status.details.add().Pack(info)
        if self.retry_after is not None:
            retry = error_details_pb2.RetryInfo()
            retry.retry_delay.FromTimedelta(self.retry_after)
            status.details.add().Pack(retry)
        if self.violations:
            status.details.add().Pack(_bad_request(self.violations))
        return status


class InvalidArgument(ServiceError):
    """A field is missing, out of range or of the wrong form."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class FailedPrecondition(ServiceError):
    """The state of the system forbids this; the same call fails until the state changes."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class OutOfRange(ServiceError):
    """The call went past the end of something."""

    code = grpc.StatusCode.OUT_OF_RANGE


class Unauthenticated(ServiceError):
    """The caller is not known."""

    code = grpc.StatusCode.UNAUTHENTICATED


class PermissionDenied(ServiceError):
    """The caller is known and may not do this."""

    code = grpc.StatusCode.PERMISSION_DENIED


class NotFound(ServiceError):
    """The named thing does not exist."""

    code = grpc.StatusCode.NOT_FOUND


class AlreadyExists(ServiceError):
    """A thing of that name exists."""

    code = grpc.StatusCode.ALREADY_EXISTS


class Aborted(ServiceError):
    """A concurrent change won; start over."""

    code = grpc.StatusCode.ABORTED


class ResourceExhausted(ServiceError):
    """A limit, a budget or a queue is used up."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class Cancelled(ServiceError):
    """The caller hung up."""

    code = grpc.StatusCode.CANCELLED


class Unknown(ServiceError):
    """A peer failed without saying how."""

    code = grpc.StatusCode.UNKNOWN


class Internal(ServiceError):
    """A defect of ours."""

    code = grpc.StatusCode.INTERNAL


class DataLoss(ServiceError):
    """Stored data is lost or corrupt."""

    code = grpc.StatusCode.DATA_LOSS


class Unimplemented(ServiceError):
    """There is no such method."""

    code = grpc.StatusCode.UNIMPLEMENTED


class Unavailable(ServiceError):
    """Something this call needs does not answer now; retry."""

    code = grpc.StatusCode.UNAVAILABLE


class DeadlineExceeded(ServiceError):
    """The deadline passed before the work was done."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


_CLASSES: Mapping[int, type[ServiceError]] = {cls.code.value[0]: cls for cls in ServiceError.__subclasses__()}

# What a status without our ErrorInfo means: it came from gRPC itself or from a proxy.
_DEFAULT_REASONS: Mapping[grpc.StatusCode, Reason] = {
    grpc.StatusCode.INVALID_ARGUMENT: "INVALID_ARGUMENT",
    grpc.StatusCode.NOT_FOUND: "RESOURCE_NOT_FOUND",
    grpc.StatusCode.ALREADY_EXISTS: "RESOURCE_EXISTS",
    grpc.StatusCode.PERMISSION_DENIED: "PERMISSION_DENIED",
    grpc.StatusCode.UNAUTHENTICATED: "API_KEY_INVALID",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "OVERLOADED",
    grpc.StatusCode.CANCELLED: "CANCELLED",
    grpc.StatusCode.UNIMPLEMENTED: "METHOD_NOT_FOUND",
    grpc.StatusCode.UNAVAILABLE: "DEPENDENCY_UNAVAILABLE",
    grpc.StatusCode.DEADLINE_EXCEEDED: "DEADLINE_EXCEEDED",
}


def status_of(error: BaseException) -> status_pb2.Status:
    """Write any exception as google.rpc.Status; what is not expected becomes INTERNAL with a fixed text.

    A peer's error (grpc.aio.AioRpcError) keeps the peer's code and reason.
    """
    if isinstance(error, grpc.aio.AioRpcError):
        error = from_rpc_error(error)
    if isinstance(error, ServiceError):
        return error.to_status()
    return Internal("INTERNAL", INTERNAL_MESSAGE).to_status()


def from_status(status: status_pb2.Status) -> ServiceError:
    """Read a google.rpc.Status (code not OK) back into the ServiceError it was written from."""
    cls = _CLASSES.get(status.code, Unknown)
    reason = _DEFAULT_REASONS.get(cls.code, "INTERNAL")
    metadata: Mapping[str, str] = {}
    retry_after = None
    violations: list[Violation] = []
    for detail in status.details:
        if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            info = error_details_pb2.ErrorInfo.FromString(detail.value)
            reason, metadata = cast("Reason", info.reason), info.metadata
        elif detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            retry_after = error_details_pb2.RetryInfo.FromString(detail.value).retry_delay.ToTimedelta()
        elif detail.Is(error_details_pb2.BadRequest.DESCRIPTOR):
            bad = error_details_pb2.BadRequest.FromString(detail.value)
            violations = [Violation(v.field, v.description) for v in bad.field_violations]
    return cls(reason, status.message, metadata=metadata, retry_after=retry_after, violations=violations)


def raise_for_status(status: status_pb2.Status) -> None:
    """Raise the ServiceError of an item's status unless it is OK."""
    if status.code:
        raise from_status(status)


def from_rpc_error(error: grpc.aio.AioRpcError) -> ServiceError:
    """Read a failed call's rich status, so that the caller gets the peer's own reason back."""
    for key, value in error.trailing_metadata() or ():
        if key == STATUS_DETAILS_KEY and isinstance(value, bytes):
            try:
                return from_status(status_pb2.Status.FromString(value))
            except DecodeError:
                break
    code = error.code()
    if code is grpc.StatusCode.CANCELLED:
        # Our own raises asyncio.CancelledError: this came from a peer that stops or a connection that broke.
        code = grpc.StatusCode.UNAVAILABLE
    return from_status(status_pb2.Status(code=code.value[0], message=error.details() or code.name))


async def abort(
    context: "grpc.aio.ServicerContext[object, object]",
    status: status_pb2.Status,
    trailing: Iterable[tuple[str, str | bytes]] = (),
) -> Never:
    """End an RPC with a rich status in its trailing metadata."""
    code = _CLASSES.get(status.code, Unknown).code
    details = (STATUS_DETAILS_KEY, status.SerializeToString())
    await context.abort(code, status.message, trailing_metadata=(*trailing, details))
    raise AssertionError("abort returned")


def _bad_request(violations: Sequence[Violation]) -> error_details_pb2.BadRequest:
    bad = error_details_pb2.BadRequest()
    for violation in violations[:VIOLATIONS_MAX]:
        bad.field_violations.add(
            field=violation.field[:METADATA_CHARACTERS_MAX],
            description=violation.description[:METADATA_CHARACTERS_MAX],
        )
    return bad
