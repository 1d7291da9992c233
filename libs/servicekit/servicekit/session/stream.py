"""One stream of a session and the calls that run on it, on the caller's side."""

import asyncio
import time
from typing import Any

import grpc.aio
from penstock.session.v1 import session_service_pb2

Call = session_service_pb2.Call
Answer = session_service_pb2.Answer
Stream = Any  # grpc.aio.StreamStreamCall

AGE_SECONDS_MAX = 300.0  # then a new session may find another replica


class SessionLostError(Exception):
    """The session broke before the answer came."""

    def __init__(self, *, sent: bool) -> None:
        super().__init__("the session broke")
        self.sent = sent  # then the peer may have seen the call


class SessionStream:
    """One stream and the calls that run on it."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._unsent: dict[int, Call] = {}
        self._cancelled: list[int] = []
        self._wake = asyncio.Event()
        self._last_id = 0
        self._until = time.monotonic() + AGE_SECONDS_MAX
        self.ended = asyncio.ensure_future(self._run())

    def takes_calls(self) -> bool:
        """Tell whether a call may be begun on it."""
        return time.monotonic() < self._until or self._expire()

    def retire(self) -> None:
        """Begin no more calls; those that were begun are answered."""
        self._until = 0.0
        self._wake.set()

    async def ask(self, call: Call) -> Answer:
        """Send a call with the next message and give its answer.

        Raises:
            SessionLostError: none will come.
        """
        self._last_id += 1
        call.id = self._last_id
        self._unsent[call.id] = call
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[call.id] = answer
        self._wake.set()
        try:
            return await answer
        except asyncio.CancelledError:
            if self._unsent.pop(call.id, None) is None:
                self._cancelled.append(call.id)
                self._wake.set()
            raise
        finally:
            self._waiting.pop(call.id, None)
            if not self._until:
                self._wake.set()  # it may have been the last

    def _expire(self) -> bool:
        self.retire()
        return False

    async def _run(self) -> None:
        """Read answers until the stream ends, while another task writes calls."""
        writing = asyncio.create_task(self._write())
        try:
            while (response := await self._stream.read()) is not grpc.aio.EOF:
                for answer in response.answers:
                    if (waiter := self._waiting.get(answer.id)) is not None and not waiter.done():
                        waiter.set_result(answer)
                if response.draining:
                    self.retire()
        except grpc.aio.AioRpcError:
            pass  # whoever waits is told below
        finally:
            self.retire()
            writing.cancel()
            self._stream.cancel()
            for call_id, waiter in self._waiting.items():
                if not waiter.done():
                    waiter.set_exception(SessionLostError(sent=call_id not in self._unsent))

    async def _write(self) -> None:
        """Write what is ready, message after message, until the session is retired and all is answered."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            calls, self._unsent = self._unsent, {}
            cancelled, self._cancelled = self._cancelled, []
            try:
                if calls or cancelled:
                    message = session_service_pb2.ConnectRequest(
                        calls=calls.values(), cancelled_ids=cancelled
                    )
                    await self._stream.write(message)
                if not self._until and not self._waiting:
                    await self._stream.done_writing()
                    return
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                return  # the reader sees why
