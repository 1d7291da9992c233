import asyncio
import time

import grpc
import grpc.aio
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from servicekit.context import bound, fresh, outgoing
from servicekit.errors import Internal, NotFound, from_rpc_error
from servicekit.metrics import Metrics
from servicekit.server import Service
from structlog.testing import capture_logs
from testkit.waiting import SECONDS_MAX, until


def text(value: str) -> StringValue:
    return StringValue(value=value)


async def failure(call) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await whole(call)
    return caught.value


async def whole(call) -> None:
    if hasattr(call, "__aiter__"):
        _ = [response async for response in call]
    else:
        await call


def count(metrics: Metrics, method: str, code: str) -> float | None:
    labels = {"method": f"/test.Echo/{method}", "code": code}
    return metrics.registry.get_sample_value("penstock_rpcs_total", labels)


async def test_all_four_shapes_answer(grpc_stub) -> None:
    assert (await grpc_stub.unary(text("a"), **outgoing(SECONDS_MAX))).value == "a"
    assert [r.value async for r in grpc_stub.unary_stream(text("a"), **outgoing(SECONDS_MAX))] == ["a", "a"]
    assert (await grpc_stub.stream_unary(iter([text("a"), text("b")]), **outgoing(SECONDS_MAX))).value == "ab"
    stream = grpc_stub.stream_stream(iter([text("a"), text("b")]), **outgoing(SECONDS_MAX))
    assert [r.value async for r in stream] == ["a", "b"]


async def test_an_expected_error_reaches_the_caller_with_its_reason(grpc_stub) -> None:
    error = from_rpc_error(await failure(grpc_stub.unary(text("missing"), **outgoing(SECONDS_MAX))))
    assert isinstance(error, NotFound)
    assert (error.reason, error.metadata) == ("MODEL_NOT_FOUND", {"model": "missing"})


async def test_an_expected_error_in_the_middle_of_a_stream_does_too(grpc_stub) -> None:
    error = from_rpc_error(await failure(grpc_stub.unary_stream(text("missing"), **outgoing(SECONDS_MAX))))
    assert error.reason == "MODEL_NOT_FOUND"


@pytest.mark.parametrize("shape", ["unary", "unary_stream"])
async def test_internal_errors_leak_nothing_and_are_logged_with_their_stack(grpc_stub, shape: str) -> None:
    with capture_logs() as logs:
        raised = await failure(getattr(grpc_stub, shape)(text("bug"), **outgoing(SECONDS_MAX)))
    error = from_rpc_error(raised)
    assert isinstance(error, Internal)
    assert "42" not in str(raised)
    assert [(log["event"], str(log["exc_info"])) for log in logs] == [("rpc_failed", "the secret is 42")]


async def test_an_expected_error_is_not_logged_as_a_failure(grpc_stub) -> None:
    with capture_logs() as logs:
        await failure(grpc_stub.unary(text("missing"), **outgoing(SECONDS_MAX)))
    assert logs == []


async def test_a_servicers_own_abort_passes_as_it_is(grpc_stub, grpc_service: Service) -> None:
    error = await failure(grpc_stub.unary(text("abort"), **outgoing(SECONDS_MAX)))
    assert (error.code(), error.details()) == (grpc.StatusCode.ABORTED, "by hand")
    await until(lambda: count(grpc_service.metrics, "Unary", "ABORTED") == 1)


@pytest.mark.parametrize("shape", ["unary", "unary_stream"])
async def test_a_caller_that_named_no_request_is_told_its_id_and_trace(
    grpc_stub, grpc_servicer, shape
) -> None:
    call = getattr(grpc_stub, shape)(text("a"), timeout=SECONDS_MAX)
    await whole(call)
    failed = await failure(getattr(grpc_stub, shape)(text("missing"), timeout=SECONDS_MAX))
    for metadata in (await call.trailing_metadata(), failed.trailing_metadata()):
        assert len(metadata["x-request-id"]) == 36
        assert len(metadata["traceparent"]) == 55


async def test_a_failure_names_its_request_in_any_case(grpc_stub) -> None:
    with bound(fresh()) as context:
        failed = await failure(grpc_stub.unary(text("missing"), **outgoing(SECONDS_MAX)))
    assert failed.trailing_metadata()["x-request-id"] == context.request_id


async def test_the_servicer_runs_in_the_callers_context(grpc_stub, grpc_servicer) -> None:
    context = fresh(time.monotonic() + 5)
    with bound(context):
        await grpc_stub.unary(text("a"), **outgoing())
    (served,) = grpc_servicer.contexts
    assert served.request_id == context.request_id
    assert served.traceparent[:36] == context.traceparent[:36]
    assert served.remaining_seconds() < 5


async def test_requests_do_not_see_each_others_context(grpc_stub, grpc_servicer) -> None:
    async def call() -> str:
        with bound(fresh()) as context:
            await grpc_stub.unary(text("a"), **outgoing(SECONDS_MAX))
            return context.request_id

    ids = await asyncio.gather(*(call() for _ in range(20)))
    assert {context.request_id for context in grpc_servicer.contexts} == set(ids)


@pytest.mark.parametrize("malformed", ["x" * 65, "with space", ""])
async def test_a_malformed_id_or_trace_is_replaced(grpc_stub, grpc_servicer, malformed: str) -> None:
    metadata = (("traceparent", f"00-{malformed}"), ("x-request-id", malformed))
    await grpc_stub.unary(text("a"), timeout=SECONDS_MAX, metadata=metadata)
    (served,) = grpc_servicer.contexts
    assert len(served.request_id) == 36
    assert len(served.traceparent) == 55


async def test_requests_are_counted_by_method_and_code(grpc_stub, grpc_service: Service) -> None:
    await grpc_stub.unary(text("a"), **outgoing(SECONDS_MAX))
    await failure(grpc_stub.unary(text("missing"), **outgoing(SECONDS_MAX)))
    await failure(grpc_stub.unary_stream(text("bug"), **outgoing(SECONDS_MAX)))
    await until(lambda: count(grpc_service.metrics, "Unary", "OK") == 1)
    await until(lambda: count(grpc_service.metrics, "Unary", "NOT_FOUND") == 1)
    await until(lambda: count(grpc_service.metrics, "UnaryStream", "INTERNAL") == 1)


async def test_a_method_that_stands_in_its_contract_only_is_no_fault_of_ours(
    grpc_stub, grpc_service: Service
) -> None:
    error = await failure(grpc_stub.unary(text("unserved"), **outgoing(SECONDS_MAX)))
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED
    assert from_rpc_error(error).reason == "METHOD_NOT_FOUND"
    await until(lambda: count(grpc_service.metrics, "Unary", "UNIMPLEMENTED") == 1)


async def test_methods_that_do_not_exist_make_no_metrics(
    grpc_channel: grpc.aio.Channel, grpc_service: Service
) -> None:
    for number in range(10):
        error = await failure(
            grpc_channel.unary_unary(f"/test.Echo/Made{number}Up")(b"", timeout=SECONDS_MAX)
        )
        assert error.code() is grpc.StatusCode.UNIMPLEMENTED
    assert b"Up" not in grpc_service.metrics.exposition()


@pytest.mark.parametrize("shape", ["unary", "unary_stream", "stream_stream"])
async def test_a_caller_that_hangs_up_stops_the_work_and_its_finally_runs(
    grpc_stub, grpc_servicer, grpc_service: Service, shape: str
) -> None:
    request = iter([text("wait")]) if shape == "stream_stream" else text("wait")
    call = getattr(grpc_stub, shape)(request, **outgoing(SECONDS_MAX))
    waiting = asyncio.ensure_future(failure_of_hang_up(call))
    await grpc_servicer.started.wait()
    call.cancel()
    await waiting
    await until(lambda: grpc_servicer.finished == [shape])
    method = {"unary": "Unary", "unary_stream": "UnaryStream", "stream_stream": "StreamStream"}[shape]
    await until(lambda: count(grpc_service.metrics, method, "CANCELLED") == 1)


async def failure_of_hang_up(call) -> None:
    with pytest.raises(asyncio.CancelledError):
        await whole(call)


async def test_work_past_the_callers_deadline_is_stopped(grpc_stub, grpc_servicer) -> None:
    for seconds in (0.1, 1, 10):  # a slow machine may let a call expire before it begins
        error = await failure(grpc_stub.unary(text("wait"), **outgoing(seconds)))
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        if grpc_servicer.started.is_set():
            break
    await until(lambda: grpc_servicer.finished == ["unary"])
