"""A server's end of one connection, without a server around it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest

from wsclient.protocol import (
    CloseReceived,
    Endpoint,
    Failed,
    Ping,
    Pong,
    Role,
    parse_uri,
)
from wsclient.testing import Peer, Tap, wire_pair

Ends = tuple[Peer, Endpoint, Tap]


@pytest.fixture
async def ends(virtual_clock: object) -> AsyncIterator[Ends]:
    """A peer, and the client's bytes by hand."""
    near, far = wire_pair(latency=1.0)
    peer = Peer(far, 1, Endpoint(Role.SERVER))
    client = Endpoint(Role.CLIENT)
    async with anyio.create_task_group() as group:
        tap = Tap(near, group)
        peer.start()
        group.start_soon(peer.read)
        yield peer, client, tap
        group.cancel_scope.cancel()
    near.abort()
    far.abort()


async def opened(ends: Ends) -> None:
    peer, client, tap = ends
    tap.wire.write(client.connect(parse_uri("ws://server.test/")))
    await peer.accept()
    await tap.until(lambda: b"\r\n\r\n" in tap.received)
    client.receive_data(bytes(tap.received))
    tap.received.clear()


async def test_it_answers_pings_and_close_frames_by_itself_while_polite(
    ends: Ends,
) -> None:
    peer, client, tap = ends
    await opened(ends)
    tap.wire.write(client.ping(b"?") + client.close(1000))
    await tap.until_ended()
    assert client.receive_data(bytes(tap.received)) == [
        Pong(b"?"),
        CloseReceived(1000, ""),
    ]
    assert peer.close_code == 1000
    assert peer.close_said is not None
    assert peer.ended == "hung up"


async def test_impolite_it_answers_nothing(ends: Ends) -> None:
    peer, client, tap = ends
    await opened(ends)
    peer.polite = False
    tap.wire.write(client.ping(b"?") + client.close(1000))
    await peer.until(lambda: peer.closed_at)
    with anyio.move_on_after(100):
        await tap.until_ended()
    assert not tap.received
    assert len(peer.times(Ping)) == 1
    with pytest.raises(EOFError):
        peer.send("too late")


async def test_what_the_client_did_wrong_is_written_down(ends: Ends) -> None:
    peer, _, tap = ends
    await opened(ends)
    tap.wire.write(b"\x81\x00")  # not masked
    await peer.until(lambda: peer.faults)
    assert [type(fault) for fault in peer.faults] == [Failed]


async def test_receiving_ends_with_the_client(ends: Ends) -> None:
    peer, client, tap = ends
    await opened(ends)
    tap.wire.write(client.encode("one"))
    assert await peer.recv() == "one"
    tap.wire.finish()
    with pytest.raises(EOFError):
        await peer.recv()
    assert peer.ended == "eof"
    assert peer.gone_at == anyio.current_time()
    assert repr(peer) == "<Peer 1: 1 messages, 'eof'>"


async def test_bytes_are_sent_as_they_are(ends: Ends) -> None:
    peer, _, tap = ends
    peer.write(b"anything")
    await tap.until(lambda: bytes(tap.received) == b"anything")


async def test_a_raw_one_keeps_what_comes(virtual_clock: object) -> None:
    near, far = wire_pair()
    peer = Peer(far, 1, Endpoint(Role.SERVER), raw=True)
    async with anyio.create_task_group() as group:
        tap = Tap(near, group)
        peer.start()
        group.start_soon(peer.read)
        tap.wire.write(b"no HTTP at all")
        await peer.until(lambda: bytes(peer.raw or b"") == b"no HTTP at all")
        group.cancel_scope.cancel()
    near.abort()
    far.abort()
