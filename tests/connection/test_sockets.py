"""Real sockets on loopback, where kernels, resets and TLS records are real too."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import socket
import ssl
import struct
import threading
import weakref
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from wsclient.connection import Connection, Timeouts
from wsclient.errors import ConnectionClosed, ConnectionLost, Reason
from wsclient.protocol import (
    CloseReceived,
    Deflate,
    Endpoint,
    Event,
    Limits,
    Request,
    Role,
)
from wsclient.transport import wire_of
from wsclient.transport.sockets import tune
from wsclient.transport.tls import TLSWire
from wsclient.wire import Wire

from .peer import QUIET, URL, Certificates, latest

pytestmark = pytest.mark.real

PATIENT = Timeouts(ping_interval=None, write_timeout=None, close_timeout=None)
"""Whatever hangs hangs for good, until the guard against that says so."""

TLS = pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


class Server(threading.Thread):
    """
    A peer in a thread, on blocking sockets: a real endpoint and a record of all events.

    Attributes:
        flood: sent right behind the 101; :attr:`flooded` is set when it is on its way.
        reading: while it is clear, nothing is read.
        answers: whether a Close frame is echoed, and TCP ended then.
        reset_on_message: whether a message is answered with a reset.
        ending: "eof", or the error reading met.

    """

    def __init__(
        self,
        context: ssl.SSLContext | None,
        *,
        flood: bytes = b"",
        answers: bool = True,
        deflate: Deflate | None = None,
    ) -> None:
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.events: list[Event] = []
        self.flood = flood
        self.flooded = threading.Event()
        self.reading = threading.Event()
        self.reading.set()
        self.answers = answers
        self.reset_on_message = False
        self.ending: str | OSError | None = None
        self._context = context
        self._endpoint = Endpoint(Role.SERVER, deflate=deflate, max_message_size=None)

    @property
    def messages(self) -> list[str | bytes]:
        return [event for event in self.events if isinstance(event, str | bytes)]

    @property
    def others(self) -> list[Event]:
        usual = str | bytes | Request
        return [event for event in self.events if not isinstance(event, usual)]

    def run(self) -> None:
        sock, _ = self.listener.accept()
        if self._context is not None:
            sock = self._context.wrap_socket(sock, server_side=True)
        with sock:
            try:
                self._talk(sock)
            except OSError as error:
                self.ending = error

    def _talk(self, sock: socket.socket) -> None:
        while True:
            self.reading.wait()
            data = sock.recv(65536)
            if not data:
                self.ending = "eof"
                return
            for event in self._endpoint.receive_data(data):
                self.events.append(event)
                if isinstance(event, Request):
                    sock.sendall(self._endpoint.accept() + self.flood)
                    self.flooded.set()
            if self.answers and self._endpoint.pending:
                sock.sendall(self._endpoint.data_to_send())
            if self.answers and self._endpoint.close_received is not None:
                with suppress(OSError):  # who was cancelled has not waited for it
                    sock.shutdown(socket.SHUT_WR)
            if self.reset_on_message and self.messages:
                linger = struct.pack("ii", 1, 0)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                return


@contextmanager
def serving(context: ssl.SSLContext | None, **options: Any) -> Iterator[Server]:
    """Run a server until it has met the end of the connection."""
    server = Server(context, **options)
    server.start()
    try:
        yield server
    finally:
        server.reading.set()
        server.join(10)
        server.listener.close()
    assert not server.is_alive(), "the connection was never ended"


async def opened(
    server: Server,
    context: ssl.SSLContext | None,
    *,
    timeouts: Timeouts = QUIET,
    limits: Limits | None = None,
    deflate: Deflate | None = None,
) -> Connection:
    sock = socket.create_connection(server.listener.getsockname())
    tune(sock)
    wire: Wire = await wire_of(sock)
    if context is not None:
        wire = secured = TLSWire(wire, context, server_hostname="127.0.0.1")
        await secured.handshake()
    endpoint = Endpoint(Role.CLIENT, limits=limits, deflate=deflate)
    connection = Connection(
        wire,
        endpoint,
        host="127.0.0.1",
        timeouts=timeouts,
        limits=limits or Limits(),
        uniform=latest,
        name="test",
    )
    await connection.open(endpoint.connect(URL))
    return connection


class Ends:
    """The two contexts of a connection; None where it is plain."""

    def __init__(self, certificates: Certificates, secure: bool) -> None:
        self.server = certificates.server if secure else None
        self.client = certificates.client if secure else None


@pytest.fixture
def ends(certificates: Certificates, secure: bool) -> Ends:
    return Ends(certificates, secure)


@TLS
@pytest.mark.parametrize("leaving", ["close", "cancel"])
async def test_s25_unread_bytes_never_eat_our_close_frame(
    ends: Ends, leaving: str
) -> None:
    flood = Endpoint(Role.SERVER)
    flood.receive_data(Endpoint(Role.CLIENT).connect(URL))
    flood.accept()
    unread = flood.encode("x" * 1000) * 200
    with anyio.fail_after(60):
        for _ in range(20):
            with serving(ends.server, flood=unread) as server:
                limits = Limits(max_queue=1)
                connection = await opened(server, ends.client, limits=limits)
                with anyio.CancelScope() as scope:
                    async with connection:
                        await connection.recv()
                        await anyio.to_thread.run_sync(server.flooded.wait)
                        if leaving == "cancel":
                            scope.cancel()
                            await checkpoint()
            code = 1000 if leaving == "close" else 1001
            assert server.others == [CloseReceived(code, "")]
            assert leaving == "cancel" or server.ending == "eof"


@TLS
@pytest.mark.parametrize("compressed", [False, True], ids=["raw", "deflate"])
async def test_s26_s27_sends_cancelled_at_random_leave_whole_messages(
    ends: Ends, compressed: bool
) -> None:
    deflate = Deflate() if compressed else None
    size = 50_000 if compressed else 300_000
    dice = random.Random(26)
    body = dice.randbytes(size // 4).hex() * 2
    committed = list[int]()
    with anyio.fail_after(60), serving(ends.server, deflate=deflate) as server:
        connection = await opened(
            server, ends.client, deflate=deflate, timeouts=PATIENT
        )
        async with connection:
            for number in range(200):
                with anyio.move_on_after(dice.uniform(0, 0.002)):
                    await connection.send(f"{number:06}{body}")
                    committed.append(number)
            await connection.send("after")
    assert server.others == [CloseReceived(1000, "")]  # and none that it failed
    *whole, after = server.messages
    assert after == "after"
    assert {len(message) for message in whole} <= {6 + len(body)}
    numbers = [int(str(message)[:6]) for message in whole]
    assert numbers == sorted(set(numbers))
    assert set(committed) <= set(numbers)


@TLS
@pytest.mark.parametrize(
    "state", ["receiving", "sending", "pinging", "closing", "idle"]
)
async def test_s23_s48_cancelling_wins_in_every_state(ends: Ends, state: str) -> None:
    with anyio.fail_after(60), serving(ends.server, answers=False) as server:
        connection = await opened(server, ends.client, timeouts=PATIENT)
        with anyio.move_on_after(0.1) as scope:
            async with connection:
                match state:
                    case "receiving":
                        await connection.recv()
                    case "sending":
                        server.reading.clear()
                        await connection.send(b"x" * 50_000_000)
                    case "pinging":
                        await connection.ping()
                    case "idle":
                        await anyio.sleep_forever()
        assert scope.cancelled_caught
        server.reading.set()
    if state == "sending":
        assert server.others == []
    else:
        code = 1000 if state == "closing" else 1001
        assert CloseReceived(code, "") in server.others


@TLS
async def test_a_peer_that_resets_is_told_as_lost(ends: Ends) -> None:
    with anyio.fail_after(60), serving(ends.server) as server:
        connection = await opened(server, ends.client)
        server.reset_on_message = True
        async with connection:
            await connection.send("message")
            with pytest.raises(ConnectionLost) as lost:
                await connection.recv()
    assert lost.value.reason is Reason.RESET
    assert isinstance(lost.value.__cause__, OSError)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def tasks() -> int:
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:
        import trio

        return trio.lowlevel.current_statistics().tasks_living


@asynccontextmanager
async def pair() -> AsyncIterator[tuple[Connection, Connection]]:
    """Two connections with each other."""
    left, right = socket.socketpair()
    for sock in (left, right):
        sock.setblocking(False)
    ends = []
    for role, sock in ((Role.CLIENT, left), (Role.SERVER, right)):
        endpoint = Endpoint(role)
        connection = Connection(
            await wire_of(sock),
            endpoint,
            host="pair",
            timeouts=Timeouts(),
            limits=Limits(),
            uniform=latest,
            name=role.value,
        )
        ends.append((connection, endpoint))
    (client, client_endpoint), (server, _) = ends
    async with anyio.create_task_group() as group:
        group.start_soon(client.open, client_endpoint.connect(URL))
        assert await server.receive_request() is not None
        await server.accept(None)
    yield client, server


async def drop(server: Connection, how: int) -> None:
    """End it in one of several ways."""
    async with server:
        await server.send("hello")
        match how:
            case 0:
                await server.close(1012)
            case 1:
                server._lost(ConnectionResetError("a test's"))
            case 2:
                await server.wait_ended()
            case 3:
                raise KeyError("the server's own")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts as Linux does")
async def test_s46_a_thousand_connections_leave_nothing_behind() -> None:
    alive: weakref.WeakSet[Connection] = weakref.WeakSet()

    async def serve(server: Connection, how: int) -> None:
        try:
            await drop(server, how)
        except KeyError:
            return

    async def cycle(number: int) -> None:
        async with pair() as (client, server), anyio.create_task_group() as group:
            alive.update((client, server))
            group.start_soon(serve, server, number % 4)
            with anyio.CancelScope() as scope:
                async with client:
                    assert await client.recv() == "hello"
                    if number % 4 == 2:
                        if number % 8 == 2:
                            scope.cancel()
                        return
                    with pytest.raises((ConnectionClosed, ConnectionLost)):
                        await client.recv()

    with anyio.fail_after(60):
        for number in range(16):
            await cycle(number)
        await checkpoint()
        before = descriptors(), tasks()
        threads = threading.active_count()  # one of an earlier test's may end meanwhile
        for number in range(1000):
            await cycle(number)
        for _ in range(5):
            await checkpoint()
        assert (descriptors(), tasks()) == before
        assert threading.active_count() <= threads
    gc.collect()
    assert len(alive) == 0
