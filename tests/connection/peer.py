"""The other end: a real endpoint on the other wire, played by hand."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

import anyio
import trustme
from anyio.lowlevel import checkpoint

from wsclient.connection import Connection, Timeouts
from wsclient.protocol import (
    Deflate,
    Endpoint,
    Event,
    Limits,
    Request,
    Response,
    Role,
    State,
    parse_uri,
)
from wsclient.tasks import OwnedTasks
from wsclient.testing.wires import SimulatedWire, wire_pair
from wsclient.transport.tls import TLSWire
from wsclient.wire import Wire

URL = parse_uri("ws://example.com/")

QUIET = Timeouts(ping_interval=None, write_timeout=None)
"""Nothing happens by itself."""


class Peer:
    """
    Plays the other end of a connection.

    Attributes:
        wire: what it speaks over.
        into, out: the network between the two, as the peer sees it.
        events: what arrived, in order.
        times: when each of them did.
        ended: "eof", or the failure, once it has come.
        polite: whether it sends the replies it owes and ends TCP when it should.

    """

    def __init__(self, wire: Wire, network: SimulatedWire, endpoint: Endpoint) -> None:
        self.wire = wire
        self.into = network.into
        self.out = network.out
        self.endpoint = endpoint
        self.events: list[Event] = []
        self.times: list[float] = []
        self.ended: str | Exception | None = None
        self.ended_at: float | None = None
        self.polite = True
        self.gone = False
        self._stirred = anyio.Event()
        wire.start(self._fed, self._lost, lambda: None)

    async def run(self) -> None:
        while self.ended is None and not self.gone:
            await self.wire.pump()

    # What it got.

    @property
    def messages(self) -> list[str | bytes]:
        return [event for event in self.events if isinstance(event, str | bytes)]

    @property
    def others(self) -> list[Event]:
        """What arrived beside messages and the handshake."""
        usual = str | bytes | Request | Response
        return [event for event in self.events if not isinstance(event, usual)]

    async def until(self, happened: Callable[[], object]) -> None:
        while not happened():
            stirred = self._stirred
            await stirred.wait()

    async def until_messages(self, count: int) -> list[str | bytes]:
        await self.until(lambda: len(self.messages) >= count)
        return self.messages

    async def until_ended(self) -> None:
        """Until TCP has ended, by whichever side."""
        await self.until(lambda: self.ended is not None or self.gone)

    # What it does.

    def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.wire.write(data)

    def send(self, *messages: str | bytes) -> None:
        self.wire.write(b"".join(map(self.endpoint.encode, messages)))

    def ping(self, payload: bytes = b"") -> None:
        self.wire.write(self.endpoint.ping(payload))

    def close(self, code: int | None = 1000, reason: str = "") -> None:
        self.wire.write(self.endpoint.close(code, reason))

    def reply(self, *, ending_tcp: bool = True) -> None:
        """Send what is owed; a server that has both Close frames ends TCP."""
        if self.endpoint.pending:
            self.wire.write(self.endpoint.data_to_send())
        if ending_tcp and self.endpoint.role is Role.SERVER and self.closed:
            self.finish()

    @property
    def closed(self) -> bool:
        """Whether both Close frames were exchanged."""
        endpoint = self.endpoint
        return endpoint.close_sent is not None and endpoint.close_received is not None

    def finish(self) -> None:
        """End TCP, as a good server does."""
        self.gone = True
        self.wire.finish()

    def hang_up(self) -> None:
        """FIN, without a Close frame; it goes on reading."""
        self.out.eof()

    def reset(self) -> None:
        self.out.reset()

    # What its wire calls.

    def _fed(self, chunk: memoryview | None) -> None:
        if chunk is None:
            if self.polite:
                self.finish()
            self._end("eof")
            return
        for event in self.endpoint.receive_data(bytes(chunk)):
            self._take(event)
        if self.polite:
            self.reply()
        self._stir()

    def _take(self, event: Event) -> None:
        self.events.append(event)
        self.times.append(anyio.current_time())
        if isinstance(event, Request):
            self.wire.write(self.endpoint.accept())
            for early in self.endpoint.receive_data(b""):
                self._take(early)

    def _lost(self, error: Exception) -> None:
        self._end(error)

    def _end(self, how: str | Exception) -> None:
        self.ended = how
        self.ended_at = anyio.current_time()
        self._stir()

    def _stir(self) -> None:
        self._stirred.set()
        self._stirred = anyio.Event()


def latest(low: float, high: float) -> float:
    """Dice that always show the highest: pings go out exactly at their interval."""
    return high


@asynccontextmanager
async def connected(
    pushed: bool,
    *,
    role: Role = Role.CLIENT,
    timeouts: Timeouts = QUIET,
    limits: Limits | None = None,
    deflate: Deflate | None = None,
    uniform: Callable[[float, float], float] = latest,
    latency: float = 0.0,
    capacity: int = 65536,
    max_message_size: int | None = 2**20,
    tls: Certificates | None = None,
) -> AsyncIterator[tuple[Connection, Peer]]:
    """
    Open a connection to a :class:`Peer`; it is to be entered and left by the test.

    What may never end is bounded by a day of virtual time. At the end nothing may be
    left open.

    """
    here, there = wire_pair(latency=latency, capacity=capacity, pushed=(pushed, False))
    limits = limits or Limits()
    other = Role.SERVER if role is Role.CLIENT else Role.CLIENT
    failures: list[Exception] = []
    with anyio.fail_after(86_400):
        async with OwnedTasks(failures.append) as tasks:
            there.adopt(tasks.start_soon)
            wire: Wire = here
            peer_wire: Wire = there
            if tls is not None:
                wire, peer_wire = await _secured(here, there, tls)
            peer = Peer(
                peer_wire,
                there,
                Endpoint(other, deflate=deflate, max_message_size=None),
            )
            tasks.start_soon(peer.run)
            endpoint = Endpoint(
                role,
                limits=limits,
                deflate=deflate,
                max_message_size=max_message_size,
                hold_oversized=True,
            )
            connection = Connection(
                wire,
                endpoint,
                host="example.com",
                timeouts=timeouts,
                limits=limits,
                uniform=uniform,
                name="test",
            )
            if role is Role.CLIENT:
                await connection.open(endpoint.connect(URL))
            else:
                peer.write(peer.endpoint.connect(URL))
                assert await connection.receive_request() is not None
                await connection.accept(None)
                await peer.until(lambda: peer.endpoint.state is State.OPEN)
            yield connection, peer
            for _ in range(3):  # asyncio's transports close in a callback
                await checkpoint()
            assert cast("_Closes", here)._sock.closed, "our end was left open"
            peer.gone = True
            peer.wire.abort()
    assert not failures


class Certificates:
    """Contexts of a server and of a client that trusts it."""

    def __init__(self) -> None:
        authority = trustme.CA()
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("example.com", "127.0.0.1").configure_cert(self.server)
        self.client = ssl.create_default_context()
        authority.configure_trust(self.client)


async def _secured(
    here: Wire, there: Wire, certificates: Certificates
) -> tuple[Wire, Wire]:
    """Our end is the TLS client, whatever it is above."""
    ours = TLSWire(here, certificates.client, server_hostname="example.com")
    theirs = TLSWire(there, certificates.server, server_side=True)
    async with anyio.create_task_group() as group:
        group.start_soon(ours.handshake)
        await theirs.handshake()
    return ours, theirs


class _Closes:
    """What the simulated wires keep to themselves."""

    class _Socket:
        closed: bool

    _sock: _Socket
