"""What was forgotten can be proved, and no proof can be made up, changed or taken back."""

import json
from dataclasses import replace

import pytest
from penstock.cache.v1 import cache_service_pb2 as wire
from penstock.cache.v1.cache_entry_pb2 import CACHE_TIER_L1
from penstock.cache.v1.cache_service_pb2_grpc import CacheServiceStub
from penstock_cache.erasure_log import ErasureLog, Verification, is_signed
from penstock_cache.partition import RoomKeys
from penstock_cache.server import build
from penstock_cache.settings import CacheSettings
from servicekit.channel import connect
from servicekit.errors import Unavailable
from servicekit.server import running

KEYS = RoomKeys(b"r" * 32)
ALICE, BOB = ("user", "alice"), ("user", "bob")
HOLDS = Verification(signature=True, chain=True, selector=True)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "erasures.jsonl"


@pytest.fixture
def log(path):
    return ErasureLog(path, KEYS)


async def write(log, *selectors):
    return [await log.write("acme", selector, {1: 3, 2: 0}, 1000.5) for selector in selectors]


async def test_a_receipt_holds_and_so_it_does_after_a_restart(log, path):
    receipts = await write(log, ALICE, BOB, ALICE)
    again = ErasureLog(path, KEYS)
    for receipt, selector in zip(receipts, [ALICE, BOB, ALICE], strict=True):
        assert await again.verify(receipt, "acme", selector) == HOLDS
    [fourth] = await write(again, BOB)
    assert (fourth.sequence, fourth.previous_digest) == (4, receipts[2].digest())


async def test_a_receipt_is_about_one_thing_only(log):
    [receipt] = await write(log, ALICE)
    assert not (await log.verify(receipt, "acme", BOB)).selector
    assert not (await log.verify(receipt, "beta", ALICE)).selector
    assert not (await log.verify(receipt, "acme", ("tag", "alice"))).selector


@pytest.mark.parametrize(
    "change",
    [
        {"counts": {1: 0}},
        {"erased_at_ms": 1},
        {"selector_digest": b"x" * 32},
        {"signature": b"x" * 64},
        {"sequence": 2},
    ],
)
async def test_a_receipt_that_was_changed_does_not_hold(log, change):
    receipt, _ = await write(log, ALICE, BOB)
    verification = await log.verify(replace(receipt, **change), "acme", ALICE)
    assert not verification.signature
    assert not verification.chain


async def test_another_installation_cannot_make_our_receipts(log, tmp_path):
    [receipt] = await write(ErasureLog(tmp_path / "other", RoomKeys(b"s" * 32)), ALICE)
    assert is_signed(receipt)  # with its own key
    assert not (await log.verify(receipt, "acme", ALICE)).signature


async def test_a_receipt_taken_out_of_the_log_breaks_its_chain(log, path):
    receipts = await write(log, ALICE, BOB, ALICE)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[2])
    assert not (await log.verify(receipts[0], "acme", ALICE)).chain


async def test_a_line_that_a_crash_tore_was_never_a_receipt(log, path):
    [first] = await write(log, ALICE)
    path.write_bytes(path.read_bytes() + b'{"counts":{"1":3},"eras')
    [second] = await write(log, BOB)
    assert second.sequence == 2
    assert await log.verify(first, "acme", ALICE) == await log.verify(second, "acme", BOB) == HOLDS


async def test_the_log_says_nothing_of_what_was_forgotten(log, path):
    await write(log, ALICE)
    assert b"alice" not in path.read_bytes()
    assert b"acme" not in path.read_bytes()
    assert set(json.loads(path.read_bytes())) >= {"sequence", "selector", "previous", "signature"}


async def test_without_a_receipt_on_disk_nothing_is_claimed(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(Unavailable):
        await ErasureLog(blocked / "erasures.jsonl", KEYS).write("acme", ALICE, {}, 0.0)


async def test_whoever_erases_is_given_a_receipt_that_the_service_confirms(tmp_path):
    settings = CacheSettings(grpc_port=0, http_port=0, data_dir=tmp_path)
    async with build(settings) as service, running(service) as server, connect(server.address) as channel:
        stub = CacheServiceStub(channel)
        erased = wire.InvalidateRequest(organization="acme", user="alice")
        receipt = (await stub.Invalidate(erased)).receipt
        assert (receipt.sequence, receipt.counts[0].tier) == (1, CACHE_TIER_L1)
        verified = await stub.VerifyErasure(wire.VerifyErasureRequest(receipt=receipt, erased=erased))
        assert verified == wire.VerifyErasureResponse(
            signature_holds=True, chain_holds=True, selector_holds=True
        )
        receipt.counts[0].entries += 1
        verified = await stub.VerifyErasure(wire.VerifyErasureRequest(receipt=receipt, erased=erased))
        assert verified == wire.VerifyErasureResponse(selector_holds=True)
