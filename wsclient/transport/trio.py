"""The pulled wire of trio: the raw socket, tried first and waited for second."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress

import trio

from .pulled import PulledWire
from .sockets import SocketAttributes, make_buffers

__all__ = ("TrioWire", "call_soon_threadsafe", "trio_wire")

_BUFFERS: trio.lowlevel.RunVar[tuple[memoryview, memoryview]]
_BUFFERS = trio.lowlevel.RunVar("wsclient_buffers")


def _buffers_of_this_run() -> tuple[memoryview, memoryview]:
    """Return the run's one receive buffer: filled and fed without an await between."""
    try:
        return _BUFFERS.get()
    except LookupError:
        buffers = make_buffers()
        _BUFFERS.set(buffers)
        return buffers


class TrioWire(PulledWire):
    """A socket on trio; made by :func:`trio_wire`."""

    __slots__ = ("_sock",)

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(_buffers_of_this_run(), SocketAttributes(sock))
        self._sock = sock

    def _recv_into(self, buffer: memoryview) -> int:
        return self._sock.recv_into(buffer)

    def _send(self, data: bytes | memoryview) -> int:
        return self._sock.send(data)

    async def _readable(self) -> None:
        with suppress(trio.ClosedResourceError):
            await trio.lowlevel.wait_readable(self._sock)

    async def _writable(self) -> None:
        with suppress(trio.ClosedResourceError):
            await trio.lowlevel.wait_writable(self._sock)

    def _say_end(self) -> None:
        with suppress(OSError):  # not connected any more: nothing to say it to
            self._sock.shutdown(socket.SHUT_WR)

    def _close(self) -> None:
        trio.lowlevel.notify_closing(self._sock)
        self._sock.close()

    def time(self) -> float:
        return trio.current_time()


async def trio_wire(sock: socket.socket) -> TrioWire:
    """Make a wire of a connected, non-blocking socket; it owns the socket at once."""
    try:
        return TrioWire(sock)
    except BaseException:
        sock.close()
        raise


def call_soon_threadsafe() -> Callable[[Callable[[], object]], object]:
    """Return how another thread calls into this run; RuntimeError: it ended."""
    return trio.lowlevel.current_trio_token().run_sync_soon
