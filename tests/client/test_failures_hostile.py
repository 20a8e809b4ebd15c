"""Servers that send too much, too little at a time, or without an end."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

import anyio
import pytest

import wsclient
from wsclient import Deflate, Limits, Phase, Reason
from wsclient.protocol import Ping, Pong, Role
from wsclient.supervisor import LifeEnded

from ..hostile import (
    BINARY,
    CONTINUATION,
    FIN,
    KIB,
    MIB,
    PING,
    RSV1,
    TEXT,
    compressed,
    cut,
    fragments,
    header,
    measured,
)
from ..hostile import frame as frame_to
from .authority import Authority, authority
from .inv import anyio_backend, inv
from .world import Loopback, Net, Peer, Script
from .worlds import NETS, WORLDS

__all__ = ("anyio_backend", "authority", "inv")

World = type[Net] | type[Loopback]

CLIENT = Role.CLIENT
LIMIT = 64 * KIB


def frame(first: int, payload: bytes = b"") -> bytes:
    return frame_to(first, payload, to=CLIENT)


def waits(seconds: float) -> Callable[[object], float]:
    """A backoff that is always the same."""
    return lambda state: seconds


async def ended(client: wsclient.Client[Any]) -> LifeEnded:
    """Wait for the end of the present life."""
    async for event in client.events():
        if isinstance(event, LifeEnded):
            return event
    raise AssertionError("it left before its life ended")


def sends(*data: bytes) -> Script:
    """Accept, write these bytes, and stay until the client has gone."""

    async def script(peer: Peer) -> None:
        await peer.accept()
        for part in data:
            peer.wire.write(part)
            await peer.wire.flush()
        await peer.until_gone()

    return script


async def fails_and_comes_back(
    world: World, data: bytes, code: int, **options: Any
) -> None:
    """That ends the life with a code that tells why, and the next one is well."""
    async with world(sends(data), deflate=Deflate()) as server:
        async with server.client(
            first="background", wait=waits(0.01), **options
        ) as client:
            end = await ended(client)
            assert end.outcome.reason is Reason.PROTOCOL_ERROR
            error = end.outcome.error
            assert isinstance(error, wsclient.ConnectionLost)
            assert error.initiator is wsclient.Initiator.US
            assert error.sent is not None
            assert error.sent.code == code
            await server.until_accepted(2)
            await client.wait_open()
        await server.peer.until_gone()
    assert [peer.close_code for peer in server.peers] == [code, 1000]


# S35: messages that are too large, and bombs.

Shape = Callable[[bytes], bytes]

SHAPES: dict[str, Shape] = {
    "whole": lambda body: frame(FIN | BINARY, body),
    "in fragments": lambda body: fragments(BINARY, cut(body, 1000), to=CLIENT),
    "compressed": lambda body: frame(FIN | RSV1 | BINARY, compressed(body)),
    "compressed, in fragments": lambda body: fragments(
        BINARY, cut(compressed(body), 5), to=CLIENT, rsv=RSV1
    ),
    "announced": lambda body: header(FIN | BINARY, len(body), to=CLIENT),
}


@WORLDS
@pytest.mark.parametrize("shape", SHAPES)
async def test_s35_a_message_of_the_limit_arrives_and_one_byte_more_ends_the_life(
    world: World, shape: str
) -> None:
    fits = SHAPES[shape if shape != "announced" else "whole"](bytes(LIMIT))
    over = SHAPES[shape](bytes(LIMIT + 1))
    async with world(sends(fits, over), deflate=Deflate()) as server:
        async with server.client(
            first="background", wait=waits(0.01), max_message_size=LIMIT
        ) as client:
            assert await client.recv() == bytes(LIMIT)
            end = await ended(client)
            assert "max_message_size" in str(end.outcome.error)
            await server.until_accepted(2)
            await client.wait_open()
        await server.peer.until_gone()
    assert [peer.close_code for peer in server.peers] == [1009, 1000]


@WORLDS
@pytest.mark.parametrize("parts", [1, 4000], ids=["whole", "in 4,000 fragments"])
async def test_s35_a_bomb_costs_a_small_multiple_of_the_limit(
    world: World, parts: int
) -> None:
    """64 MiB in 64 KiB; the test's own server is measured too."""
    bomb = compressed(bytes(64 * MIB))
    data = fragments(BINARY, cut(bomb, -(-len(bomb) // parts)), to=CLIENT, rsv=RSV1)
    with measured() as memory:
        await fails_and_comes_back(world, data, 1009, max_message_size=LIMIT)
    assert memory.peak <= 4 * MIB


# S36: floods of pings and pongs.


@NETS
async def test_s36_pongs_do_not_pile_up_and_who_takes_none_is_left(
    net_of: type[Net],
) -> None:
    """The flood proves life, but not that our writes get on."""
    flood = frame(FIN | PING, b"x" * 125) * 500

    async def floods(peer: Peer) -> None:
        await peer.accept()
        peer.polite = False
        peer.wire.pause()
        while not peer.ended:
            peer.wire.write(flood)
            await peer.wire.flush()
            await anyio.sleep(0.1)

    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, *(wire.buffered for wire in net.wires), 0)
            await anyio.sleep(0.05)

    async with (
        net_of(floods, capacity=10_000) as net,
        net.client(wait=waits(3), write_timeout=30) as client,
        anyio.create_task_group() as group,
    ):
        group.start_soon(watch)
        end = await ended(client)
        group.cancel_scope.cancel()
        await client.wait_open()
    assert end.outcome.reason is Reason.WRITE_STALLED
    # As much as may be committed ahead, and the pongs of one flush.
    assert 32 * KIB < most <= 64 * KIB + 64 * 131


@WORLDS
async def test_s36_messages_come_through_a_flood_of_pings(world: World) -> None:
    flood = frame(FIN | PING, b"?") * 2000
    data = b"".join(frame(FIN | TEXT, b"%d" % n) + flood for n in range(10))
    async with world(sends(data)) as server:
        async with server.client() as client:
            got = [await client.recv() for _ in range(10)]
            await client.send("still here")
            await server.peer.until(lambda: server.peer.messages)
        assert got == [str(n) for n in range(10)]
        assert server.peer.times(Pong)
    assert [peer.close_code for peer in server.peers] == [1000]


@WORLDS
async def test_s36_a_flood_of_pongs_is_nothing(world: World) -> None:
    flood = frame(FIN | 0xA, b"?" * 125) * 2000
    async with world(sends(flood + frame(FIN | TEXT, b"done"))) as server:
        async with server.client() as client:
            assert await client.recv() == "done"
        assert not server.peer.times(Ping)
    assert [peer.close_code for peer in server.peers] == [1000]


# S37, S38: fragments without an end, and what may come between them.


@WORLDS
@pytest.mark.parametrize("part", [b"", b"x"], ids=["empty", "of one byte"])
async def test_s37_a_message_in_endless_fragments_ends_the_life(
    world: World, part: bytes
) -> None:
    data = frame(TEXT, b"x") + frame(CONTINUATION, part) * 5000
    await fails_and_comes_back(world, data, 1008)


@WORLDS
async def test_s38_a_ping_within_a_message_is_answered_and_the_message_arrives(
    world: World,
) -> None:
    ping = frame(FIN | PING, b"?")
    data = frame(TEXT, b"Hel") + ping + frame(FIN | CONTINUATION, b"lo")
    async with world(sends(data)) as server, server.client() as client:
        assert await client.recv() == "Hello"
        await server.peer.until(lambda: server.peer.times(Pong))


@WORLDS
@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(FIN | PING, b"x" * 126), 1002),
        (frame(PING, b"x"), 1002),
        (frame(TEXT) + frame(FIN | PING) * 5000, 1008),
    ],
    ids=["of 126 bytes", "fragmented", "4,097 in a row within a message"],
)
async def test_s38_a_ping_that_may_not_be_ends_the_life(
    world: World, data: bytes, code: int
) -> None:
    await fails_and_comes_back(world, data, code)


# S52: refusals whose body does not end.

REFUSAL = b"HTTP/1.1 401 Unauthorized\r\n"
BODIES = pytest.mark.parametrize(
    ("head", "part"),
    [
        (b"Content-Length: 10000000\r\n\r\n", b"xxxxx"),
        (b"\r\n", b"xxxxx"),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"5\r\nxxxxx\r\n"),
    ],
    ids=["a length it does not reach", "no length", "chunked"],
)


def refuses(data: bytes, part: bytes, *, pause: float) -> Script:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.wire.write(data)
        while not peer.ended:
            peer.wire.write(part)
            await peer.wire.flush()
            await anyio.sleep(pause)

    return script


@WORLDS
@BODIES
async def test_s52_a_refusal_with_an_endless_body_is_told_cut_off_at_its_bound(
    world: World, head: bytes, part: bytes
) -> None:
    script = refuses(REFUSAL + head, part * 100, pause=0)
    async with world(script) as server:
        client = server.client(
            limits=Limits(max_body_size=1000), open_timeout=20, first="raise"
        )
        with pytest.raises(wsclient.HandshakeRejected) as caught:
            async with client:
                raise AssertionError("it cannot be open")
        await server.peer.until_gone()
    assert caught.value.status == 401
    assert caught.value.body == b"x" * 1000


@NETS
@BODIES
async def test_s52_a_refusal_with_a_dripping_body_is_told_at_open_timeout(
    head: bytes, part: bytes, net_of: type[Net]
) -> None:
    async with net_of(refuses(REFUSAL + head, part, pause=1)) as net:
        with pytest.raises(wsclient.HandshakeRejected) as caught:
            async with net.client(open_timeout=7.5, first="raise"):
                raise AssertionError("it cannot be open")
        assert anyio.current_time() - net.dials[0] == pytest.approx(7.5)
        await net.peer.until_gone()
    assert caught.value.status == 401
    assert caught.value.phase is Phase.UPGRADE
    assert len(caught.value.body) in (35, 40)
    assert caught.value.body == b"x" * len(caught.value.body)


async def test_s52_a_dripping_refusal_is_judged_by_its_status() -> None:
    """503: the next attempt comes after the backoff, as after a whole answer."""
    script = refuses(b"HTTP/1.1 503 Busy\r\nRetry-After: 9\r\n\r\n", b"x", pause=1)
    async with Net(script) as net:
        async with net.client(open_timeout=5, wait=waits(1)):
            assert len(net.peers) == 2
        first, second = net.dials
    assert 5 + 9 <= second - first <= 5 + 9.9 + 0.1


# S5, S6: byte by byte.


@NETS
@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nX: " + b"a" * 1000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 100,
        b"HTTP/1.1 401 Unauthorized\r\nX: " + b"a" * 1000,
    ],
    ids=["101", "100 for ever", "401"],
)
async def test_s05_an_answer_byte_by_byte_is_left_at_open_timeout(
    said: bytes, net_of: type[Net]
) -> None:
    async def drips(peer: Peer) -> None:
        await peer.request()
        for byte in said:
            if peer.ended:
                break
            peer.wire.write(bytes([byte]))
            await anyio.sleep(1)

    async with net_of(drips) as net:
        with pytest.raises(wsclient.AttemptTimeout) as caught:
            async with net.client(open_timeout=7, first="raise"):
                raise AssertionError("it cannot be open")
        assert anyio.current_time() - net.dials[0] == pytest.approx(7)
        await net.peer.until_gone()
    assert caught.value.reason is Reason.OPEN_TIMEOUT
    assert caught.value.phase is Phase.UPGRADE


@WORLDS
async def test_s05_a_head_without_end_is_left_at_its_bound(world: World) -> None:
    """Long before open_timeout: what it costs is bounded too."""
    endless = b"HTTP/1.1 101 Switching Protocols\r\n" + b"X: " + b"a" * MIB

    async def talks(peer: Peer) -> None:
        await peer.request()
        peer.wire.write(endless)

    async with world(talks) as server:
        with pytest.raises(wsclient.ConnectError) as caught:
            async with server.client(open_timeout=1000, first="raise"):
                raise AssertionError("it cannot be open")
        await server.peer.until_gone()
    assert caught.value.reason is Reason.PROTOCOL_ERROR
    assert caught.value.phase is Phase.UPGRADE


async def test_s06_a_tls_handshake_byte_by_byte_is_left_at_open_timeout(
    authority: Authority,
) -> None:
    async def drips(peer: Peer) -> None:
        await peer.until(lambda: peer.raw)
        assert peer.raw is not None
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = authority.server.wrap_bio(incoming, outgoing, server_side=True)
        incoming.write(bytes(peer.raw))
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        flight = outgoing.read()
        assert len(flight) > 100, "all of the server's part"
        for byte in flight:
            if peer.ended:
                break
            peer.wire.write(bytes([byte]))
            await anyio.sleep(1)

    async with Net(drips, raw=True, port=443) as net:
        client = net.client(
            "wss://server.test/", tls=authority.client, open_timeout=7, first="raise"
        )
        with pytest.raises(wsclient.AttemptTimeout) as caught:
            async with client:
                raise AssertionError("it cannot be open")
        assert anyio.current_time() - net.dials[0] == pytest.approx(7)
        await net.peer.until_gone()
    assert caught.value.phase is Phase.TLS


# S34: a frame byte by byte: each proves life, nothing but recv_timeout ends that.


async def drips_a_frame(peer: Peer) -> None:
    await peer.accept()
    peer.polite = False  # not even a pong
    for byte in header(FIN | BINARY, 100 * MIB, to=CLIENT) + bytes(10_000):
        if peer.ended:
            break
        peer.wire.write(bytes([byte]))
        await anyio.sleep(15)


@NETS
async def test_s34_a_frame_byte_by_byte_is_life_and_holds_no_more_than_has_come(
    net_of: type[Net],
) -> None:
    async with (
        net_of(drips_a_frame) as net,
        net.client(max_message_size=None) as client,
    ):
        with pytest.raises(wsclient.ReceiveTimeout):
            await client.recv(timeout=3600)
        assert client.generation == 1
        assert client.state is wsclient.State.OPEN
        with measured() as memory:
            await anyio.sleep(3600)
        assert memory.held <= 256 * KIB  # most of it the records of this test


async def test_s34_recv_timeout_ends_a_life_whose_message_never_gets_whole() -> None:
    async with (
        Net(drips_a_frame) as net,
        net.client(recv_timeout=60, wait=waits(1)) as client,
    ):
        begin = anyio.current_time()
        end = await ended(client)
        assert end.outcome.reason is Reason.IDLE
        assert end.time - begin == pytest.approx(60, abs=0.1)
        await net.until_accepted(2)
