"""A network in memory: two wires, the pipes between them, and every way they fail."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import anyio
from anyio.abc import SocketAttribute
from anyio.lowlevel import checkpoint

from ..transport.asyncio import AsyncioWire
from ..transport.pulled import PulledWire
from ..transport.sockets import BUFFER_SIZE
from ..wire import Feed, Lost, Wire

__all__ = ("Pipe", "SimulatedWire", "wire_pair")

Clock = Callable[[], float]


class Pipe:
    """
    One direction of a simulated connection: a kernel's buffers and the way between.

    Set its attributes at any time; whatever waits learns of it. What an attribute says
    holds from now on; bytes that are on their way keep their time of arrival.

    Attributes:
        latency: seconds from sending to arrival.
        capacity: bytes it holds at most, sent and not yet read. 0 takes a byte at a
            time, and only while it is being waited for.
        chunk: bytes given by one read at most; None: all there are.
        sent: everything it took from the sender, for the test to read.
        received: everything that was read, for the test to read.

    """

    def __init__(self, clock: Clock, *, latency: float, capacity: int) -> None:
        self.latency = latency
        self.chunk: int | None = None
        self.sent = bytearray()
        self.received = bytearray()
        self._clock = clock
        self._capacity = capacity
        self._segments: deque[tuple[float, bytes]] = deque()
        self._held = 0
        self._wanted = False  # somebody waits to read
        self._stalled = False
        self._silenced = False
        self._fin: float | None = None  # when the EOF arrives
        self._error: tuple[float, OSError] | None = None  # what reading meets, and when
        self._refusal: tuple[float, OSError] | None = None  # what sending meets
        self._cut: tuple[int, OSError | None] | None = None
        self._watchers: list[Callable[[], None]] = []

    def __repr__(self) -> str:
        return f"<Pipe {len(self.sent)} sent, {len(self.received)} received>"

    # What a test does to it.

    @property
    def capacity(self) -> int:
        return self._capacity

    @capacity.setter
    def capacity(self, capacity: int) -> None:
        self._capacity = capacity
        self._changed()

    def stall(self) -> None:
        """Take no more bytes, as when the peer's host does not read."""
        self._stalled = True

    def silence(self) -> None:
        """
        Let nothing arrive any more: a black hole.

        It still takes what its capacity holds, as a kernel does whose packets vanish.

        """
        self._silenced = True

    def heal(self) -> None:
        """End :meth:`stall` and :meth:`silence`; what was held arrives now."""
        self._stalled = self._silenced = False
        self._changed()

    def eof(self) -> None:
        """Say the end after what was sent: the reader gets an EOF."""
        if self._fin is None:
            self._fin = self._clock() + self.latency
            self._changed()

    def reset(self, error: OSError | None = None) -> None:
        """
        Break it: reading meets the error after what had been sent, sending at once.

        The default is ``ConnectionResetError``.

        """
        error = error or ConnectionResetError("the simulated peer reset the connection")
        self._error = self._clock() + self.latency, error
        self.refuse(error)

    def refuse(self, error: OSError, *, after: float = 0.0) -> None:
        """Let sending meet the error, from ``after`` seconds on."""
        if self._refusal is None:
            self._refusal = self._clock() + after, error
            self._changed()

    def cut_at(self, count: int, error: OSError | None = None) -> None:
        """
        Let exactly ``count`` bytes through, counted from the very first, then end.

        The reader meets the error, or an EOF if there is none; what is sent beyond
        vanishes.

        """
        self._cut = count, error
        self._cut_off()

    # What the sockets do with it.

    def send(self, data: bytes | memoryview) -> int:
        if self.departure() > self._clock():
            raise BlockingIOError
        if self._refusal is not None and self._refusal[0] <= self._clock():
            raise self._refusal[1]
        taken = bytes(data[: self._room()])
        self.sent += taken
        passed = taken
        if self._cut is not None:
            passed = taken[: max(0, self._cut[0] - (len(self.sent) - len(taken)))]
        if passed and self._fin is None:
            self._segments.append((self._clock() + self.latency, passed))
            self._held += len(passed)
        self._cut_off()
        self._changed()
        return len(taken)

    def _cut_off(self) -> None:
        if self._cut is not None and len(self.sent) >= self._cut[0]:
            _, error = self._cut
            if error is None:
                self.eof()
            elif self._error is None:
                self._error = self._clock() + self.latency, error
                self._changed()

    def recv_into(self, buffer: memoryview) -> int:
        if self.arrival() > self._clock():
            raise BlockingIOError
        if not self._segments:
            if self._error is not None and self._error[0] <= self._clock():
                raise self._error[1]
            return 0
        arrival, data = self._segments.popleft()
        count = min(len(data), len(buffer), self.chunk or len(data))
        buffer[:count] = data[:count]
        if count < len(data):
            self._segments.appendleft((arrival, data[count:]))
        self._held -= count
        self.received += data[:count]
        self._changed()
        return count

    def arrival(self) -> float:
        """When there is something to read: bytes, an error or an EOF; maybe never."""
        if self._silenced:
            return float("inf")
        if self._segments:
            return self._segments[0][0]
        ends = [self._error[0]] if self._error is not None else []
        ends += [self._fin] if self._fin is not None else []
        return min(ends, default=float("inf"))

    def departure(self) -> float:
        """When sending takes something or meets an error; maybe never."""
        if self._room() > 0 and not self._stalled:
            return self._clock()
        return self._refusal[0] if self._refusal is not None else float("inf")

    def _room(self) -> int:
        return max(self._capacity, 1 if self._wanted else 0) - self._held

    def want(self, wanted: bool) -> None:
        """Be told whether somebody waits to read."""
        if self._wanted != wanted:
            self._wanted = wanted
            if wanted:
                self._changed()

    def watch(self, watcher: Callable[[], None]) -> None:
        self._watchers.append(watcher)

    def _changed(self) -> None:
        for watcher in tuple(self._watchers):
            watcher()


class _Socket:
    """One end of two pipes, as the wires see a socket."""

    def __init__(self, out: Pipe, into: Pipe) -> None:
        self.out = out
        self.into = into
        self.closed = False
        self.send = out.send
        self.recv_into = into.recv_into

    def shutdown(self, how: int) -> None:
        self.out.eof()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.into.want(False)
            # A kernel sends the end by itself; who goes on sending to it is told.
            self.out.eof()
            self.into.refuse(BrokenPipeError("hung up"), after=self.out.latency)


class SimulatedWire(Wire, Protocol):
    """A wire of a :func:`wire_pair`: ``out`` is the pipe to the peer, ``into`` ours."""

    out: Pipe
    into: Pipe


def wire_pair(
    *,
    latency: float = 0.0,
    capacity: int = BUFFER_SIZE,
    pushed: bool | tuple[bool, bool] = False,
) -> tuple[SimulatedWire, SimulatedWire]:
    """
    Make two wires that are connected to each other, in memory, on virtual time.

    The wires are the real ones on simulated sockets; call it inside the event loop.
    What is fed is overwritten after the call: a view that was kept shows it.

    Args:
        latency: seconds from sending to arrival, each way.
        capacity: bytes each way that the simulated kernels hold; see :class:`Pipe`.
        pushed: make them as asyncio's are, which is possible there only; a pair
            says it for each.

    """
    left, right = (pushed, pushed) if isinstance(pushed, bool) else pushed
    clock = anyio.current_time
    there = Pipe(clock, latency=latency, capacity=capacity)
    back = Pipe(clock, latency=latency, capacity=capacity)
    return _wire(left, _Socket(there, back), 1), _wire(right, _Socket(back, there), 2)


def _wire(pushed: bool, sock: _Socket, number: int) -> SimulatedWire:
    here, there = ("192.0.2.1", 40_000), ("192.0.2.2", 443)  # RFC 5737
    if number == 2:
        here, there = there, here
    attributes: Mapping[Any, Callable[[], Any]] = {
        SocketAttribute.local_address: lambda: here,
        SocketAttribute.local_port: lambda: here[1],
        SocketAttribute.remote_address: lambda: there,
        SocketAttribute.remote_port: lambda: there[1],
    }
    return (_Pushed if pushed else _Pulled)(sock, attributes)


def _overwriting(feed: Feed) -> Feed:
    def fed(chunk: memoryview | None) -> None:
        feed(chunk)
        if chunk is not None:
            chunk[:] = b"\xdd" * len(chunk)

    return fed


class _Pulled(PulledWire):
    """What trio's is, on any backend."""

    def __init__(
        self, sock: _Socket, attributes: Mapping[Any, Callable[[], Any]]
    ) -> None:
        super().__init__(memoryview(bytearray(BUFFER_SIZE)), attributes)
        self.out = sock.out
        self.into = sock.into
        self._sock = sock
        self._waiting: set[anyio.Event] = set()
        sock.out.watch(self._stir)
        sock.into.watch(self._stir)

    def start(self, feed: Feed, lost: Lost, drained: Callable[[], None]) -> None:
        super().start(_overwriting(feed), lost, drained)

    def time(self) -> float:
        return anyio.current_time()

    def _recv_into(self, buffer: memoryview) -> int:
        return self._sock.recv_into(buffer)

    def _send(self, data: bytes | memoryview) -> int:
        return self._sock.send(data)

    async def _readable(self) -> None:
        self.into.want(True)
        try:
            await checkpoint()
            while not self._sock.closed and self.into.arrival() > self.time():
                await self._wait_until(self.into.arrival())
        finally:
            self.into.want(False)

    async def _writable(self) -> None:
        await checkpoint()
        while not self._sock.closed and self.out.departure() > self.time():
            await self._wait_until(self.out.departure())

    async def _wait_until(self, deadline: float) -> None:
        event = anyio.Event()
        self._waiting.add(event)
        try:
            with anyio.CancelScope(deadline=deadline):
                await event.wait()
        finally:
            self._waiting.discard(event)

    def _stir(self) -> None:
        for event in self._waiting:
            event.set()

    def _say_end(self) -> None:
        self._sock.shutdown(socket.SHUT_WR)

    def _close(self) -> None:
        self._sock.close()
        self._stir()


class _Pushed(AsyncioWire):
    """asyncio's own, on a simulated transport."""

    def __init__(
        self, sock: _Socket, attributes: Mapping[Any, Callable[[], Any]]
    ) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(loop, sock, attributes)
        self.out = sock.out
        self.into = sock.into
        self.connection_made(_Transport(loop, sock, self))

    def start(self, feed: Feed, lost: Lost, drained: Callable[[], None]) -> None:
        super().start(_overwriting(feed), lost, drained)


class _Transport(asyncio.Transport):
    """What asyncio's selector transport does, told by pipes instead of a selector."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: _Socket,
        protocol: asyncio.BufferedProtocol,
    ) -> None:
        super().__init__()
        self._loop = loop
        self._sock = sock
        self._protocol = protocol
        self._unsent = bytearray()
        self._closing = False
        self._reading = False
        self._eof = False
        self._behind = False
        self._next_read: asyncio.Handle | None = None
        self._next_send: asyncio.Handle | None = None
        sock.out.watch(self._writable)
        sock.into.watch(self._readable)

    def is_closing(self) -> bool:
        return self._closing

    def set_write_buffer_limits(
        self, high: int | None = None, low: int | None = None
    ) -> None:
        assert high == 0, "a wire asks to be told of every byte that is left"

    def get_write_buffer_size(self) -> int:
        return len(self._unsent)

    def pause_reading(self) -> None:
        self._reading = False
        self._sock.into.want(False)
        if self._next_read is not None:
            self._next_read.cancel()
            self._next_read = None

    def resume_reading(self) -> None:
        if not self._closing:
            self._reading = True
            self._sock.into.want(True)
            self._readable()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._closing:
            return
        self._unsent += data
        if len(self._unsent) == len(data):
            self._send()
        if self._unsent and not self._behind:
            self._behind = True
            self._protocol.pause_writing()

    def abort(self) -> None:
        self._end(None)

    def _readable(self) -> None:
        """Read when the next thing arrives."""
        if self._next_read is not None:
            self._next_read.cancel()
            self._next_read = None
        arrival = self._sock.into.arrival()
        if not self._reading or self._eof or arrival == float("inf"):
            return
        if arrival <= self._loop.time():
            self._next_read = self._loop.call_soon(self._read)
        else:
            self._next_read = self._loop.call_at(arrival, self._read)

    def _read(self) -> None:
        self._next_read = None
        buffer = self._protocol.get_buffer(-1)
        try:
            count = self._sock.recv_into(memoryview(buffer))
        except BlockingIOError:
            pass
        except OSError as error:
            self._end(error)
            return
        else:
            if count:
                self._protocol.buffer_updated(count)
            else:
                self._eof = True
                assert self._protocol.eof_received(), "a wire stays half open"
        self._readable()

    def _writable(self) -> None:
        """Send the rest when it can be sent."""
        if self._next_send is not None:
            self._next_send.cancel()
            self._next_send = None
        departure = self._sock.out.departure()
        if not self._unsent or departure == float("inf"):
            return
        if departure <= self._loop.time():
            self._next_send = self._loop.call_soon(self._send_more)
        else:
            self._next_send = self._loop.call_at(departure, self._send_more)

    def _send_more(self) -> None:
        self._next_send = None
        self._send()
        if self._behind and not (self._unsent or self._closing):
            self._behind = False
            self._protocol.resume_writing()

    def _send(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: self._sock.send(bytes(self._unsent))]
        except BlockingIOError:
            pass
        except OSError as error:
            self._end(error)

    def _end(self, error: OSError | None) -> None:
        if not self._closing:
            self._closing = True
            self._unsent.clear()
            self.pause_reading()
            self._loop.call_soon(self._lose, error)

    def _lose(self, error: OSError | None) -> None:
        self._protocol.connection_lost(error)
        self._sock.close()
