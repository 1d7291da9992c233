"""Count the handlers that still run, `finally` blocks too: grpc's stop() does not wait for those (grpc#37239)."""

import asyncio


class InFlight:
    """A counter that can be waited on to reach zero, behind a gate that can be shut for a moment."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()  # RPCs wait for it before they begin
        self.gate.set()
        self.draining = asyncio.Event()  # set when the process is about to stop: callers should go elsewhere
        self._count = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        return self._count

    def enter(self) -> None:
        """Count one in."""
        self._count += 1
        self._idle.clear()

    def leave(self) -> None:
        """Count one out."""
        self._count -= 1
        if self._count == 0:
            self._idle.set()

    async def wait_idle(self, timeout_seconds: float) -> bool:
        """Wait until nothing runs; tell whether that came true in time."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True
