"""Every operation is closed at billing once, by what was produced, whoever died meanwhile."""

from typing import Any

import grpc.aio
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from penstock.billing.v1 import hold_service_pb2
from penstock.context.v1 import request_context_pb2
from router_world import World, ask, stream
from testkit.waiting import until


def lapsed(operation_id: str, *skus: str) -> Any:
    context = request_context_pb2.RequestContext(request_id=operation_id, organization="dev")
    return hold_service_pb2.LapsedHold(
        context=context,
        operation_id=operation_id,
        skus=skus,
        model="smollm2",
        lapse_time=Timestamp(seconds=1),
    )


async def test_a_lapsed_hold_is_settled_by_the_journal(world: World) -> None:
    world.inference.produced["op-1"] = 7
    world.billing.lapsed = [lapsed("op-1", "mock/gpt", "inference/smollm2")]
    await until(lambda: "op-1" in world.billing.settled)
    (attempt,) = world.billing.settled["op-1"].attempts
    assert (attempt.sku, attempt.tokens.input, attempt.tokens.output) == ("inference/smollm2", 3, 7)
    assert not attempt.estimated


async def test_a_lapsed_hold_of_what_no_engine_began_is_released(world: World) -> None:
    world.billing.lapsed = [lapsed("op-1", "inference/smollm2")]
    await until(lambda: "op-1" in world.billing.released)


async def test_a_lapsed_hold_that_a_provider_may_have_worked_on_is_left_to_expire(world: World) -> None:
    world.billing.lapsed = [lapsed("op-1", "mock/gpt"), lapsed("op-2", "inference/smollm2")]
    await until(lambda: "op-2" in world.billing.released)
    assert "op-1" not in world.billing.released | world.billing.settled.keys()


async def test_nothing_is_closed_while_the_journal_cannot_be_asked(world: World) -> None:
    world.inference.down = True
    world.billing.lapsed = [lapsed("op-1", "inference/smollm2")]
    await until(lambda: world.inference.refused > 1)
    assert not world.billing.released | world.billing.settled.keys()


async def test_a_generation_whose_engine_died_is_charged_by_the_journal_when_that_is_back(
    world: World,
) -> None:
    world.inference.fail_after = 2
    world.inference.dies = True
    with pytest.raises(grpc.aio.AioRpcError):
        await stream(world)
    (operation_id,) = world.inference.produced
    world.inference.produced[operation_id] = 3  # one that was made and did not reach us
    await until(lambda: world.inference.refused > 1)
    assert not world.billing.settled
    world.inference.down = False
    settled = await world.billing.only_settlement()
    (attempt,) = settled.attempts
    assert (attempt.tokens.input, attempt.tokens.output, attempt.estimated) == (3, 3, False)


async def test_an_engine_that_died_before_it_began_has_produced_nothing(world: World) -> None:
    world.inference.down = True
    with pytest.raises(grpc.aio.AioRpcError):
        await ask(world)
    world.inference.down = False
    await until(lambda: bool(world.billing.released))
    assert not world.billing.settled


async def test_the_lease_of_a_long_answer_is_renewed_and_that_of_an_ended_one_is_not(world: World) -> None:
    await ask(world)
    (ended,) = world.billing.authorized
    world.inference.pause_seconds = world.settings.lease_seconds / 4
    await ask(world, text="And now slowly.")
    (running,) = world.billing.authorized.keys() - {ended}
    assert {item.operation_id for item in world.billing.extended} == {running}
    assert world.billing.authorized[running].lease.seconds == world.settings.lease_seconds
