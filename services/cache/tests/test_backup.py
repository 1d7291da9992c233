"""A backup brings back what was kept, whole or not at all, and nothing that was forgotten."""

import pytest
from penstock_cache.backup import SNAPSHOT, BackupError, restore, save
from penstock_cache.entry import Answer, Entry
from penstock_cache.erasure_log import ErasureLog
from penstock_cache.memory import Memory
from penstock_cache.partition import RoomKeys
from penstock_cache.root_secret import load_root_secret
from penstock_cache.snapshot import Snapshots


def answer(number):
    return Entry(bytes([number]) * 32, Answer(b"a", 1, 1), frozenset(), 0.0, 1e12)


def opened(folder):
    keys = RoomKeys(load_root_secret(folder / "root_secret"))
    memory, log = Memory(10_000_000), ErasureLog(folder / "erasures.jsonl", keys)
    return memory, log, Snapshots(folder / SNAPSHOT, keys, memory, log.count)


async def kept(folder, *numbers):
    memory, _, snapshots = opened(folder)
    for number in numbers:
        memory.put("acme", answer(number))
    await snapshots.write()


async def restored(folder):
    memory, _, snapshots = opened(folder)
    await snapshots.restore(1.0)
    return sorted(entry.key[0] for _, entry in memory.entries())


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def file(tmp_path):
    return tmp_path / "backup.tar"


async def test_what_was_saved_is_restored_into_an_empty_folder(folder, file, tmp_path):
    await kept(folder, 1, 2)
    assert save(folder, file) == 2
    assert restore(tmp_path / "new", file) == 2
    assert await restored(tmp_path / "new") == [1, 2]


async def test_what_came_later_gives_way_to_what_is_restored(folder, file):
    await kept(folder, 1)
    save(folder, file)
    await kept(folder, 2)
    restore(folder, file)
    assert await restored(folder) == [1]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
async def test_a_torn_backup_is_refused_and_touches_nothing(folder, file, share):
    await kept(folder, 1)
    save(folder, file)
    file.write_bytes(file.read_bytes()[: int(share * 5 * 512)])
    await kept(folder, 2)
    with pytest.raises(BackupError):
        restore(folder, file)
    assert await restored(folder) == [2]


async def test_a_backup_that_was_changed_is_refused(folder, file, tmp_path):
    await kept(folder, 1)
    save(folder, file)
    content = bytearray(file.read_bytes())
    content[content.index(b"penstock cache snapshot") + 60] ^= 1
    file.write_bytes(content)
    with pytest.raises(BackupError):
        restore(tmp_path / "new", file)


async def test_another_installations_backup_is_refused(folder, file, tmp_path):
    await kept(folder, 1)
    save(folder, file)
    await kept(tmp_path / "other", 3)
    with pytest.raises(BackupError, match="another installation"):
        restore(tmp_path / "other", file)
    assert await restored(tmp_path / "other") == [3]


async def test_what_was_forgotten_since_the_backup_stays_forgotten(folder, file):
    await kept(folder, 1)
    save(folder, file)
    _, log, _ = opened(folder)
    await log.write("acme", ("user", "ada"), {1: 1}, 1.0)
    restore(folder, file)
    assert await restored(folder) == []
    assert opened(folder)[1].count() == 1


async def test_without_a_whole_snapshot_there_is_nothing_to_save(folder, file):
    with pytest.raises(BackupError):
        save(folder, file)
    await kept(folder, 1)
    (folder / SNAPSHOT).write_bytes((folder / SNAPSHOT).read_bytes()[:-9])
    with pytest.raises(BackupError):
        save(folder, file)
    assert not file.exists()
