"""Two wires in memory: the real ones, on simulated sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from math import inf
from typing import Any, Protocol

import anyio
from anyio.abc import SocketAttribute
from anyio.lowlevel import checkpoint

from ..transport.asyncio import AsyncioWire
from ..transport.pulled import PulledWire
from ..transport.sockets import BUFFER_SIZE
from ..wire import Feed, Lost, Wire
from .clock import clock_here
from .pipe import Pipe

__all__ = ("SimulatedWire", "wire_pair")


Address = tuple[str, int]
HERE, THERE = ("192.0.2.1", 40_000), ("192.0.2.2", 443)  # RFC 5737


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

    @property
    def closed(self) -> bool:
        """Whether its simulated socket is closed: nothing is open any more."""
        ...


def wire_pair(
    *,
    latency: float = 0.0,
    bandwidth: float | None = None,
    capacity: int = BUFFER_SIZE,
    pushed: bool | tuple[bool, bool] = False,
    addresses: tuple[Address, Address] = (HERE, THERE),
) -> tuple[SimulatedWire, SimulatedWire]:
    """
    Make two wires that are connected to each other, in memory, on virtual time.

    The wires are the real ones on simulated sockets; call it inside the event loop.
    What is fed is overwritten after the call: a view that was kept shows it.

    Args:
        latency: seconds from sending to arrival, each way.
        bandwidth: bytes a second each way; None: no bound.
        capacity: bytes each way that the simulated kernels hold; see :class:`Pipe`.
        pushed: make them as asyncio's are, which is possible there only; a pair
            says it for each.
        addresses: what each end says of itself.

    """
    left, right = (pushed, pushed) if isinstance(pushed, bool) else pushed
    clock = clock_here()
    up = Pipe(clock, latency=latency, bandwidth=bandwidth, capacity=capacity)
    down = Pipe(clock, latency=latency, bandwidth=bandwidth, capacity=capacity)
    here, there = addresses
    return (
        _wire(left, _Socket(up, down), here, there),
        _wire(right, _Socket(down, up), there, here),
    )


def _wire(pushed: bool, sock: _Socket, here: Address, there: Address) -> SimulatedWire:
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
        buffer = memoryview(bytearray(BUFFER_SIZE))
        super().__init__((buffer, buffer), attributes)
        self.out = sock.out
        self.into = sock.into
        self._sock = sock
        self._waiting: set[anyio.Event] = set()
        self._clock = clock_here()
        sock.out.watch(self._stir)
        sock.into.watch(self._stir)

    @property
    def closed(self) -> bool:
        return self._sock.closed

    def start(self, feed: Feed, lost: Lost, drained: Callable[[], None]) -> None:
        super().start(_overwriting(feed), lost, drained)

    def time(self) -> float:
        return self._clock()

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
            if deadline == inf:
                await event.wait()
            else:
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
        self._simulated = sock
        self.connection_made(_Transport(loop, sock, self))

    @property
    def closed(self) -> bool:
        return self._simulated.closed

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
        if not self._reading or self._eof or arrival == inf:
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
        if not self._unsent or departure == inf:
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
