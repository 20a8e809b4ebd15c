"""Clients that send too much, too little at a time, or read nothing."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trustme
from anyio.abc import ByteStream

import wsclient
from wsclient.connection import Timeouts
from wsclient.errors import ConnectionLost, Reason, ReceiveTimeout
from wsclient.protocol import CloseReceived, Event, Pong, Role
from wsclient.server import Server
from wsclient.testing.clock import VIRTUAL_BACKENDS, virtual_backend

from ..hostile import (
    BINARY,
    CONTINUATION,
    FIN,
    KIB,
    MIB,
    PING,
    PONG,
    RSV1,
    TEXT,
    compressed,
    cut,
    fragments,
    header,
    measured,
    victim,
)
from ..hostile import frame as frame_to
from .support import serving, until, upgrade, url
from .visits import made, visiting

SERVER = Role.SERVER
LIMIT = 64 * KIB


@pytest.fixture(params=VIRTUAL_BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> str | tuple[str, dict[str, Any]]:
    """In virtual time; on its own clock what is real."""
    if request.node.get_closest_marker("real"):
        return str(request.param)
    return virtual_backend(request.param)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(params=["plain", "tls"])
def tls(request: pytest.FixtureRequest, authority: trustme.CA) -> Any:
    if request.param == "plain":
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


def frame(first: int, payload: bytes = b"") -> bytes:
    return frame_to(first, payload, to=SERVER)


async def attacker(server: Server, tls: Any) -> ByteStream:
    """A raw connection behind an opening handshake that agreed on compression."""
    host, port = server.addresses[0][:2]
    options: dict[str, Any] = {}
    if tls is not None:
        trusting = ssl._create_unverified_context()
        options = {"tls": True, "ssl_context": trusting}
    stream: ByteStream = await anyio.connect_tcp(host, port, **options)
    await stream.send(upgrade("Sec-WebSocket-Extensions: permessage-deflate"))
    head = await until(stream, b"\r\n\r\n")
    assert b"permessage-deflate" in head
    return stream


async def heard(stream: ByteStream) -> list[Event]:
    """What the server says up to its Close frame."""
    endpoint = victim(Role.CLIENT)
    events: list[Event] = []
    while endpoint.close_received is None:
        events += endpoint.receive_data(await stream.receive())
    return events


async def attacked(data: bytes, tls: Any, **options: Any) -> list[Event]:
    """Send this to a server; return what it says. Nobody else is harmed."""
    ended: list[Exception | None] = []

    async def handler(ws: wsclient.Connection) -> None:
        try:
            while True:
                message = await ws.recv()
                await ws.send(f"{len(message)} bytes")
        finally:
            ended.append(ws.ended)

    trusting = None if tls is None else ssl._create_unverified_context()
    async with (
        serving(handler, tls=tls, **options) as server,
        wsclient.connect(
            url(server, "ws" if tls is None else "wss"), tls=trusting
        ) as bystander,
    ):
        stream = await attacker(server, tls)
        with suppress(anyio.BrokenResourceError):  # it has ended it already
            await stream.send(data)
        events = await heard(stream)
        await stream.aclose()
        while not ended:
            await anyio.lowlevel.checkpoint()
        await bystander.send("x")
        assert await bystander.recv() == "1 bytes"
    assert isinstance(ended[0], ConnectionLost)
    assert ended[0].reason is Reason.PROTOCOL_ERROR
    return events


def code(event: Event) -> int:
    assert isinstance(event, CloseReceived)
    return event.code


# -- S35 --------------------------------------------------------------------------

Shape = Callable[[bytes], bytes]

SHAPES: dict[str, Shape] = {
    "whole": lambda body: frame(FIN | BINARY, body),
    "in fragments": lambda body: fragments(BINARY, cut(body, 1000), to=SERVER),
    "compressed": lambda body: frame(FIN | RSV1 | BINARY, compressed(body)),
    "compressed, in fragments": lambda body: fragments(
        BINARY, cut(compressed(body), 5), to=SERVER, rsv=RSV1
    ),
    "announced": lambda body: header(FIN | BINARY, len(body), to=SERVER),
}


@pytest.mark.real
@pytest.mark.parametrize("shape", SHAPES)
async def test_s35_a_message_of_the_limit_arrives_and_one_byte_more_gets_1009(
    shape: str, tls: Any
) -> None:
    fits = SHAPES[shape if shape != "announced" else "whole"](bytes(LIMIT))
    over = SHAPES[shape](bytes(LIMIT + 1))
    events = await attacked(fits + over, tls, max_message_size=LIMIT)
    # What came in one read with the end need not be answered any more.
    *messages, last = events
    assert messages in ([f"{LIMIT} bytes"], [])
    assert code(last) == 1009


@pytest.mark.real
@pytest.mark.parametrize("parts", [1, 4000], ids=["whole", "in 4,000 fragments"])
async def test_s35_a_bomb_costs_a_small_multiple_of_the_limit(
    parts: int, tls: Any
) -> None:
    """64 MiB in 64 KiB; this test's own bytes are measured too."""
    bomb = compressed(bytes(64 * MIB))
    data = fragments(BINARY, cut(bomb, -(-len(bomb) // parts)), to=SERVER, rsv=RSV1)
    with measured() as memory:
        [event] = await attacked(data, tls, max_message_size=LIMIT)
    assert code(event) == 1009
    assert memory.peak <= 4 * MIB


# -- S36 --------------------------------------------------------------------------


async def test_s36_pongs_do_not_pile_up_and_who_takes_none_is_left() -> None:
    """The flood proves life, but not that our writes get on."""
    flood = frame(FIN | PING, b"x" * 125) * 500
    reception = made(timeouts=Timeouts(write_timeout=30))
    async with visiting(reception, capacity=10_000) as visit:
        await visit.stream.send(upgrade())
        await visit.over.wait()
        ws = visit.connection
        assert ws is not None
        most = 0

        async def floods() -> None:
            nonlocal most
            visit.pipe.out.stall()
            while ws.ended is None:
                await visit.stream.send(flood)
                most = max(most, visit.pipe.buffered)
                await anyio.sleep(0.1)

        async with anyio.create_task_group() as group:
            group.start_soon(floods)
            async with ws:
                begin = anyio.current_time()
                with pytest.raises(ConnectionLost) as caught:
                    await ws.recv()
                assert anyio.current_time() - begin == pytest.approx(30, abs=2)
    assert caught.value.reason is Reason.WRITE_STALLED
    # As much as may be committed ahead, and the pongs of one flush.
    assert 32 * KIB < most <= 64 * KIB + 64 * 131


@pytest.mark.real
async def test_s36_messages_come_through_floods_of_pings_and_pongs(tls: Any) -> None:
    flood = frame(FIN | PING, b"?") * 500 + frame(FIN | PONG, b"?") * 500
    done = anyio.Event()
    got: list[str | bytes] = []

    async def handler(ws: wsclient.Connection) -> None:
        async for message in ws:
            got.append(message)
            if len(got) == 10:
                done.set()

    async with (
        serving(handler, tls=tls, close_timeout=0.1) as server,
        anyio.create_task_group() as group,
    ):
        stream = await attacker(server, tls)

        async def read() -> None:
            events = await heard(stream)
            assert events[-1] == CloseReceived(1001, "the server shuts down")
            assert set(events[:-1]) == {Pong(b"?")}

        group.start_soon(read)
        for n in range(10):
            await stream.send(frame(FIN | TEXT, b"%d" % n) + flood)
        await done.wait()
        server.close()
        await server.wait_closed()
    await stream.aclose()
    assert got == [str(n) for n in range(10)]


# -- S37, S38 ---------------------------------------------------------------------


@pytest.mark.real
@pytest.mark.parametrize(
    ("data", "said"),
    [
        (frame(TEXT, b"x") + frame(CONTINUATION) * 5000, 1008),
        (frame(TEXT, b"x") + frame(CONTINUATION, b"x") * 5000, 1008),
        (frame(TEXT) + frame(FIN | PING) * 5000, 1008),
        (frame(FIN | PING, b"x" * 126), 1002),
        (frame(PING, b"x"), 1002),
        (frame(FIN | TEXT, b"\xff"), 1007),
        (frame_to(FIN | TEXT, b"x", to=Role.CLIENT), 1002),
    ],
    ids=[
        "s37 empty fragments",
        "s37 fragments of a byte",
        "s38 pings within a message",
        "s38 a ping of 126 bytes",
        "s38 a fragmented ping",
        "no UTF-8",
        "no mask",
    ],
)
async def test_s37_s38_who_breaks_a_rule_is_told_which_and_ends_his_own_handler_only(
    data: bytes, said: int, tls: Any
) -> None:
    assert code((await attacked(data, tls))[-1]) == said


# -- byte by byte -----------------------------------------------------------------


async def test_a_frame_byte_by_byte_is_life_and_the_handlers_timeout_its_bound() -> (
    None
):
    """Any byte proves life: recv(timeout=) says that no message came."""
    async with visiting(made()) as visit:
        await visit.stream.send(upgrade())
        await visit.over.wait()
        ws = visit.connection
        assert ws is not None

        async def drip() -> None:
            for byte in header(FIN | BINARY, 100 * MIB, to=SERVER) + bytes(10_000):
                await visit.stream.send(bytes([byte]))
                await anyio.sleep(15)

        async with anyio.create_task_group() as group, ws:
            group.start_soon(drip)
            for _ in range(3):
                with pytest.raises(ReceiveTimeout):
                    await ws.recv(timeout=3600)
            group.cancel_scope.cancel()
        assert anyio.current_time() >= 3 * 3600
