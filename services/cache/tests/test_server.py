"""The whole service, through its real server."""

import grpc
import pytest
import pytest_asyncio
from penstock.cache.v1 import cache_entry_pb2
from penstock.cache.v1 import cache_service_pb2 as wire
from penstock.cache.v1.cache_service_pb2_grpc import CacheServiceStub
from penstock_cache.entry import OVERHEAD_BYTES
from penstock_cache.server import build
from penstock_cache.settings import CacheSettings
from servicekit.errors import from_rpc_error, from_status
from testkit.clock import Clock


@pytest.fixture
def grpc_stub_cls():
    return CacheServiceStub


@pytest.fixture
def cache_settings(tmp_path):
    return CacheSettings(grpc_port=0, data_dir=tmp_path, answer_bytes_max=1000, ttl_seconds_max=3600)


@pytest_asyncio.fixture
async def grpc_service(cache_settings, clock: Clock):
    async with build(cache_settings, clock=lambda: clock.seconds) as service:
        yield service


def lookup_item(conversation=b"c", organization="acme", user="u", **partition):
    item = wire.LookupItem(conversation_digest=conversation * 32)
    fill(item, organization, user, partition)
    return item


def store_item(body, conversation=b"c", organization="acme", user="u", tags=(), **partition):
    item = wire.StoreItem(conversation_digest=conversation * 32, tags=tags)
    item.answer.MergeFrom(cache_entry_pb2.CachedAnswer(body=body, cost_nanos=70, generation_ms=900))
    fill(item, organization, user, partition)
    return item


def fill(item, organization, user, partition):
    item.context.request_id = "r"
    item.context.organization = organization
    item.context.user = user
    room = {
        "organization": organization,
        "scope": cache_entry_pb2.SHARING_SCOPE_ORGANIZATION,
        "operation": "chat",
        "model": "smollm2",
        "conditions_digest": b"1" * 32,
        "instructions_digest": b"2" * 32,
    }
    item.partition.MergeFrom(cache_entry_pb2.Partition(**room | partition))


async def look_up(stub, *items):
    return list((await stub.Lookup(wire.LookupRequest(items=items))).results)


async def store(stub, *items):
    return list((await stub.Store(wire.StoreRequest(items=items))).results)


async def invalidate(stub, organization="acme", **selector):
    return (await stub.Invalidate(wire.InvalidateRequest(organization=organization, **selector))).entries


async def test_a_question_misses_then_its_answer_is_kept_then_it_hits(grpc_stub, clock):
    [miss] = await look_up(grpc_stub, lookup_item())
    assert not miss.HasField("hit")
    assert miss.status.code == 0
    [kept] = await store(grpc_stub, store_item(b"Paris"))
    clock.advance(seconds=2)
    [found] = await look_up(grpc_stub, lookup_item())
    assert found.hit.answer == cache_entry_pb2.CachedAnswer(body=b"Paris", cost_nanos=70, generation_ms=900)
    assert (found.hit.tier, found.hit.similarity) == (cache_entry_pb2.CACHE_TIER_L1, 1.0)
    assert found.hit.entry_id == kept.entry_id != ""
    assert found.hit.store_time.ToDatetime(clock().tzinfo) == Clock()()


async def test_a_list_has_one_result_for_each_item_in_order(grpc_stub):
    await store(grpc_stub, store_item(b"1", b"a"), store_item(b"2", b"b"))
    found = await look_up(grpc_stub, *[lookup_item(conversation) for conversation in (b"b", b"x", b"a")])
    assert [result.hit.answer.body for result in found] == [b"2", b"", b"1"]


async def test_the_same_answer_again_changes_nothing(grpc_stub, clock):
    [first] = await store(grpc_stub, store_item(b"Paris"))
    clock.advance(minutes=50)
    [again] = await store(grpc_stub, store_item(b"Paris"))
    assert first.entry_id == again.entry_id
    clock.advance(minutes=11)
    [found] = await look_up(grpc_stub, lookup_item())
    assert not found.HasField("hit")


async def test_another_answer_to_the_same_question_takes_its_place(grpc_stub):
    await store(grpc_stub, store_item(b"Lyon"), store_item(b"Paris"))
    [found] = await look_up(grpc_stub, lookup_item())
    assert found.hit.answer.body == b"Paris"


@pytest.mark.parametrize(
    "other",
    [
        {"organization": "beta"},
        {"model": "gpt"},
        {"scope": cache_entry_pb2.SHARING_SCOPE_USER, "scope_id": "u"},
        {"conditions_digest": b"9" * 32},
        {"instructions_digest": b"9" * 32},
        {"locale": "de"},
        {"policy_version": "2"},
        {"prompt_version": "2"},
        {"operation": "embedding"},
    ],
)
async def test_another_room_has_other_answers(grpc_stub, other):
    await store(grpc_stub, store_item(b"Paris"))
    [found] = await look_up(grpc_stub, lookup_item(**other))
    assert found.status.code == 0
    assert not found.HasField("hit")


async def test_an_item_whose_deadline_passed_fails_alone(grpc_stub, clock):
    await store(grpc_stub, store_item(b"Paris"))
    late = lookup_item()
    late.context.deadline_time.FromDatetime(clock())
    failed, found = await look_up(grpc_stub, late, lookup_item())
    assert from_status(failed.status).reason == "DEADLINE_EXCEEDED"
    assert found.hit.answer.body == b"Paris"


async def test_a_room_of_another_organization_is_refused(grpc_stub):
    item = lookup_item(organization="acme")
    item.partition.organization = "beta"
    [refused] = await look_up(grpc_stub, item)
    error = from_status(refused.status)
    assert (error.reason, error.metadata) == ("INVALID_ARGUMENT", {"field": "partition.organization"})


@pytest.mark.parametrize("scope", [cache_entry_pb2.SHARING_SCOPE_USER, cache_entry_pb2.SHARING_SCOPE_TEAM])
async def test_a_scope_without_its_id_is_refused_rather_than_shared_by_all(grpc_stub, scope):
    [refused] = await store(grpc_stub, store_item(b"mine", scope=scope))
    assert from_status(refused.status).metadata == {"field": "partition.scope_id"}


async def test_an_answer_that_is_too_large_is_refused_and_the_others_are_kept(grpc_stub):
    large, small = await store(grpc_stub, store_item(b"x" * 1001, b"a"), store_item(b"x", b"b"))
    error = from_status(large.status)
    assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
    assert error.metadata == {"queue": "l1", "limit": "1000"}
    assert small.entry_id


async def test_an_answer_lives_as_long_as_it_was_meant_to_and_no_longer_than_the_limit(grpc_stub, clock):
    short, long = store_item(b"1", b"a"), store_item(b"2", b"b")
    short.ttl.seconds = 10
    long.ttl.seconds = 10**6
    await store(grpc_stub, short, long)
    clock.advance(seconds=9)
    assert [r.HasField("hit") for r in await look_up(grpc_stub, lookup_item(b"a"), lookup_item(b"b"))] == [
        1,
        1,
    ]
    clock.advance(seconds=1)
    assert [r.HasField("hit") for r in await look_up(grpc_stub, lookup_item(b"a"), lookup_item(b"b"))] == [
        0,
        1,
    ]
    clock.advance(hours=1)
    assert [r.HasField("hit") for r in await look_up(grpc_stub, lookup_item(b"a"), lookup_item(b"b"))] == [
        0,
        0,
    ]


async def test_an_answer_to_keep_for_no_time_is_not_kept(grpc_stub):
    item = store_item(b"1")
    item.ttl.seconds = 0
    [result] = await store(grpc_stub, item)
    assert (result.status.code, result.entry_id) == (0, "")


async def test_an_answer_older_than_the_caller_accepts_is_a_miss_for_that_caller_only(grpc_stub, clock):
    await store(grpc_stub, store_item(b"Paris"))
    clock.advance(seconds=60)
    strict = lookup_item()
    strict.max_age.seconds = 59
    found = await look_up(grpc_stub, strict, lookup_item())
    assert [result.HasField("hit") for result in found] == [False, True]


@pytest.mark.parametrize(
    ("selector", "left"),
    [
        ({"tag": "t1"}, [b"b", b"c"]),
        ({"model": "m2"}, [b"a", b"c"]),
        ({"user": "u1"}, [b"b", b"c"]),
        ({"user": "u3"}, [b"a", b"b"]),
        ({"prompt_version": "p1"}, [b"a", b"c"]),
        ({"everything": True}, []),
        ({"tag": "unknown"}, [b"a", b"b", b"c"]),
        ({"entry_id": "not an id"}, [b"a", b"b", b"c"]),
    ],
)
async def test_answers_are_forgotten_by(grpc_stub, selector, left):
    room_of_u3 = {"scope": cache_entry_pb2.SHARING_SCOPE_USER, "scope_id": "u3"}
    rooms = {b"a": {}, b"b": {"model": "m2", "prompt_version": "p1"}, b"c": room_of_u3}
    await store(
        grpc_stub,
        store_item(b"1", b"a", user="u1", tags=["t1", "t2"]),
        store_item(b"2", b"b", user="u2", tags=["t2"], **rooms[b"b"]),
        store_item(b"3", b"c", user="", **rooms[b"c"]),
    )
    assert await invalidate(grpc_stub, **selector) == 3 - len(left)
    found = await look_up(grpc_stub, *[lookup_item(each, **room) for each, room in rooms.items()])
    assert [each for each, result in zip(rooms, found, strict=True) if result.HasField("hit")] == left


async def test_one_entry_is_forgotten_by_its_id_but_not_by_another_organization(grpc_stub):
    kept, _ = await store(grpc_stub, store_item(b"1", b"a"), store_item(b"2", b"b"))
    assert await invalidate(grpc_stub, "beta", entry_id=kept.entry_id) == 0
    assert await invalidate(grpc_stub, entry_id=kept.entry_id) == 1
    found = await look_up(grpc_stub, lookup_item(b"a"), lookup_item(b"b"))
    assert [result.HasField("hit") for result in found] == [False, True]


async def test_forgetting_in_one_organization_leaves_the_others_alone(grpc_stub):
    await store(grpc_stub, store_item(b"1"), store_item(b"2", organization="beta"))
    assert await invalidate(grpc_stub, user="u") == 1
    [found] = await look_up(grpc_stub, lookup_item(organization="beta"))
    assert found.hit.answer.body == b"2"


@pytest.mark.parametrize(
    "request_",
    [
        wire.LookupRequest(),
        wire.LookupRequest(items=[wire.LookupItem()]),
        wire.LookupRequest(items=[lookup_item(conditions_digest=b"short")]),
        wire.LookupRequest(items=[lookup_item()] * 257),
    ],
    ids=["no items", "an empty item", "a short digest", "too many items"],
)
async def test_a_malformed_request_is_refused(grpc_stub, request_):
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await grpc_stub.Lookup(request_)
    assert from_rpc_error(refused.value).reason == "INVALID_ARGUMENT"


async def test_forgetting_needs_to_be_told_what(grpc_stub):
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await invalidate(grpc_stub)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_user_who_goes_through_numbers_is_predicted_when_that_is_asked_for_and_forgotten_when_told(
    grpc_stub,
):
    async def ask(number, predictions_max=5):
        item = lookup_item()
        item.query_text, item.predictions_max = f"Summarise PO {number}", predictions_max
        [result] = await look_up(grpc_stub, item)
        return [prediction.query_text for prediction in result.predictions]

    assert await ask(12345) == await ask(12346, predictions_max=0) == []
    assert await ask(12346) == ["Summarise PO 12347"]
    receipt = (await grpc_stub.Invalidate(wire.InvalidateRequest(organization="acme", user="u"))).receipt
    assert {count.tier: count.entries > 0 for count in receipt.counts}[cache_entry_pb2.CACHE_TIER_L4]
    assert await ask(12347) == []


async def test_metrics_tell_hits_misses_bytes_entries_and_evictions(grpc_stub, grpc_service):
    await store(grpc_stub, store_item(b"12345"))
    await look_up(grpc_stub, lookup_item(), lookup_item(b"x"), lookup_item(b"y"))
    value = grpc_service.metrics.registry.get_sample_value
    assert value("penstock_cache_hits_total", {"tier": "L1"}) == 1
    assert value("penstock_cache_misses_total", {"tier": "L1"}) == 2
    assert value("penstock_cache_entries", {"tier": "L1"}) == 1
    size = OVERHEAD_BYTES + len("12345") + len("smollm2") + len("u")
    assert value("penstock_cache_bytes", {"tier": "L1"}) == size
    await invalidate(grpc_stub, everything=True)
    assert value("penstock_cache_evictions_total", {"tier": "L1", "reason": "invalidated"}) == 1
    assert value("penstock_cache_bytes", {"tier": "L1"}) == 0
