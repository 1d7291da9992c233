"""How long does the cache take for what it does: in process, and through gRPC lists?"""

import argparse
import asyncio
import math
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import uvloop
from harness.report import Report, rounded
from penstock.cache.v1 import cache_entry_pb2, cache_service_pb2
from penstock.cache.v1.cache_service_pb2_grpc import CacheServiceStub
from penstock_cache.entry import Answer
from penstock_cache.instruments import Lookups
from penstock_cache.lookup import AnswerCache
from penstock_cache.memory import Memory
from penstock_cache.partition import Partition, RoomKeys, SharingScope
from penstock_cache.question import Answered, Question
from penstock_cache.semantic.guard import failed_rule
from penstock_cache.semantic.sketch import sketch
from penstock_cache.semantic.vectors import cluster
from penstock_cache.shared.announcements import Announcements
from penstock_cache.shared.connection import connect_redis
from penstock_cache.shared.tier import SharedTier
from penstock_cache.tally import Tallies
from servicekit.channel import connect
from servicekit.logging import configure_logging
from servicekit.metrics import Metrics
from testkit.redis import RedisServer

LIST_ITEMS = 64
L3_ENTRIES = 100_000
DIMENSIONS = 384
QUESTIONS = (
    "How do I reset the password of my account in the mobile app?",
    "How can I reset my account password in the app on my phone?",
    "How do I change the 2 cards of my account to 3 before 5 May 2025?",
)
MEMORY_BYTES = 512 * 1024 * 1024
BODY = b"An answer of usual length, as a model gives it. " * 40
KEYS = RoomKeys(b"r" * 32)


def main() -> None:
    """Measure, print, and end with a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, at most 50 seconds")
    quick = parser.parse_args().quick
    configure_logging("bench", "error", "json")
    report = Report("cache_speed", quick=quick)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        figures = runner.run(_measure(2_000 if quick else 20_000, 10_000 if quick else 100_000))
    for name, value in figures.items():
        print(f"{name:28} {value}")
    report.finish(figures, {"list_items": LIST_ITEMS, "body_bytes": len(BODY)})


async def _measure(repetitions: int, entries: int) -> dict[str, Any]:
    memory = Memory(MEMORY_BYTES)
    cache = _cache(memory, [])
    questions = [_question(number) for number in range(entries)]
    await _fill(cache, questions)
    figures = {
        "l1_us_p50": await _p50_us(
            lambda number: cache.look_up([questions[number % entries]], 1.0), repetitions
        )
    }
    figures |= _l3(repetitions // 10)
    figures |= await _l2(questions, repetitions // 10)
    figures |= await _grpc(entries, repetitions // 10)
    return figures


def _l3(repetitions: int) -> dict[str, Any]:
    """Search 100,000 made-up vectors as a room does, without the embedding, and guard pairs of questions."""
    rng = np.random.default_rng(7)
    centers = rng.standard_normal((2_000, DIMENSIONS), dtype=np.float32)
    rows = centers[rng.integers(0, len(centers), L3_ENTRIES)]
    rows += 0.5 * rng.standard_normal(rows.shape, dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    vectors = cluster([_digest(number) for number in range(L3_ENTRIES)], rows)
    asked = rows[rng.integers(0, L3_ENTRIES, repetitions)]
    pairs = [(sketch(QUESTIONS[number % 3]), sketch(QUESTIONS[number // 3 % 3])) for number in range(9)]
    return {
        "l3_ms_p50_100k": rounded(
            _sync_p50_us(lambda number: vectors.search(asked[number : number + 1], 8), repetitions) / 1000
        ),
        "guard_us_p50": _sync_p50_us(lambda number: failed_rule(*pairs[number % 9]), repetitions),
    }


async def _l2(questions: list[Question], repetitions: int) -> dict[str, Any]:
    """Ask a real Redis on this machine for one answer, and for a list, that memory does not hold."""
    with tempfile.TemporaryDirectory() as folder, RedisServer(Path(folder)) as server:
        metrics = Metrics()
        async with connect_redis(server.url, metrics) as redis:
            tier = SharedTier(redis, KEYS, 5.0, Announcements(redis).announce)
            await _fill(_cache(Memory(MEMORY_BYTES), [tier]), questions[:1000])
            one = await _p50_us(lambda number: tier.find([questions[number % 1000]], 1.0), repetitions)
            many = await _p50_us(lambda _: tier.find(questions[:LIST_ITEMS], 1.0), max(repetitions // 10, 10))
    return {"l2_ms_p50": rounded(one / 1000), "l2_list_ms_p50": rounded(many / 1000)}


async def _grpc(entries: int, lists: int) -> dict[str, Any]:
    """Send lists of L1 hits through the service's own server, and count what only the server's process pays."""
    with tempfile.TemporaryDirectory() as folder:
        server = await asyncio.create_subprocess_exec(
            *_server_command(folder), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
        assert server.stdout is not None
        try:
            address = (await server.stdout.readline()).decode().strip()
            async with connect(address) as channel:
                return await _ask(channel, server.pid, entries=min(entries, 4096), lists=lists)
        finally:
            server.kill()
            await server.wait()


async def _ask(channel: Any, pid: int, *, entries: int, lists: int) -> dict[str, Any]:
    stub: Any = CacheServiceStub(channel)
    for start in range(0, entries, LIST_ITEMS):
        numbers = range(start, start + LIST_ITEMS)
        await stub.Store(cache_service_pb2.StoreRequest(items=[_store_item(number) for number in numbers]))
    requests = [
        cache_service_pb2.LookupRequest(items=[_lookup_item(number) for number in range(at, at + LIST_ITEMS)])
        for at in range(0, entries, LIST_ITEMS)
    ]
    small = [cache_service_pb2.LookupRequest(items=request.items[:6]) for request in requests]
    return {
        "lookup_items_s_core": round(await _items_s_core(stub, pid, requests, lists)),
        "lookup_items_s_core_lists_of_6": round(await _items_s_core(stub, pid, small, lists)),
    }


async def _items_s_core(stub: Any, pid: int, requests: list[Any], lists: int) -> float:
    """Give how many items the server answers for each second of CPU that its process uses."""
    began, items = _cpu_seconds(pid), 0
    for number in range(lists):
        request = requests[number % len(requests)]
        response = await stub.Lookup(request)
        items += sum(result.HasField("hit") for result in response.results)
    assert items == sum(len(requests[number % len(requests)].items) for number in range(lists)), (
        "all must hit"
    )
    return items / (_cpu_seconds(pid) - began)


def _cpu_seconds(pid: int) -> float:
    """Read what all threads of a process have run, from the scheduler (schedstat counts nanoseconds)."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def _server_command(folder: str) -> list[str]:
    program = (
        "import asyncio, sys, uvloop\n"
        "from pathlib import Path\n"
        "from penstock_cache.server import build\n"
        "from penstock_cache.settings import CacheSettings\n"
        "from servicekit.server import running\n"
        "async def main():\n"
        "    settings = CacheSettings(grpc_port=0, http_port=0, data_dir=Path(sys.argv[1]), redis_url='')\n"
        "    async with build(settings) as service, running(service) as server:\n"
        "        print(server.address, flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "from servicekit.logging import configure_logging\n"
        "configure_logging('cache', 'error', 'json')\n"
        "uvloop.run(main())\n"
    )
    return [sys.executable, "-c", program, folder]


def _sync_p50_us(call: Callable[[int], Any], repetitions: int) -> float:
    seconds = []
    for number in range(repetitions):
        began = time.perf_counter()
        call(number)
        seconds.append(time.perf_counter() - began)
    return rounded(median(seconds) * 1e6)


async def _p50_us(call: Callable[[int], Awaitable[Any]], repetitions: int) -> float:
    seconds = []
    for number in range(repetitions):
        began = time.perf_counter()
        await call(number)
        seconds.append(time.perf_counter() - began)
    return rounded(median(seconds) * 1e6)


def _cache(memory: Memory, further: list[Any]) -> AnswerCache:
    return AnswerCache(
        memory, further, Lookups(Metrics()), Tallies(), answer_bytes_max=len(BODY), ttl_seconds_max=math.inf
    )


async def _fill(cache: AnswerCache, questions: list[Question]) -> None:
    answer = Answer(BODY, 70_000, 900)
    for start in range(0, len(questions), LIST_ITEMS):
        some = questions[start : start + LIST_ITEMS]
        await cache.keep([Answered(question, answer, 1e9, ()) for question in some], 0.0)


def _question(number: int) -> Question:
    room = KEYS.room(
        Partition("acme", SharingScope.ORGANIZATION, "", "chat", "m", b"1" * 32, b"2" * 32, "", "1", "")
    )
    return Question("acme", "u", math.inf, room, room.key(_digest(number)))


def _digest(number: int) -> bytes:
    return number.to_bytes(32, "big")


def _fill_item(item: Any, number: int) -> Any:
    item.context.request_id = f"request-{number}"
    item.context.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    item.context.organization = item.partition.organization = "acme"
    item.context.user = "somebody"
    item.context.deadline_time.seconds = int(time.time()) + 3600
    item.partition.scope = cache_entry_pb2.SHARING_SCOPE_ORGANIZATION
    item.partition.operation = "chat"
    item.partition.model = "smollm2-135m-instruct"
    item.partition.conditions_digest = b"1" * 32
    item.partition.instructions_digest = b"2" * 32
    item.partition.policy_version = "1"
    item.conversation_digest = _digest(number)
    return item


def _lookup_item(number: int) -> cache_service_pb2.LookupItem:
    item: cache_service_pb2.LookupItem = _fill_item(cache_service_pb2.LookupItem(), number)
    item.query_text = "What is the capital of Canada?"
    return item


def _store_item(number: int) -> cache_service_pb2.StoreItem:
    item: cache_service_pb2.StoreItem = _fill_item(cache_service_pb2.StoreItem(), number)
    item.answer.body = BODY
    item.answer.cost_nanos = 70_000
    return item


if __name__ == "__main__":
    main()
