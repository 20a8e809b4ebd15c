"""The pushed wire: a buffered protocol on asyncio's own transport, or uvloop's."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, cast
from weakref import WeakKeyDictionary

from ..wire import Feed, Lost, Spawn, Timer
from .sockets import (
    BUFFER_SIZE,
    LAST_WORDS,
    RawSocket,
    SocketAttributes,
    make_buffers,
)

__all__ = ("AsyncioWire", "asyncio_wire", "call_soon_threadsafe")

_BUFFERS: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[memoryview, memoryview]]
_BUFFERS = WeakKeyDictionary()


def _buffers_of(loop: asyncio.AbstractEventLoop) -> tuple[memoryview, memoryview]:
    """
    Return the loop's one receive buffer: filled and parsed inside one callback.

    A proactor fills buffers while nobody looks, so there each wire needs its own.

    """
    if hasattr(loop, "sock_sendall") and type(loop).__name__ == "ProactorEventLoop":
        buffer = memoryview(bytearray(BUFFER_SIZE))
        return buffer, buffer
    buffers = _BUFFERS.get(loop)
    if buffers is None:
        buffers = _BUFFERS[loop] = make_buffers()
    return buffers


def _nothing(_: object = None) -> None:
    """Stand where a callback was, after the end."""


class AsyncioWire(asyncio.BufferedProtocol):
    """
    A socket on asyncio or uvloop; made by :func:`asyncio_wire`.

    The transport's buffer may hold nothing before it says ``pause_writing``, so that
    ``resume_writing`` means: the kernel has it.

    """

    __slots__ = (
        "_attributes",
        "_behind",
        "_buffer",
        "_buffers",
        "_direct",
        "_drained",
        "_early",
        "_early_eof",
        "_early_loss",
        "_failure",
        "_feed",
        "_flushers",
        "_gone",
        "_loop",
        "_lost",
        "_over",
        "_paused",
        "_pumper",
        "_resuming",
        "_silent",
        "_sock",
        "_started",
        "_transport",
    )

    pulled = False

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: RawSocket,
        attributes: Mapping[Any, Callable[[], Any]],
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._attributes = attributes
        self._buffers = _buffers_of(loop)
        self._buffer = self._buffers[False]
        self._transport: asyncio.Transport
        self._feed: Feed = _nothing
        self._lost: Lost = _nothing
        self._drained: Callable[[], None] = _nothing
        self._started = False
        self._paused = False  # by us: reading
        self._behind = False  # told by the transport: writing
        self._resuming = False  # the transport is telling us just now
        self._silent = False  # nothing will be fed any more
        self._over = False
        self._gone = False  # over, or the transport is and start() will tell
        self._early = bytearray()  # read before start()
        self._early_eof = False
        self._early_loss: Exception | None = None
        # Only a proactor must know of every write.
        self._direct = not hasattr(loop, "_proactor")
        self._failure: OSError | None = None  # of a write
        self._pumper: asyncio.Future[None] | None = None
        self._flushers: list[asyncio.Future[None]] = []

    def __repr__(self) -> str:
        state = "over" if self._over else "at EOF" if self._silent else "open"
        return f"<AsyncioWire {state}>"

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=0)
        self._transport.pause_reading()  # until start() says who takes it

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if not self._started:
            self._early += self._buffer[:nbytes]
        elif not self._silent:
            self._feed(self._buffer[:nbytes])
            pumper = self._pumper
            if pumper is not None:
                self._pumper = None
                if not pumper.done():
                    pumper.set_result(None)

    def eof_received(self) -> bool:
        if not self._started:
            self._early_eof = True
        elif not self._silent:
            self._silent = True
            self._feed(None)
            self._wake_pumper()
        return True  # half open: we may have more to say

    def pause_writing(self) -> None:
        self._behind = True

    def resume_writing(self) -> None:
        self._behind = False
        if not self._over:
            self._resuming = True
            self._drained()
            self._resuming = False
            self._wake_flushers()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._over:
            return
        if self._early:
            self._catch_up()
        # Often it was a write that failed, and the peer's last words are still unread.
        self._read(LAST_WORDS)
        error = exc or self._failure or ConnectionResetError("the transport was closed")
        if self._started:
            self._lose(error)
        else:
            self._early_loss = error
            self._gone = True
            self._wake_flushers()

    def hold(self) -> None:
        """Read nothing before start(); uvloop begins after connection_made()."""
        if not self._gone:
            self._transport.pause_reading()

    # The Wire.

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return self._attributes

    def start(self, feed: Feed, lost: Lost, drained: Callable[[], None]) -> None:
        self._feed = feed
        self._lost = lost
        self._drained = drained
        self._started = True
        if self._early or self._early_eof or self._early_loss:
            self._loop.call_soon(self._catch_up)
        elif not self._paused and not self._gone:
            self._transport.resume_reading()

    def adopt(self, spawn: Spawn) -> None:
        """Do nothing: the event loop works for this wire."""

    def time(self) -> float:
        return self._loop.time()

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        return self._loop.call_at(when, callback)

    def write(self, data: bytes) -> bool:
        if self._gone:
            return self._over
        transport = self._transport
        if data and self._direct and not self._behind:  # the transport holds nothing
            try:
                sent = self._sock.send(data)
            except BlockingIOError:
                sent = 0
            except OSError as error:
                # Without the frames, which hold whatever has been writing.
                self._failure = self._failure or error.with_traceback(None)
                transport.abort()  # it calls connection_lost() soon
                return False
            if sent == len(data):
                return True
            data = data[sent:]
        transport.write(data)
        return not self._behind and not transport.is_closing()

    async def flush(self) -> None:
        while not self._gone and (self._behind or self._transport.is_closing()):
            flusher = self._loop.create_future()
            self._flushers.append(flusher)
            try:
                await flusher
            finally:
                with suppress(ValueError):  # who woke it has taken it off
                    self._flushers.remove(flusher)

    def pump(self) -> Awaitable[None]:
        assert self._pumper is None or self._pumper.done(), "one caller at a time"
        pumper = self._loop.create_future()
        if self._silent:
            pumper.set_result(None)
        else:
            self._pumper = pumper
        return pumper

    def drain(self, limit: int) -> None:
        if self._started and not self._silent and not self._early:
            error = self._read(limit)
            if error is not None:
                self._lose(error)

    def pause(self) -> None:
        if not self._paused:
            self._paused = True
            if self._started and not self._silent and not self._gone:
                self._transport.pause_reading()

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            if self._started and not self._silent and not self._gone:
                self._transport.resume_reading()

    def widen(self, wide: bool) -> None:
        self._buffer = self._buffers[wide]

    @property
    def buffered(self) -> int:
        return 0 if self._gone else self._transport.get_write_buffer_size()

    def shutdown(self) -> None:
        if not self._gone:
            with suppress(OSError):  # not connected any more: nothing to say it to
                self._sock.shutdown(socket.SHUT_WR)

    def finish(self) -> None:
        if not self._over:
            self.shutdown()  # what the transport holds the kernel refused just now
            self.abort()

    def abort(self) -> None:
        if not self._over:
            self._end()

    async def aclose(self) -> None:
        self._silent = True
        self._lost = self._drained = _nothing
        if not self._gone and not self._paused:
            self._transport.pause_reading()
        self._wake_pumper()
        try:
            await self.flush()
        except BaseException:
            self.abort()
            raise
        self.finish()

    # Within.

    def _read(self, limit: int) -> OSError | None:
        """Feed what is readable; a buffer apart: another wire may be in its feed."""
        buffer = memoryview(bytearray(min(limit, BUFFER_SIZE)))
        while limit > 0 and not self._silent:
            try:
                count = self._sock.recv_into(buffer)
            except BlockingIOError:
                return None
            except OSError as error:
                return error
            if not count:
                if not self._transport.is_closing():
                    self._transport.pause_reading()
                    self.eof_received()
                return None
            if self._started:
                self._feed(buffer[:count])
                self._wake_pumper()
            else:
                self._early += buffer[:count]
            limit -= count
        return None

    def _catch_up(self) -> None:
        """Tell what came before start()."""
        if not self._started:
            return
        if self._early and not self._silent:
            early, self._early = self._early, bytearray()
            self._feed(memoryview(early))
            self._wake_pumper()
        if self._early_eof:
            self.eof_received()
        if self._early_loss is not None:
            self._lose(self._early_loss)
        elif not (self._paused or self._silent or self._gone):
            self._transport.resume_reading()

    def _lose(self, error: Exception) -> None:
        if self._over:
            return
        lost = _nothing if self._silent else self._lost
        self._end()
        lost(error)

    def _end(self) -> None:
        self._over = self._silent = self._gone = True
        self._feed = self._lost = self._drained = _nothing
        if self._resuming:
            # Aborted from inside, asyncio's transport would lose its connection twice.
            self._loop.call_soon(self._close)
        else:
            self._close()
        self._wake_pumper()
        self._wake_flushers()

    def _close(self) -> None:
        self._transport.abort()
        if self._direct:
            # The transport no longer watches it; uvloop defers this by itself.
            self._sock.close()

    def _wake_pumper(self) -> None:
        pumper, self._pumper = self._pumper, None
        if pumper is not None and not pumper.done():
            pumper.set_result(None)

    def _wake_flushers(self) -> None:
        flushers, self._flushers = self._flushers, []
        for flusher in flushers:
            if not flusher.done():
                flusher.set_result(None)


async def asyncio_wire(sock: socket.socket) -> AsyncioWire:
    """Make a wire of a connected, non-blocking socket; it owns the socket at once."""
    loop = asyncio.get_running_loop()
    try:
        wire = AsyncioWire(loop, sock, SocketAttributes(sock))
        await loop.create_connection(lambda: wire, sock=sock)
        wire.hold()
    except BaseException:
        sock.close()
        raise
    return wire


def call_soon_threadsafe() -> Callable[[Callable[[], object]], object]:
    """Return how another thread calls into this event loop; RuntimeError: it ended."""
    return asyncio.get_running_loop().call_soon_threadsafe
