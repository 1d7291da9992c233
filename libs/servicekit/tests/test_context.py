import asyncio
import math
import re
import time

import pytest
from penstock.context.v1 import request_context_pb2
from servicekit import context as request_context
from servicekit.context import RequestContext, bound, from_proto, outgoing, to_proto
from servicekit.errors import DeadlineExceeded


def test_request_ids_are_uuid7_and_sort_by_time() -> None:
    first = request_context.new_request_id()
    time.sleep(0.002)
    second = request_context.new_request_id()
    assert first < second
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", first)


def test_a_traceparent_has_the_form_of_w3c_and_a_child_keeps_the_trace() -> None:
    parent = request_context.new_traceparent()
    child = request_context.child_traceparent(parent)
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", child)
    assert child[:36] == parent[:36]
    assert child[36:52] != parent[36:52]


def test_a_call_ends_before_the_callers_deadline_so_that_there_is_time_to_answer() -> None:
    with bound(request_context.fresh(time.monotonic() + 20)):
        assert outgoing()["timeout"] < 20 - 0.004
        assert outgoing(0.25)["timeout"] == 0.25


def test_a_call_without_a_deadline_is_limited_all_the_same() -> None:
    assert outgoing()["timeout"] == request_context.TIMEOUT_SECONDS_MAX


def test_no_call_is_started_when_no_time_is_left() -> None:
    with bound(request_context.fresh(time.monotonic() + 0.001)), pytest.raises(DeadlineExceeded):
        outgoing()


def test_a_call_carries_the_id_and_the_trace_of_its_request() -> None:
    context = request_context.fresh()
    with bound(context):
        metadata = dict(outgoing()["metadata"])
    assert metadata == {"x-request-id": context.request_id, "traceparent": context.traceparent}


def test_expired_work_is_refused() -> None:
    with pytest.raises(DeadlineExceeded):
        request_context.fresh(time.monotonic() - 1).check_deadline()
    request_context.fresh().check_deadline()


def test_a_context_comes_back_from_the_wire_with_a_shorter_deadline() -> None:
    context = RequestContext(
        request_id="r",
        traceparent="t",
        deadline=time.monotonic() + 10,
        organization="acme",
        user="u",
        team="t",
        api_key="k",
        priority=3,
        roles=("admin",),
        tier="free",
        region="eu",
    )
    back = from_proto(to_proto(context))
    for name in (
        "request_id",
        "organization",
        "user",
        "team",
        "api_key",
        "priority",
        "roles",
        "tier",
        "region",
    ):
        assert getattr(back, name) == getattr(context, name)
    assert context.deadline - 5 < back.deadline < context.deadline - 0.004


def test_an_item_without_a_deadline_has_none() -> None:
    message = request_context_pb2.RequestContext(request_id="r")
    assert from_proto(message).deadline == math.inf
    assert not to_proto(from_proto(message)).HasField("deadline_time")


async def test_a_context_is_that_of_its_task_alone() -> None:
    async def serve(name: str) -> str:
        request_context.enter(RequestContext(name, ""))
        await asyncio.sleep(0)
        return request_context.current().request_id

    assert await asyncio.gather(serve("a"), serve("b")) == ["a", "b"]
    assert request_context.serving() is None
