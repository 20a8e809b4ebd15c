"""The pulled wire: all that does not depend on whose socket it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import anyio

from ..wire import Feed, Lost, Spawn, Timer
from .sockets import BUFFER_SIZE, LAST_WORDS

__all__ = ("PulledWire",)

_AT_ONCE = 262_144  # bytes of a long remainder offered to the kernel in one call


def _nothing(_: object = None) -> None:
    """Stand where a callback was, after the end."""


class PulledWire(ABC):
    """
    A wire over something like a non-blocking socket, read inside :meth:`pump`.

    What cannot be sent at once is sent by one task at a time: a spawned one after
    :meth:`adopt`, before it whoever is in :meth:`flush`. A failed write ends the wire
    only after the peer's last words were read; never inside :meth:`write`, which may
    be called inside ``feed``.

    """

    __slots__ = (
        "_attributes",
        "_buffer",
        "_buffers",
        "_drained",
        "_dry",
        "_failure",
        "_feed",
        "_lost",
        "_over",
        "_parked",
        "_paused",
        "_sending",
        "_silent",
        "_spawn",
        "_unsent",
    )

    pulled = True

    def __init__(
        self,
        buffers: tuple[memoryview, memoryview],
        attributes: Mapping[Any, Callable[[], Any]],
    ) -> None:
        self._buffers = buffers
        self._buffer = buffers[False]
        self._attributes = attributes
        self._feed: Feed = _nothing
        self._lost: Lost = _nothing
        self._drained: Callable[[], None] = _nothing
        self._spawn: Spawn | None = None
        self._unsent = bytearray()
        self._sending = False
        self._paused = False
        self._dry = False  # the last read left nothing behind: wait before the next
        self._failure: Exception | None = None  # of a write; not yet told
        self._silent = False  # nothing will be fed any more
        self._over = False
        self._parked: list[anyio.Event] = []

    def __repr__(self) -> str:
        state = "over" if self._over else "at EOF" if self._silent else "open"
        return f"<{type(self).__name__} {state}>"

    # What the socket must be able to do.

    @abstractmethod
    def _recv_into(self, buffer: memoryview) -> int:
        """Read without waiting: 0 at EOF, BlockingIOError when there is nothing."""

    @abstractmethod
    def _send(self, data: bytes | memoryview) -> int:
        """Send without waiting; BlockingIOError when nothing can be taken."""

    @abstractmethod
    async def _readable(self) -> None:
        """Wait until reading may do, or :meth:`_close` was called."""

    @abstractmethod
    async def _writable(self) -> None:
        """Wait until sending may do, or :meth:`_close` was called."""

    @abstractmethod
    def _say_end(self) -> None:
        """Say FIN, if there is anybody to say it to."""

    @abstractmethod
    def _close(self) -> None:
        """Close it and wake who waits for it."""

    @abstractmethod
    def time(self) -> float:
        """Return the event loop's clock."""

    # The Wire.

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return self._attributes

    def start(self, feed: Feed, lost: Lost, drained: Callable[[], None]) -> None:
        self._feed = feed
        self._lost = lost
        self._drained = drained

    def adopt(self, spawn: Spawn) -> None:
        self._spawn = spawn
        if self._failure is not None:
            spawn(self._tell)
        self._hand_over()

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        raise RuntimeError("a pulled wire has no timers: wait in a task of your own")

    def write(self, data: bytes) -> bool:
        if self._over:
            return True
        if self._failure is not None:
            return False
        sent = 0
        if not self._unsent:
            try:
                sent = self._send(data)
            except BlockingIOError:
                pass
            except OSError as error:
                self._break(error)
                if self._spawn is not None:
                    self._spawn(self._tell)
                return False
            if sent == len(data):
                return True
        self._unsent += memoryview(data)[sent:]
        self._hand_over()
        return False

    async def flush(self) -> None:
        while not self._over and (self._unsent or self._failure is not None):
            if self._failure is not None:
                await self._tell()
            elif self._sending:
                await self._park()
            else:
                try:
                    await self._move()
                finally:
                    self._hand_over()  # cancelled, and adopted meanwhile

    async def pump(self) -> None:
        while not self._silent:
            if self._failure is not None:
                await self._tell()
                return
            if self._paused:
                await self._park()
                continue
            if not self._dry:
                if self._read(self._buffer) is not None:
                    return
                continue
            self._dry = False
            await self._readable()

    def drain(self, limit: int) -> None:
        # A buffer apart: the shared one may be in use by another wire's feed.
        buffer = memoryview(bytearray(min(limit, BUFFER_SIZE)))
        while limit > 0 and not self._silent:
            count = self._read(buffer)
            if count is None:
                return
            limit -= count

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            self._wake()

    def widen(self, wide: bool) -> None:
        self._buffer = self._buffers[wide]

    @property
    def buffered(self) -> int:
        return len(self._unsent)

    def shutdown(self) -> None:
        if not self._over:
            self._say_end()

    def finish(self) -> None:
        if not self._over:
            with suppress(OSError):  # it takes no more: what is left is dropped
                while self._unsent:
                    self._send_some()
            self._say_end()
            self._end()

    def abort(self) -> None:
        if not self._over:
            self._end()

    async def aclose(self) -> None:
        self._silent = True
        self._feed = self._lost = self._drained = _nothing
        self._wake()
        try:
            await self.flush()
        except BaseException:
            self.abort()
            raise
        self.finish()

    # Within.

    def _read(self, buffer: memoryview) -> int | None:
        """Read and feed once; None: there was nothing."""
        try:
            count = self._recv_into(buffer)
        except BlockingIOError:
            self._dry = True
            return None
        except OSError as error:
            self._lose(error)
            return 0
        if count:
            self._dry = count < len(buffer)
            self._feed(buffer[:count])
        else:
            self._silent = True
            self._feed(None)
            self._wake()
        return count

    def _send_some(self) -> None:
        with memoryview(self._unsent) as view, view[:_AT_ONCE] as part:
            sent = self._send(part)
        del self._unsent[:sent]

    def _hand_over(self) -> None:
        """Let a task of the owner's send the rest, if there is one and none does."""
        if self._unsent and self._spawn is not None and not self._sending:
            self._sending = True
            self._spawn(self._move)

    async def _move(self) -> None:
        """Send what is unsent; one task at a time."""
        self._sending = True
        try:
            while self._unsent and not self._over:
                try:
                    self._send_some()
                except BlockingIOError:
                    await self._writable()
                except OSError as error:
                    self._break(error)
        finally:
            self._sending = False
            self._wake()
        if self._failure is not None:
            await self._tell()
        elif not self._over:
            self._drained()

    def _break(self, error: OSError) -> None:
        self._failure = error
        self._unsent.clear()
        self._wake()

    async def _tell(self) -> None:
        """Read the peer's last words, then say that a write failed."""
        error = self._failure
        if self._over or error is None:
            return
        buffer = memoryview(bytearray(BUFFER_SIZE))
        limit = LAST_WORDS
        while limit > 0 and not self._silent:
            try:
                count = self._recv_into(buffer)
            except OSError:
                break  # the write has failed already: that is what is told
            if not count:
                break
            self._feed(buffer[:count])
            limit -= count
        self._lose(error)

    def _lose(self, error: Exception) -> None:
        if not self._over:
            lost = _nothing if self._silent else self._lost
            self._end()
            lost(error)

    def _end(self) -> None:
        self._over = self._silent = True
        self._feed = self._lost = self._drained = _nothing
        self._failure = None
        self._unsent.clear()
        self._close()
        self._wake()

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
