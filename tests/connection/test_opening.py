"""The opening handshake as the two who make connections see it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import pytest

from wsclient.connection import Connection, Timeouts
from wsclient.errors import (
    ConnectError,
    ConnectionClosed,
    HandshakeRejected,
    Initiator,
    Phase,
    Reason,
)
from wsclient.protocol import Deflate, Endpoint, Limits, Role, State
from wsclient.tasks import OwnedTasks
from wsclient.testing.wires import SimulatedWire, wire_pair
from wsclient.wire import Wire

from .peer import QUIET, URL, latest
from .records import Recorder
from .talk import alive


class Raw:
    """The other end as bytes, played by hand."""

    def __init__(self, wire: SimulatedWire, facing: Recorder) -> None:
        self.wire = wire
        self.facing = facing
        self.received = bytearray()
        self.ended = False
        self.answer: Callable[[], bytes] | None = None
        wire.start(self._fed, self._lost, lambda: None)

    async def run(self) -> None:
        while not self.ended:
            await self.wire.pump()

    def _fed(self, chunk: memoryview | None) -> None:
        if chunk is None:
            self.ended = True
            return
        self.received += chunk
        if self.answer is not None and b"\r\n\r\n" in self.received:
            self.wire.write(self.answer())
            self.answer = None

    def _lost(self, error: Exception) -> None:
        self.ended = True


def connection_on(wire: Wire, endpoint: Endpoint, timeouts: Timeouts) -> Connection:
    return Connection(
        wire,
        endpoint,
        host="example.com",
        timeouts=timeouts,
        limits=Limits(),
        uniform=latest,
        name="test",
    )


@asynccontextmanager
async def facing(
    role: Role,
    pushed: bool,
    timeouts: Timeouts = QUIET,
    deflate: Deflate | None = None,
) -> AsyncIterator[tuple[Connection, Endpoint, Raw]]:
    near, there = wire_pair(pushed=(pushed, False))
    here = Recorder(near)
    raw = Raw(there, here)
    endpoint = Endpoint(role, deflate=deflate)
    failures: list[Exception] = []
    with anyio.fail_after(1000):
        async with OwnedTasks(failures.append) as tasks:
            there.adopt(tasks.start_soon)
            tasks.start_soon(raw.run)
            yield connection_on(here, endpoint, timeouts), endpoint, raw
            here.abort()
    assert not failures


# -- a client ---------------------------------------------------------------------


async def refused(pushed: bool, act: Callable[[Raw], bytes]) -> ConnectError:
    """Open a connection to a server that does this; return what was raised."""
    async with facing(Role.CLIENT, pushed) as (ws, endpoint, raw):
        raw.answer = lambda: act(raw)
        with pytest.raises(ConnectError) as failed:
            await ws.open(endpoint.connect(URL))
        assert failed.value.host == "example.com"
        assert failed.value.phase is Phase.UPGRADE
        await anyio.sleep(1)
        assert raw.ended, "the wire was left open"
    return failed.value


async def test_plain_http_is_a_rejection_with_all_it_says(pushed: bool) -> None:
    error = await refused(
        pushed,
        lambda _: (
            b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\n"
            b"Content-Length: 4\r\n\r\nbusy"
        ),
    )
    assert isinstance(error, HandshakeRejected)
    assert error.status == 503
    assert error.headers == (("retry-after", "7"), ("content-length", "4"))
    assert error.body == b"busy"
    assert error.reason is Reason.REJECTED
    assert error.initiator is Initiator.PEER


async def test_a_rejection_may_end_with_the_connection(pushed: bool) -> None:
    def act(raw: Raw) -> bytes:
        raw.wire.write(b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\nno entry")
        raw.wire.out.eof()
        return b""

    error = await refused(pushed, act)
    assert isinstance(error, HandshakeRejected)
    assert (error.status, error.body) == (403, b"no entry")


async def test_an_answer_that_breaks_the_protocol_is_told(pushed: bool) -> None:
    error = await refused(
        pushed,
        lambda _: (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Accept: wrong\r\n\r\n"
        ),
    )
    assert type(error) is ConnectError
    assert error.reason is Reason.PROTOCOL_ERROR
    assert error.initiator is Initiator.PEER


async def test_s8_a_server_that_hangs_up_is_told(pushed: bool) -> None:
    def act(raw: Raw) -> bytes:
        raw.wire.out.eof()
        return b""

    error = await refused(pushed, act)
    assert error.reason is Reason.EOF


async def test_a_server_that_resets_is_told_with_the_cause(pushed: bool) -> None:
    def act(raw: Raw) -> bytes:
        raw.wire.out.reset()
        return b""

    error = await refused(pushed, act)
    assert error.reason is Reason.RESET
    assert isinstance(error.__cause__, OSError)


async def test_what_comes_with_the_101_is_received(pushed: bool) -> None:
    server = Endpoint(Role.SERVER)
    async with facing(Role.CLIENT, pushed) as (ws, endpoint, raw):

        def answer() -> bytes:
            server.receive_data(bytes(raw.received))
            return server.accept() + server.encode("early") + server.close(1008, "no")

        raw.answer = answer
        await ws.open(endpoint.connect(URL))
        async with ws:
            assert await ws.recv() == "early"
            with pytest.raises(ConnectionClosed) as closed:
                await ws.recv()
            assert closed.value.code == 1008
            assert closed.value.phase is Phase.OPEN
            raw.wire.out.eof()


@pytest.mark.parametrize("deflate", [None, Deflate()], ids=["plain", "compressed"])
async def test_reads_are_wide_where_nothing_grows(
    pushed: bool, deflate: Deflate | None
) -> None:
    server = Endpoint(Role.SERVER, deflate=deflate)
    async with facing(Role.CLIENT, pushed, deflate=deflate) as (ws, endpoint, raw):

        def answer() -> bytes:
            server.receive_data(bytes(raw.received))
            return server.accept()

        raw.answer = answer
        await ws.open(endpoint.connect(URL))
        assert raw.facing.widened is (deflate is None)
        ws.deliver_to(lambda _: None, wide=False)
        assert not raw.facing.widened
        ws.deliver_to(lambda _: None)
        assert raw.facing.widened is (deflate is None)
    client = Endpoint(Role.CLIENT, deflate=deflate)
    async with facing(Role.SERVER, pushed, deflate=deflate) as (ws, _, raw):
        raw.wire.write(client.connect(URL))
        await ws.receive_request()
        assert not raw.facing.widened
        await ws.accept(None)
        assert raw.facing.widened is (deflate is None)


async def test_a_cancelled_opening_leaves_no_deadline_behind(pushed: bool) -> None:
    before = alive()
    async with facing(Role.CLIENT, pushed, Timeouts()) as (ws, endpoint, raw):
        raw.wire.into.stall()
        with anyio.move_on_after(1):
            await ws.open(endpoint.connect(URL))
        assert ws.state is not State.OPEN
        raw.ended = True
    await anyio.sleep(1)
    assert alive() == before


# -- a server ---------------------------------------------------------------------


async def test_a_request_is_accepted_with_what_came_early(pushed: bool) -> None:
    client = Endpoint(Role.CLIENT)
    async with facing(Role.SERVER, pushed) as (ws, _, raw):
        raw.wire.write(client.connect(URL, headers=[("cookie", "a=b")]))
        request = await ws.receive_request()
        assert request is not None
        assert dict(request.headers)["cookie"] == "a=b"
        await ws.accept(None, [("x-own", "1")])
        await anyio.sleep(1)
        [response, *_] = client.receive_data(bytes(raw.received))
        assert dict(getattr(response, "headers", ()))["x-own"] == "1"
        async with ws:
            raw.wire.write(client.encode("hello"))
            assert await ws.recv() == "hello"
            raw.wire.write(client.close())
            assert [message async for message in ws] == []


async def test_frames_sent_before_the_101_are_received(pushed: bool) -> None:
    client, twin = Endpoint(Role.CLIENT), Endpoint(Role.CLIENT)
    server = Endpoint(Role.SERVER)
    server.receive_data(twin.connect(URL))
    twin.receive_data(server.accept())
    async with facing(Role.SERVER, pushed) as (ws, _, raw):
        raw.wire.write(client.connect(URL) + twin.encode("early") + twin.close(1000))
        assert await ws.receive_request() is not None
        await ws.accept(None)
        async with ws:
            assert [message async for message in ws] == ["early"]


async def test_a_request_is_rejected_with_plain_http(pushed: bool) -> None:
    client = Endpoint(Role.CLIENT)
    async with facing(Role.SERVER, pushed) as (ws, _, raw):
        raw.wire.write(client.connect(URL))
        assert await ws.receive_request() is not None
        await ws.reject(401, [("www-authenticate", "Basic")], b"who are you?")
        await anyio.sleep(1)
        assert raw.received.startswith(b"HTTP/1.1 401 ")
        assert raw.received.endswith(b"who are you?")
        assert raw.ended
        assert ws.state is State.CLOSED
        assert ws.ended is not None
        assert ws.ended.reason is Reason.REJECTED


async def test_a_request_that_is_none_is_answered_and_gives_none(pushed: bool) -> None:
    async with facing(Role.SERVER, pushed) as (ws, _, raw):
        raw.wire.write(b"BREW /pot HTCPCP/1.0\r\n\r\n")
        assert await ws.receive_request() is None
        await anyio.sleep(1)
        assert raw.received.startswith(b"HTTP/1.1 4")


async def test_a_client_that_goes_away_gives_none(pushed: bool) -> None:
    async with facing(Role.SERVER, pushed) as (ws, _, raw):
        raw.wire.write(b"GET / HTTP/1.1\r\n")
        raw.wire.out.eof()
        assert await ws.receive_request() is None
