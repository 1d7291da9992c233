"""What can be loaded and unloaded, and what is held for it, by models that only pretend to be large."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from penstock_inference.memory import MemoryBudget
from penstock_inference.models import Models
from servicekit.errors import NotFound, ResourceExhausted
from servicekit.metrics import Metrics

SIZE_BYTES = 600


class Shelf:
    """Models of a size each, of which one has room; loading and unloading wait until a test lets them go on."""

    def __init__(self) -> None:
        self.memory = MemoryBudget(bytes_max=1000)
        self.began, self.go_on = asyncio.Event(), asyncio.Event()
        self.closed: list[str] = []
        loaders = {name: self._loader(name) for name in ("first", "second")}
        self.models = Models(loaders, self.memory, Metrics(), at_start=())

    def _loader(self, name: str) -> Callable:
        async def load() -> Doll:
            await asyncio.to_thread(self.memory.hold, name, SIZE_BYTES)
            await self.pause()
            return Doll(name, self)

        return load

    async def pause(self) -> None:
        self.began.set()
        await self.go_on.wait()

    async def hang_up(self, call: asyncio.Task) -> None:
        """Break off a call whose work has begun, and only then let the work go on."""
        await self.began.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        self.go_on.set()


@dataclass(frozen=True)
class Doll:
    """A model as far as those who load it look at it."""

    id: str
    shelf: Shelf
    engine: str = "none"
    kind: str = "none"

    async def drain(self, _seconds: float) -> None:
        await self.shelf.pause()

    async def close(self) -> None:
        self.shelf.closed.append(self.id)


async def test_who_hangs_up_while_a_model_is_loaded_leaves_it_loaded_and_its_memory_accounted_for() -> None:
    shelf = Shelf()
    await shelf.hang_up(asyncio.create_task(shelf.models.load_model("first")))
    with pytest.raises(ResourceExhausted):
        await shelf.models.load_model("second")
    assert [model.id for model in shelf.models.all()] == ["first"]
    await shelf.models.unload_model("first", 0)
    assert (await shelf.models.load_model("second")).id == "second"


async def test_who_hangs_up_while_a_model_is_unloaded_leaves_nothing_of_it() -> None:
    shelf = Shelf()
    shelf.go_on.set()
    await shelf.models.load_model("first")
    shelf.began.clear()
    shelf.go_on.clear()
    await shelf.hang_up(asyncio.create_task(shelf.models.unload_model("first", 5)))
    assert (await shelf.models.load_model("second")).id == "second"
    assert shelf.closed == ["first"]


async def test_who_hangs_up_before_its_turn_has_asked_for_nothing() -> None:
    shelf = Shelf()
    first = asyncio.create_task(shelf.models.load_model("first"))
    await shelf.began.wait()
    waiting = asyncio.create_task(shelf.models.unload_model("first", 0))
    await asyncio.sleep(0)
    waiting.cancel()
    shelf.go_on.set()
    await first
    with pytest.raises(NotFound):
        await shelf.models.load_model("third")
    assert [model.id for model in shelf.models.all()] == ["first"]


async def test_a_model_that_is_being_loaded_at_the_end_is_closed_once_it_is_there() -> None:
    shelf = Shelf()
    loading = asyncio.create_task(shelf.models.load_model("first"))
    await shelf.began.wait()
    loading.cancel()
    closing = asyncio.create_task(shelf.models.close())
    shelf.go_on.set()
    await closing
    assert shelf.closed == ["first"]
