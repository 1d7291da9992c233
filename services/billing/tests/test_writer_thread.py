"""Jobs are done in order, and everybody gets an answer."""

import asyncio
from functools import partial
from threading import Event

import pytest
from penstock_billing.writer_thread import WriterThread


async def test_jobs_are_done_one_after_the_other() -> None:
    thread, done = WriterThread(), list[int]()
    await asyncio.gather(*(thread.run(partial(done.append, number)) for number in range(100)))
    await thread.close()
    assert done == list(range(100))


async def test_what_a_job_raises_is_raised_where_it_is_waited_for_and_the_next_one_is_done() -> None:
    thread = WriterThread()
    with pytest.raises(ZeroDivisionError):
        await thread.run(lambda: 1 // 0)
    assert await thread.run(lambda: 1) == 1
    await thread.close()


async def test_a_job_is_done_though_nobody_waits_any_more() -> None:
    thread, goes_on, done = WriterThread(), Event(), list[str]()
    first = asyncio.create_task(thread.run(goes_on.wait))
    second = asyncio.create_task(thread.run(partial(done.append, "second")))
    await asyncio.sleep(0)
    second.cancel()
    goes_on.set()
    assert await first
    await thread.close()
    assert done == ["second"]
    assert second.cancelled()


async def test_a_thread_that_was_never_used_closes() -> None:
    await WriterThread().close()
