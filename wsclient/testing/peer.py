"""A server's end of one connection: it does what a script says and writes all down."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

import anyio
from anyio.abc import SocketAttribute

from ..errors import Close
from ..protocol import (
    CloseReceived,
    Endpoint,
    Event,
    Failed,
    HandshakeFailed,
    Request,
)
from ..wire import Wire
from .wires import SimulatedWire

__all__ = ("Peer",)

Message = str | bytes


class Peer:
    """
    A server's end of one connection, which does what its script says.

    It reads all the time and writes down what came; its record can be read when all is
    over too. Whatever a script does after the client has gone raises EOFError, which
    ends the script and is no failure.

    Attributes:
        number: counted from 1 in the order the clients came.
        polite: answer pings and Close frames by itself.
        hangs_up: end TCP by itself after both Close frames.
        came_at, closed_at, gone_at: when the client came, when its Close frame came,
            when the end of its TCP came; on the event loop's clock.
        messages: everything it received, in order.
        events: all that the client's bytes meant, each with its time.
        ended: how TCP ended: "eof" by the client, an error, or what was done here.
        raw: all bytes that came, where nobody speaks WebSocket; else None.
        endpoint: what speaks the protocol, for scripts that say something unusual.
        wire: what carries its bytes, for scripts that say what is no WebSocket at all.
        below: the wire below TLS, or ``wire`` itself.

    """

    def __init__(
        self,
        wire: Wire,
        number: int,
        endpoint: Endpoint,
        *,
        below: Wire | None = None,
        raw: bool = False,
    ) -> None:
        self.wire = wire
        self.below = wire if below is None else below
        self.raw: bytearray | None = bytearray() if raw else None
        self.number = number
        self.endpoint = endpoint
        self.polite = True
        self.hangs_up = True
        self.came_at = anyio.current_time()
        self.closed_at: float | None = None
        self.gone_at: float | None = None
        self.messages: list[Message] = []
        self.events: list[tuple[float, Event]] = []
        self.ended: str | Exception | None = None
        self._taken = 0
        self._news = anyio.Event()

    def __repr__(self) -> str:
        return f"<Peer {self.number}: {len(self.messages)} messages, {self.ended!r}>"

    # What it saw.

    @property
    def close_code(self) -> int | None:
        """The code of the client's Close frame, if one came."""
        close = self.endpoint.close_received
        return None if close is None else close.code

    @property
    def close_said(self) -> Close | None:
        """The Close frame it sent itself."""
        return self.endpoint.close_sent

    @property
    def faults(self) -> list[Event]:
        """What it found wrong with the client's bytes."""
        return [e for _, e in self.events if isinstance(e, Failed | HandshakeFailed)]

    def times(self, kind: type) -> list[float]:
        """When events of this kind came."""
        return [at for at, event in self.events if isinstance(event, kind)]

    async def until(self, happened: Callable[[], object]) -> None:
        """Wait until it has happened; whatever happens to a peer stirs it."""
        while not happened():
            await self._news.wait()

    async def until_news(self) -> None:
        """Wait until something happens to it, whatever it is."""
        await self._news.wait()

    async def until_gone(self) -> None:
        """Wait until the client has ended its TCP, or it broke."""
        await self.until(lambda: self.ended)

    async def recv(self) -> Message:
        """
        Wait for the next message.

        Raises:
            EOFError: the client has gone.

        """
        await self.until(lambda: len(self.messages) > self._taken or self.ended)
        if len(self.messages) <= self._taken:
            raise EOFError("the client has gone")
        self._taken += 1
        return self.messages[self._taken - 1]

    # What it does.

    async def request(self) -> Request:
        """
        Wait for the opening handshake's request.

        Raises:
            EOFError: the client has gone.

        """
        await self.until(lambda: self.endpoint.request or self.ended)
        if self.endpoint.request is None:
            raise EOFError("the client has gone")
        return self.endpoint.request

    async def accept(
        self,
        headers: Sequence[tuple[str, str]] = (),
        subprotocol: str | None = None,
    ) -> Request:
        """Answer the request with 101; see :meth:`request`."""
        request = await self.request()
        if self.ended:
            raise EOFError("the client has gone")
        answer = self.endpoint.accept(subprotocol=subprotocol, headers=headers)
        self.wire.write(answer)
        self._feed(memoryview(b""))
        return request

    async def reject(
        self,
        status: int,
        headers: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
    ) -> None:
        """Answer the request with plain HTTP and hang up; see :meth:`request`."""
        await self.request()
        self.wire.write(self.endpoint.reject(status, headers, body))
        self.hang_up()

    def send(self, *messages: Message) -> None:
        """
        Send messages, whether the kernel has room or not.

        Raises:
            EOFError: the client has gone, or has said Close.

        """
        for message in messages:
            self._write(partial(self.endpoint.encode, message))

    def ping(self, payload: bytes = b"") -> None:
        """Send a ping; see :meth:`send`."""
        self._write(partial(self.endpoint.ping, payload))

    def close(self, code: int | None = 1000, reason: str = "") -> None:
        """Send a Close frame, None without a code; see :meth:`send`."""
        self._write(partial(self.endpoint.close, code, reason))

    def write(self, data: bytes) -> None:
        """Send bytes as they are, whatever they mean; see :meth:`send`."""
        self._write(lambda: data)

    def _write(self, encode: Callable[[], bytes]) -> None:
        if self.ended or self.closed_at is not None:
            raise EOFError("the client has gone")
        self.wire.write(encode())

    def hang_up(self) -> None:
        """Say FIN, without a Close frame; nothing more is read."""
        self.wire.finish()
        self.gone("hung up")

    def reset(self) -> None:
        """Break the connection: the client is told so by a reset."""
        if (simulated := self._simulated()) is not None:
            simulated.out.reset()
            simulated.into.refuse(BrokenPipeError("reset"))
        else:  # the kernel says RST when it is closed, whatever was sent before
            linger = struct.pack("ii", 1, 0)
            self._socket().setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.wire.abort()
        self.gone("reset")

    def say_fin(self) -> None:
        """Say FIN below TLS, without its close_notify, and read on."""
        if (simulated := self._simulated()) is not None:
            simulated.out.eof()
        else:
            self._socket().shutdown(socket.SHUT_WR)

    def vanish(self) -> None:
        """
        Be behind a black hole from now on.

        Raises:
            TypeError: it talks through a real socket.

        """
        if (simulated := self._simulated()) is None:
            raise TypeError("no real socket vanishes: put a Proxy before the server")
        simulated.out.silence()
        simulated.into.silence()

    def _simulated(self) -> SimulatedWire | None:
        return cast(SimulatedWire, self.below) if hasattr(self.below, "out") else None

    def _socket(self) -> socket.socket:
        raw = self.below.extra_attributes[SocketAttribute.raw_socket]()
        assert isinstance(raw, socket.socket)
        return raw

    # What the wire tells.

    def start(self) -> None:
        """Begin to read."""
        self.wire.start(self._feed, self._lost, lambda: None)

    async def read(self) -> None:
        """Read until the end; for a task of its own."""
        while not self.ended:
            await self.wire.pump()

    def _feed(self, chunk: memoryview | None) -> None:
        if chunk is None:
            self.gone("eof")
            return
        if self.raw is not None:
            self.raw += chunk
            self._stir()
            return
        for event in self.endpoint.receive_data(chunk):
            self.events.append((anyio.current_time(), event))
            if isinstance(event, str | bytes):
                self.messages.append(event)
            elif isinstance(event, CloseReceived):
                self.closed_at = anyio.current_time()
        if self.polite and self.endpoint.pending:
            self.wire.write(self.endpoint.data_to_send())
            if self.endpoint.request is None:
                self.hang_up()  # it was no request, and has been told so
        if self.closed_at is not None and self.polite and self.hangs_up:
            self.hang_up()  # RFC 6455, 7.1.1: the server does it first
        self._stir()

    def _lost(self, error: Exception) -> None:
        self.gone(error)

    def gone(self, how: str | Exception) -> None:
        """Write down how TCP ended, the first time."""
        if self.ended is None:
            self.ended = how
            self.gone_at = anyio.current_time()
            self._stir()

    def _stir(self) -> None:
        self._news.set()
        self._news = anyio.Event()
