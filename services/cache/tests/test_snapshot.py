"""A warm start has all that was kept, and nothing that was forgotten; a damaged snapshot is no snapshot."""

import pytest
from penstock_cache.entry import Answer, Entry
from penstock_cache.memory import Memory
from penstock_cache.partition import RoomKeys
from penstock_cache.server import build
from penstock_cache.settings import CacheSettings
from penstock_cache.snapshot import Snapshots
from structlog.testing import capture_logs

KEYS = RoomKeys(b"r" * 32)
NOW = 1000.0


def entry(number, expires_at=2000.0, body=b"answer " * 200):
    return Entry(
        bytes([number]) * 32, Answer(body, 5, 6), frozenset({("user", f"u{number}")}), NOW, expires_at
    )


def filled(count=20):
    memory = Memory(10_000_000)
    for number in range(count):
        memory.put("acme" if number % 2 else "beta", entry(number))
    return memory


def snapshots(path, memory, keys=KEYS, erasures=0):
    return Snapshots(path, keys, memory, lambda: erasures)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache" / "snapshot"


async def restored(path, now=NOW, **more):
    memory = Memory(10_000_000)
    with capture_logs() as logs:
        await snapshots(path, memory, **more).restore(now)
    return memory, [line["event"] for line in logs]


async def test_a_warm_start_has_all_that_was_kept_for_whom_it_was_kept(path):
    memory = filled()
    assert await snapshots(path, memory).write()
    again, events = await restored(path)
    assert sorted(again.entries(), key=str) == sorted(memory.entries(), key=str)
    assert again.forget("beta", ("user", "u4")) == 1
    assert events == ["snapshot_restored"]


async def test_without_a_snapshot_the_start_is_cold(path):
    memory, events = await restored(path)
    assert (len(memory), events) == (0, [])


async def test_what_expired_meanwhile_does_not_come_back(path):
    memory = Memory(10_000_000)
    for number, expires_at in enumerate([1500.0, 2500.0]):
        memory.put("acme", entry(number, expires_at))
    await snapshots(path, memory).write()
    again, _ = await restored(path, now=2000.0)
    assert [kept.expires_at for _, kept in again.entries()] == [2500.0]


async def test_a_snapshot_torn_anywhere_is_ignored_and_the_log_says_so(path):
    await snapshots(path, filled(3)).write()
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        memory, events = await restored(path)
        assert (len(memory), events) == (0, ["snapshot_ignored"])


async def test_a_changed_snapshot_is_ignored(path):
    await snapshots(path, filled(3)).write()
    whole = path.read_bytes()
    for at in range(0, len(whole), 11):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert (await restored(path))[1] == ["snapshot_ignored"]


async def test_another_installations_snapshot_is_ignored(path):
    await snapshots(path, filled(3)).write()
    assert (await restored(path, keys=RoomKeys(b"s" * 32)))[1] == ["snapshot_ignored"]


async def test_a_backup_that_is_older_than_an_erasure_brings_nothing_back(path):
    await snapshots(path, filled(3), erasures=4).write()
    assert (await restored(path, erasures=5))[1] == ["snapshot_ignored"]
    assert (await restored(path, erasures=4))[1] == ["snapshot_restored"]


async def test_a_snapshot_during_which_something_is_forgotten_does_not_stand(path):
    kept = snapshots(path, filled(3))
    kept._erasures = lambda: kept.discard() or 0
    assert not await kept.write()
    assert not list(path.parent.iterdir())


async def test_a_snapshot_that_cannot_be_written_stops_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    with capture_logs() as logs:
        assert not await snapshots(tmp_path / "file" / "snapshot", filled(3)).write()
    assert [line["event"] for line in logs] == ["snapshot_not_written"]


async def test_the_service_is_warm_after_a_restart_until_something_is_erased(tmp_path):
    settings = CacheSettings(grpc_port=0, http_port=0, data_dir=tmp_path)
    path = settings.service_dir / "snapshot"
    async with build(settings):
        assert not path.exists()
    assert path.exists()
    async with build(settings) as service:
        cache = service.servicers[0][1]._cache
        cache._memory.put("acme", entry(1, expires_at=1e12))
    async with build(settings) as service:
        cache = service.servicers[0][1]._cache
        assert cache._memory.holds("acme", entry(1).key)
        await cache.forget("acme", ("user", "u1"))
        assert not path.exists()
