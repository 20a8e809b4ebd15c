"""A wire over any byte stream of anyio's, and any wire shown as one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from math import inf
from typing import Any

import anyio
from anyio.abc import ByteStream

from ..wire import Feed, Lost, Spawn, Timer, Wire
from .sockets import BUFFER_SIZE

__all__ = ("StreamWire", "WireStream")

GRACE = 1.0
"""Seconds for what a socket does at once and a foreign stream only in a task."""

_AT_ONCE = 65536  # bytes given to one send()
_BROKEN = (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError)


def _nothing(_: object = None) -> None:
    """Stand where a callback was, after the end."""


class StreamWire:
    """
    Any byte stream of anyio's as a wire that must be pulled.

    Nothing is synchronous there, so :meth:`write` always returns False, and what
    :meth:`finish` and :meth:`abort` mean is done by a task of the owner's within a
    second; before :meth:`adopt` by whoever is in :meth:`pump` or :meth:`flush`, or by
    :meth:`aclose`. A stream cannot be asked what is readable: :meth:`drain` feeds
    nothing.

    """

    pulled = True

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._feed: Feed = _nothing
        self._lost: Lost = _nothing
        self._drained: Callable[[], None] = _nothing
        self._spawn: Spawn | None = None
        self._unsent = bytearray()
        self._held: bytes | None = None  # received while paused
        self._paused = False
        self._sending = False
        self._receiving: anyio.CancelScope | None = None
        self._moving: anyio.CancelScope | None = None
        self._failure: Exception | None = None  # of a send; not yet told
        self._silent = False  # nothing will be fed any more
        self._ending = False  # the end of what we write was said
        self._over = False
        self._closed = False
        self._parked: list[anyio.Event] = []

    def __repr__(self) -> str:
        state = "over" if self._over else "at EOF" if self._silent else "open"
        return f"<StreamWire {state} over {self._stream!r}>"

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return self._stream.extra_attributes

    def start(self, feed: Feed, lost: Lost, drained: Callable[[], None]) -> None:
        self._feed = feed
        self._lost = lost
        self._drained = drained

    def adopt(self, spawn: Spawn) -> None:
        self._spawn = spawn
        if self._failure is not None:
            spawn(self._tell)
        self._hand_over()

    def time(self) -> float:
        return anyio.current_time()

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        raise RuntimeError("a pulled wire has no timers: wait in a task of your own")

    def write(self, data: bytes) -> bool:
        if self._over or not data:
            return True
        if self._failure is None:
            self._unsent += data
            self._hand_over()
        return False

    async def flush(self) -> None:
        while not self._over and (self._unsent or self._failure is not None):
            if self._failure is not None:
                await self._tell()
            elif self._sending:
                await self._park()
            else:
                await self._move()
        await self._settle()

    async def pump(self) -> None:
        while not self._silent:
            if self._paused:
                await self._park()
            elif self._held is not None:
                held, self._held = self._held, None
                self._take(held)
                return
            elif self._receiving is not None:
                await self._park()  # the teller reads the peer's last words
            else:
                await self._receive()
                if self._held is None:
                    break
        await self._settle()

    def drain(self, limit: int) -> None:
        if self._held is not None and not self._silent:
            held, self._held = self._held, None
            self._take(held)

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            self._wake()

    def widen(self, wide: bool) -> None:
        """Do nothing: a stream makes room anew for each read, which is not free."""

    @property
    def buffered(self) -> int:
        return len(self._unsent)

    def shutdown(self) -> None:
        """Say the end, if the stream can; before :meth:`adopt` not yet."""
        if not (self._over or self._ending or self._spawn is None):
            self._ending = True
            self._spawn(self._say_end)

    def finish(self) -> None:
        if self._spawn is None or self._failure is not None:
            self.abort()
        elif not self._over:
            self._end()
            if self._moving is not None:  # its task may be ended before it has sent
                self._moving.deadline = self.time() + GRACE
                self._moving.shield = True
            self._spawn(self._finish)

    def abort(self) -> None:
        if not self._over:
            self._end()
            self._unsent.clear()
            if self._moving is not None:
                self._moving.cancel()
            if self._spawn is not None:
                self._spawn(self._close)

    async def aclose(self) -> None:
        self._silent = True
        self._feed = self._lost = self._drained = _nothing
        self._stop_receiving()
        self._wake()
        try:
            await self.flush()
            if not self._over:
                self._end()
                await self._say_end()
        except BaseException:
            self.abort()
            raise
        finally:
            await self._close()

    # Receiving.

    async def _receive(self) -> None:
        """Receive once; what comes is fed, or held while paused."""
        with anyio.CancelScope() as self._receiving:
            try:
                data = await self._stream.receive(BUFFER_SIZE)
            except anyio.EndOfStream:
                data = b""
            except _BROKEN as error:
                self._receiving = None
                self._lose(self._failure or error)
                return
            finally:
                self._receiving = None
            if self._paused and data:
                self._held = data
            else:
                self._take(data)

    def _take(self, data: bytes) -> None:
        if self._silent:
            return
        if data:
            self._feed(memoryview(data))
        else:
            self._silent = True
            self._feed(None)
        self._wake()

    def _stop_receiving(self) -> None:
        if self._receiving is not None:
            self._receiving.cancel()

    # Sending.

    def _hand_over(self) -> None:
        """Let a task of the owner's send, if there is one and none does."""
        if self._unsent and self._spawn is not None and not self._sending:
            self._sending = True
            self._spawn(self._move)

    async def _move(self) -> None:
        """Send what is unsent; one task at a time, and never cut short by a user."""
        self._sending = True
        last = self.time() + GRACE if self._over else inf
        try:
            with anyio.CancelScope(deadline=last, shield=self._over) as self._moving:
                while self._unsent and self._failure is None:
                    await self._send_some()
        finally:
            self._moving = None
            self._sending = False
            self._wake()
        if self._failure is not None:
            await self._tell()
        elif not self._over:
            self._drained()

    async def _send_some(self) -> None:
        data = bytes(self._unsent[:_AT_ONCE])
        try:
            await self._stream.send(data)
        except _BROKEN as error:
            self._break(error)
        except BaseException:
            # Cancelled before adopt(): nobody knows how much of it has left.
            self._break(ConnectionAbortedError("a send was cut short"))
            raise
        else:
            del self._unsent[: len(data)]

    def _break(self, error: Exception) -> None:
        self._unsent.clear()
        if not self._over:
            self._failure = error
            if self._spawn is not None:
                self._spawn(self._tell)

    async def _tell(self) -> None:
        """Read the peer's last words for a moment, then say that a send failed."""
        error = self._failure
        if error is None:
            return
        with anyio.move_on_after(GRACE):
            while not self._silent:
                if self._receiving is None and self._held is None:
                    await self._receive()
                elif self._held is not None:
                    self.drain(0)
                else:
                    await self._park()
        self._lose(error)
        await self._settle()

    # Ending.

    def _lose(self, error: Exception) -> None:
        if not self._over:
            lost = _nothing if self._silent else self._lost
            self.abort()
            lost(error)

    def _end(self) -> None:
        self._over = self._silent = True
        self._feed = self._lost = self._drained = _nothing
        self._failure = None
        self._stop_receiving()
        self._wake()

    async def _finish(self) -> None:
        """Send the rest and the end, for a moment."""
        try:
            with anyio.CancelScope(deadline=self.time() + GRACE, shield=True):
                while self._sending:
                    await self._park()
                if self._unsent:
                    await self._move()
                await self._say_end()
        finally:
            await self._close()

    async def _say_end(self) -> None:
        # Not every stream can say it apart from closing; those say it then.
        with suppress(NotImplementedError, *_BROKEN):
            await self._stream.send_eof()

    async def _settle(self) -> None:
        """Close after an abort() that had no task to do it."""
        if self._over and self._spawn is None:
            await self._close()

    async def _close(self) -> None:
        if not self._closed:
            self._closed = True
            with suppress(*_BROKEN):  # it is gone already
                await anyio.aclose_forcefully(self._stream)

    async def _park(self) -> None:
        event = anyio.Event()
        self._parked.append(event)
        try:
            await event.wait()
        finally:
            if event in self._parked:
                self._parked.remove(event)

    def _wake(self) -> None:
        parked, self._parked = self._parked, []
        for event in parked:
            event.set()


class WireStream(ByteStream):
    """
    A wire as a byte stream of anyio's, for code that speaks those.

    It starts the wire. A cancelled :meth:`send` takes nothing back.

    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._received = bytearray()
        self._eof = False
        self._error: Exception | None = None
        self._closed = False
        wire.start(self._fed, self._lost, _nothing)

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return self._wire.extra_attributes

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """
        Receive at least a byte. Cancelling loses nothing.

        Raises:
            EndOfStream: the peer said the end.
            BrokenResourceError: the wire failed; the cause says how.
            ClosedResourceError: this end was closed.

        """
        await anyio.lowlevel.checkpoint()
        while not self._received:
            self._check()
            if self._eof:
                raise anyio.EndOfStream
            await self._wire.pump()
        data = bytes(self._received[:max_bytes])
        del self._received[:max_bytes]
        if len(self._received) < BUFFER_SIZE:
            self._wire.resume()
        return data

    async def send(self, item: bytes) -> None:
        """
        Send all of it, returning when the kernel has it.

        Raises:
            BrokenResourceError: the wire failed; the cause says how.
            ClosedResourceError: this end was closed.

        """
        await anyio.lowlevel.checkpoint()
        self._check()
        if not self._wire.write(bytes(item)):
            await self._wire.flush()
            self._check()

    async def send_eof(self) -> None:
        """
        Say the end of what is sent; receiving goes on.

        Raises:
            BrokenResourceError: the wire failed; the cause says how.
            ClosedResourceError: this end was closed.

        """
        await anyio.lowlevel.checkpoint()
        self._check()
        await self._wire.flush()
        self._check()
        self._wire.shutdown()

    async def aclose(self) -> None:
        self._closed = True
        await self._wire.aclose()

    def _check(self) -> None:
        if self._closed:
            raise anyio.ClosedResourceError
        if self._error is not None:
            raise anyio.BrokenResourceError from self._error

    def _fed(self, chunk: memoryview | None) -> None:
        if chunk is None:
            self._eof = True
            return
        self._received += chunk
        if len(self._received) >= BUFFER_SIZE:
            self._wire.pause()

    def _lost(self, error: Exception) -> None:
        self._error = error
