from datetime import timedelta
from typing import get_args

import grpc
import grpc.aio
import pytest
from google.rpc import code_pb2, status_pb2
from penstock.errors.v1.error_reason_pb2 import ErrorReason
from servicekit import errors
from servicekit.errors import (
    HTTP_CODES,
    InvalidArgument,
    NotFound,
    Reason,
    ResourceExhausted,
    ServiceError,
    Unknown,
    Violation,
    from_rpc_error,
    from_status,
    raise_for_status,
    status_of,
)


def test_the_reasons_are_those_of_the_contract() -> None:
    contract = {name.removeprefix("ERROR_REASON_") for name, number in ErrorReason.items() if number}
    assert set(get_args(Reason)) == contract


def test_every_grpc_code_has_one_http_code() -> None:
    assert set(HTTP_CODES) == set(grpc.StatusCode)


def test_every_grpc_code_but_ok_has_one_class() -> None:
    codes = [cls.code for cls in ServiceError.__subclasses__()]
    assert len(codes) == len(set(codes))
    assert set(codes) == set(grpc.StatusCode) - {grpc.StatusCode.OK}


@pytest.mark.parametrize(
    "error",
    [
        NotFound("MODEL_NOT_FOUND", "No model named x.", metadata={"model": "x"}),
        ResourceExhausted("RATE_LIMIT_EXCEEDED", "Slow down.", retry_after=timedelta(seconds=1.5)),
        InvalidArgument("INVALID_ARGUMENT", "Bad.", violations=[Violation("a.b[0]", "must be positive")]),
    ],
)
def test_an_error_comes_back_from_its_status_as_it_was(error: ServiceError) -> None:
    back = from_status(error.to_status())
    assert type(back) is type(error)
    for name in ("reason", "message", "metadata", "retry_after", "violations", "http_code"):
        assert getattr(back, name) == getattr(error, name)


def test_a_copy_is_equal_and_has_no_traceback() -> None:
    with pytest.raises(NotFound) as caught:
        raise_for_status(NotFound("MODEL_NOT_FOUND", "No model.", metadata={"model": "x"}).to_status())
    copy = caught.value.copy()
    assert copy.to_status() == caught.value.to_status()
    assert copy.__traceback__ is None


def test_what_is_not_expected_becomes_internal_and_says_nothing() -> None:
    status = status_of(ValueError("the secret is 42"))
    assert status.code == code_pb2.INTERNAL
    assert "42" not in str(status)
    assert from_status(status).reason == "INTERNAL"


def test_a_status_that_is_ok_raises_nothing() -> None:
    raise_for_status(status_pb2.Status())


def test_a_status_without_our_details_gets_the_reason_of_its_code() -> None:
    with pytest.raises(errors.Unavailable) as caught:
        raise_for_status(status_pb2.Status(code=code_pb2.UNAVAILABLE, message="gone"))
    assert caught.value.reason == "DEPENDENCY_UNAVAILABLE"


def test_a_reason_of_a_newer_peer_is_kept() -> None:
    status = NotFound("MODEL_NOT_FOUND", "x").to_status()
    status.details[0].value = status.details[0].value.replace(b"MODEL_NOT_FOUND", b"MODEL_NOT_SEEN_")
    assert from_status(status).reason == "MODEL_NOT_SEEN_"


def test_a_call_that_a_peer_cancelled_is_unavailable_for_us_did_not_cancel_it() -> None:
    nothing = grpc.aio.Metadata()
    error = from_rpc_error(grpc.aio.AioRpcError(grpc.StatusCode.CANCELLED, nothing, nothing))
    assert isinstance(error, errors.Unavailable)


def test_a_code_that_grpc_does_not_know_is_unknown() -> None:
    assert type(from_status(status_pb2.Status(code=99))) is Unknown


def test_the_longest_error_fits_into_the_metadata_that_grpc_allows() -> None:
    long = "\N{GRINNING FACE}" * 10_000
    error = InvalidArgument(
        "INVALID_ARGUMENT",
        "x" * 10_000,
        metadata={f"{number}": long for number in range(100)},
        violations=[Violation(long, long)] * 100,
    )
    assert len(error.to_status().SerializeToString()) < 16 * 1024
