import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from servicekit.delivery import Delivery, DeliveryLimits
from servicekit.errors import ResourceExhausted, Unavailable
from servicekit.metrics import Metrics
from servicekit.segments import read_records
from servicekit.spool import Spool, SpoolLimits, open_spool
from testkit.process import ChildProcess
from testkit.waiting import SECONDS_MAX, until

FAST = DeliveryLimits(linger_seconds=0.001, backoff_seconds_min=0.001, backoff_seconds_max=0.002)


class Receiver:
    """Takes records; refuses, fails and hangs as told."""

    def __init__(self) -> None:
        self.calls = 0
        self.lists: list[list[bytes]] = []
        self.outcomes: dict[bytes, Delivery] = {}
        self.down = False
        self.hung = False

    @property
    def received(self) -> list[bytes]:
        return [record for records in self.lists for record in records]

    async def deliver(self, records: list[bytes]) -> Sequence[Delivery]:
        self.calls += 1
        if self.hung:
            await asyncio.Event().wait()
        if self.down:
            raise ConnectionRefusedError
        self.lists.append(records)
        return [self.outcomes.get(record, Delivery.DONE) for record in records]


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


def opened(tmp_path: Path, receiver: Receiver, metrics: Metrics | None = None, **limits: object):
    return open_spool(
        tmp_path,
        deliver=receiver.deliver,
        name="test",
        metrics=metrics or Metrics(),
        limits=SpoolLimits(**{"delivery": FAST, "drain_seconds": SECONDS_MAX, **limits}),
    )


def left_in(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def sample(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"penstock_{name}", {"spool": "test", **labels})


async def test_what_is_appended_is_delivered(tmp_path: Path, receiver: Receiver) -> None:
    async with opened(tmp_path, receiver) as spool:
        await spool.append(b"one")
        await until(lambda: receiver.received == [b"one"])


async def test_closing_delivers_what_waits(tmp_path: Path, receiver: Receiver) -> None:
    async with opened(tmp_path, receiver) as spool:
        await asyncio.gather(*(spool.append(b"%d" % number) for number in range(1000)))
    assert sorted(receiver.received) == sorted(b"%d" % number for number in range(1000))
    assert max(map(len, receiver.lists)) == 64
    assert left_in(tmp_path) == ["lock"]


async def test_what_could_not_be_delivered_is_delivered_by_the_next_process(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.down = True
    async with opened(tmp_path, receiver, drain_seconds=0.05) as spool:
        await spool.append(b"one")
        await spool.append(b"two")
    receiver.down = False
    async with opened(tmp_path, receiver):
        await until(lambda: receiver.received == [b"one", b"two"])


async def test_a_receiver_that_is_down_gets_everything_once_it_is_back(
    tmp_path: Path, receiver: Receiver
) -> None:
    async with opened(tmp_path, receiver) as spool:
        receiver.down = True
        await spool.append(b"one")
        await until(lambda: receiver.calls > 1)
        receiver.down = False
        await until(lambda: receiver.received == [b"one"])


async def test_records_to_be_retried_hold_nothing_else_up(tmp_path: Path, receiver: Receiver) -> None:
    stuck = [b"stuck-%d" % number for number in range(100)]
    receiver.outcomes = dict.fromkeys(stuck, Delivery.RETRY)
    async with opened(tmp_path, receiver, drain_seconds=0.05) as spool:
        await asyncio.gather(*map(spool.append, stuck))
        await spool.append(b"good")
        await until(lambda: b"good" in receiver.received)


async def test_what_the_receiver_never_takes_is_set_aside_and_counted(
    tmp_path: Path, receiver: Receiver
) -> None:
    metrics = Metrics()
    receiver.outcomes = {b"bad": Delivery.POISON}
    async with opened(tmp_path, receiver, metrics) as spool:
        await spool.append(b"bad")
        await spool.append(b"good")
    assert list(read_records(tmp_path / "dead.spool")) == [b"bad"]
    assert sample(metrics, "spool_records_total", outcome="poison") == 1
    assert sample(metrics, "spool_records_total", outcome="done") == 1


async def test_a_hung_receiver_is_given_up_and_tried_again(tmp_path: Path, receiver: Receiver) -> None:
    delivery = DeliveryLimits(linger_seconds=0, call_seconds_max=0.02, backoff_seconds_min=0.001)
    async with opened(tmp_path, receiver, delivery=delivery) as spool:
        receiver.hung = True
        await spool.append(b"one")
        await until(lambda: receiver.calls > 1)
        receiver.hung = False
        await until(lambda: receiver.received == [b"one"])


async def test_pending_records_and_the_age_of_the_oldest_are_shown(
    tmp_path: Path, receiver: Receiver
) -> None:
    metrics = Metrics()
    receiver.down = True
    async with opened(tmp_path, receiver, metrics, drain_seconds=0.05) as spool:
        assert sample(metrics, "spool_oldest_seconds") == 0
        await spool.append(b"one")
        await until(lambda: sample(metrics, "spool_pending") == 1)
        await until(lambda: (sample(metrics, "spool_oldest_seconds") or 0) > 0.01)


async def test_a_full_spool_refuses_and_takes_again_when_it_is_emptier(
    tmp_path: Path, receiver: Receiver
) -> None:
    async with opened(tmp_path, receiver, pending_bytes_max=10) as spool:
        receiver.down = True
        await spool.append(b"x" * 8)
        with pytest.raises(ResourceExhausted) as caught:
            await spool.append(b"x" * 8)
        assert caught.value.reason == "OVERLOADED"
        receiver.down = False
        await until(lambda: len(receiver.received) == 1)
        await until(lambda: spool._outbox.bytes == 0)
        await spool.append(b"y" * 8)


async def test_a_record_that_is_too_large_is_refused(tmp_path: Path, receiver: Receiver) -> None:
    async with opened(tmp_path, receiver, record_bytes_max=4) as spool:
        with pytest.raises(ResourceExhausted):
            await spool.append(b"x" * 5)


async def test_a_disk_that_takes_nothing_is_unavailable_and_the_spool_recovers(
    tmp_path: Path, receiver: Receiver
) -> None:
    directory = tmp_path / "spool"
    async with opened(directory, receiver) as spool:
        directory.rename(tmp_path / "away")
        with pytest.raises(Unavailable) as caught:
            await spool.append(b"lost")
        assert caught.value.reason == "STORAGE_UNAVAILABLE"
        (tmp_path / "away").rename(directory)
        await spool.append(b"kept")
    assert receiver.received == [b"kept"]


async def test_a_closing_spool_takes_nothing_more(tmp_path: Path, receiver: Receiver) -> None:
    async with opened(tmp_path, receiver) as spool:
        kept: Spool = spool
    with pytest.raises(Unavailable) as caught:
        await kept.append(b"late")
    assert caught.value.reason == "DRAINING"


async def test_an_append_given_up_disturbs_no_other(tmp_path: Path, receiver: Receiver) -> None:
    async with opened(tmp_path, receiver) as spool:
        tasks = [asyncio.create_task(spool.append(b"%d" % number)) for number in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.gather(tasks[0], tasks[2])
    assert {b"0", b"2"} <= set(receiver.received)


CHILD = """
import asyncio, sys
from pathlib import Path
from servicekit.delivery import Delivery
from servicekit.metrics import Metrics
from servicekit.spool import open_spool

async def deliver(records):
    for record in records[::2]:
        print("delivered", record.decode(), flush=True)
    return [Delivery.DONE if i % 2 == 0 else Delivery.RETRY for i in range(len(records))]

async def main():
    async with open_spool(Path(sys.argv[1]), deliver=deliver, name="test", metrics=Metrics()) as spool:
        async def client(name):
            for number in range(100_000):
                await spool.append(f"{name}-{number}".encode())
                print("kept", f"{name}-{number}", flush=True)
        await asyncio.gather(*(client(name) for name in "abcdefgh"))

asyncio.run(main())
"""


@pytest.mark.parametrize("after_lines", [1, 50, 500])
async def test_a_kill_at_any_moment_loses_no_record_that_was_acknowledged(
    tmp_path: Path, receiver: Receiver, after_lines: int
) -> None:
    command = [sys.executable, "-c", CHILD, str(tmp_path / "spool")]
    with ChildProcess(command, tmp_path / "log") as child:
        await until(lambda: child.output().count("\n") >= after_lines)
        child.kill()
    *lines, _torn = child.output().split("\n")
    said = [line.split() for line in lines]
    kept = {name for word, name in said if word == "kept"}
    delivered = {name for word, name in said if word == "delivered"}
    async with opened(tmp_path / "spool", receiver, segment_bytes_max=1024):
        pass
    assert kept
    assert kept <= delivered | {record.decode() for record in receiver.received}
