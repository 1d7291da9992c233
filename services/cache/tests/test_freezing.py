"""The collector and what is kept."""

import asyncio
import gc

from penstock_cache.freezing import keep_frozen
from servicekit.background import background


async def test_the_collector_does_not_look_through_what_was_kept_before():
    gc.collect()
    gc.unfreeze()
    kept = [[number] for number in range(1000)]
    try:
        async with background(keep_frozen(0), "freezing"):
            for _ in range(3):
                await asyncio.sleep(0)
        assert not any(kept is each for each in gc.get_objects())
    finally:
        gc.unfreeze()
