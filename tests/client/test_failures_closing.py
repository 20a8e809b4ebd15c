"""Ends that are slow, one-sided, cancelled or broken, and leaving in spite of them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
import trio
from anyio.abc import SocketAttribute

import wsclient
from wsclient import Limits, Reason, State
from wsclient.supervisor import LifeEnded

from .authority import Authority, authority
from .inv import anyio_backend, inv
from .world import Loopback, Net, Peer
from .worlds import BARE, NETS, WORLDS, SecureLoopback

__all__ = ("anyio_backend", "authority", "inv")


def waits(seconds: float) -> Callable[[object], float]:
    """A backoff that is always the same."""
    return lambda state: seconds


async def ended(client: wsclient.Client[Any]) -> wsclient.Outcome:
    """Wait for the end of the present life."""
    async for event in client.events():
        if isinstance(event, LifeEnded):
            return event.outcome
    raise AssertionError("it left before its life ended")


async def mute(peer: Peer) -> None:
    """Accept the upgrade, then answer nothing: no ping, no Close."""
    await peer.accept()
    peer.polite = False


# S21: the server says Close and never ends TCP.


async def never_ends_tcp(peer: Peer) -> None:
    await peer.accept()
    peer.hangs_up = False
    peer.send("last words")
    peer.close(1000, "bye")


@NETS
async def test_s21_a_close_without_the_end_of_tcp_is_told_at_once(
    net_of: type[Net],
) -> None:
    async with net_of(never_ends_tcp) as net:
        async with net.client(first="background", wait=waits(3)) as client:
            assert await client.recv() == "last words"
            begin = anyio.current_time()
            gap = await client.with_gaps().__anext__()
            assert isinstance(gap, wsclient.Gap)
            assert gap.reason == Reason.PEER_CLOSED
            # One second for the server to end TCP, and then the backoff.
            assert gap.offline_for == pytest.approx(4, abs=0.1)
            assert anyio.current_time() - begin == pytest.approx(4, abs=0.1)
        first = net.peers[0]
        assert first.close_code == 1000
        assert first.closed_at is not None
        assert first.gone_at == pytest.approx(first.closed_at + 1, abs=0.05)


@pytest.mark.real
async def test_s21_the_descriptor_of_such_a_server_is_closed() -> None:
    async with Loopback(never_ends_tcp) as server:
        client = server.client(first="background", close_timeout=0.1, wait=waits(0.01))
        async with client:
            assert await client.recv() == "last words"
            await server.until_accepted(2)
        await server.peers[0].until_gone()
    assert server.peers[0].ended == "eof"


# S22: it ignores our Close and goes on sending.


async def talks_for_ever(peer: Peer) -> None:
    await peer.accept()
    peer.polite = False
    frame = peer.endpoint.encode("blah" * 1000)
    while not peer.ended:
        peer.wire.write(frame)
        await peer.wire.flush()
        await anyio.sleep(0.01)


@NETS
async def test_s22_a_peer_that_talks_on_cannot_hold_up_leaving(
    net_of: type[Net],
) -> None:
    async with net_of(talks_for_ever) as net:
        async with net.client(close_timeout=5) as client:
            await client.recv()
            begin = anyio.current_time()
        assert anyio.current_time() - begin == pytest.approx(5, abs=0.1)
        await net.peer.until_gone()
    assert net.peer.close_code == 1000


@pytest.mark.real
async def test_s22_a_peer_on_a_socket_that_talks_on_cannot_hold_up_leaving() -> None:
    async with Loopback(talks_for_ever) as server:
        async with server.client(close_timeout=0.1) as client:
            await client.recv()
        await server.peer.until_gone()
    assert server.peer.close_code == 1000


# S23: the peer is mute, and the caller has no time.


@WORLDS
async def test_s23_an_outer_timeout_wins_over_the_closing_handshake(
    world: type[Net] | type[Loopback],
) -> None:
    patience = 0.5 if world is Net else 0.1
    async with world(mute) as server:
        begin = anyio.current_time()
        with anyio.move_on_after(patience) as scope:
            async with server.client(close_timeout=1000):
                await anyio.sleep_forever()
        assert scope.cancelled_caught
        if world is Net:
            assert anyio.current_time() - begin == pytest.approx(0.5)
        await server.peer.until_gone()
    assert server.peer.close_code == 1001
    assert server.clients[0].state == State.CLOSED


@WORLDS
async def test_s23_an_outer_timeout_ends_a_closing_handshake_that_waits(
    world: type[Net] | type[Loopback],
) -> None:
    patience = 0.5 if world is Net else 0.1
    async with world(mute) as server:
        begin = anyio.current_time()
        with anyio.move_on_after(patience) as scope:
            async with server.client(close_timeout=1000):
                pass
        assert scope.cancelled_caught
        if world is Net:
            assert anyio.current_time() - begin == pytest.approx(0.5)
        await server.peer.until_gone()
    assert server.peer.close_code == 1000


async def linger(client: wsclient.Client[Any]) -> None:
    async with client:
        await anyio.sleep_forever()


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_s23_asyncios_own_timeout_wins_too() -> None:
    async with Net(mute) as net:
        begin = anyio.current_time()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await linger(net.client(close_timeout=1000))
        assert anyio.current_time() - begin == pytest.approx(0.5)
        await net.peer.until_gone()
    assert net.peer.close_code == 1001


@pytest.mark.parametrize("anyio_backend", ["asyncio"], indirect=True)
async def test_s23_a_native_task_cancel_wins_too() -> None:
    async with Net(mute) as net:
        task = asyncio.create_task(linger(net.client(close_timeout=1000)))
        await net.until_accepted()
        await anyio.sleep(1)
        begin = anyio.current_time()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert anyio.current_time() == begin
        await net.peer.until_gone()
    assert net.peer.close_code == 1001


@pytest.mark.parametrize("anyio_backend", ["trio"], indirect=True)
async def test_s23_trios_own_timeout_wins_too() -> None:
    async with Net(mute) as net:
        begin = trio.current_time()
        with trio.move_on_after(0.5) as scope:
            await linger(net.client(close_timeout=1000))
        assert scope.cancelled_caught
        assert trio.current_time() - begin == pytest.approx(0.5)
        await net.peer.until_gone()
    assert net.peer.close_code == 1001


# S24: unread messages beyond the queue's bound.


@pytest.mark.parametrize("count", [16, 17, 20, 100])
@WORLDS
async def test_s24_unread_messages_do_not_hold_up_leaving(
    world: type[Net] | type[Loopback], count: int
) -> None:
    async def floods(peer: Peer) -> None:
        await peer.accept()
        peer.send(*(str(n) for n in range(count)))

    async with world(floods) as server:
        client = server.client(limits=Limits(max_queue=16), close_timeout=1000)
        async with client:
            assert await client.recv() == "0"
            if world is Net:
                await anyio.sleep(1)  # the queue is as full as it can be
            begin = anyio.current_time()
        # The closing handshake is done: nobody waited for close_timeout.
        if world is Net:
            assert anyio.current_time() - begin < 1
        assert server.peer.close_code == 1000


@NETS
async def test_s24_what_was_queued_can_still_be_read_afterwards(
    net_of: type[Net],
) -> None:
    async def floods(peer: Peer) -> None:
        await peer.accept()
        peer.send(*(str(n) for n in range(100)))

    async with net_of(floods) as net:
        async with net.client(limits=Limits(max_queue=16)) as client:
            await anyio.sleep(1)
        got = [message async for message in client]
        with pytest.raises(wsclient.ConnectionClosed):
            await client.recv()
    assert got == [str(n) for n in range(len(got))]
    assert len(got) >= 16


# S25: unread bytes in the kernel eat no Close frame.


@pytest.mark.real
@pytest.mark.parametrize("how", ["leaving", "cancelled", "raising"])
@pytest.mark.parametrize("world", [Loopback, SecureLoopback])
async def test_s25_our_close_frame_arrives_in_spite_of_unread_bytes(
    world: type[Loopback], how: str
) -> None:
    """Closing a socket with unread bytes resets it: who still writes gives up then."""

    async def floods(peer: Peer) -> None:
        await peer.accept()
        for _ in range(16):
            peer.send("x" * 16384)
        await peer.wire.flush()
        peer.send("")
        await peer.until_gone()

    codes = {"leaving": 1000, "cancelled": 1001, "raising": 1001}
    rounds = 20
    async with world(default=floods, most=rounds) as server:
        for number in range(1, rounds + 1):
            with anyio.CancelScope() as scope:
                try:
                    async with server.client(limits=Limits(max_queue=2)) as client:
                        await server.until_accepted(number)
                        await client.recv()
                        if how == "cancelled":
                            scope.cancel()
                            await anyio.sleep_forever()
                        if how == "raising":
                            raise ZeroDivisionError
                except ZeroDivisionError:
                    pass
            await server.peer.until_gone()
    assert [peer.close_code for peer in server.peers] == [codes[how]] * rounds


@pytest.mark.real
@pytest.mark.parametrize("world", [Loopback, SecureLoopback])
async def test_s25_a_cancelled_leaving_resets_nothing_under_a_peer_that_reads_later(
    world: type[Loopback],
) -> None:
    flooded = anyio.Event()

    async def floods(peer: Peer) -> None:
        await peer.accept()
        for _ in range(16):
            peer.send("x" * 16384)
        await peer.wire.flush()
        peer.wire.pause()
        flooded.set()

    rounds = 20
    async with world(default=floods, most=rounds) as server:
        for _ in range(rounds):
            flooded = anyio.Event()
            with anyio.CancelScope() as scope:
                async with server.client(limits=Limits(max_queue=2)) as client:
                    await flooded.wait()
                    await client.recv()
                    scope.cancel()
                    await anyio.sleep_forever()
            attributes = server.peer.below.extra_attributes
            sock = attributes[SocketAttribute.raw_socket]()
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
            server.peer.wire.resume()
            await server.peer.until_gone()
    assert [peer.close_code for peer in server.peers] == [1001] * rounds
    assert {str(peer.ended) for peer in server.peers} <= {"eof", "hung up"}


# S50: an orderly 1000 and an abrupt reset: both come back, subscriptions and all.


@WORLDS
@pytest.mark.parametrize("end", ["close", "reset"])
async def test_s50_subscriptions_survive_an_orderly_end_and_a_reset(
    world: type[Net] | type[Loopback], end: str
) -> None:
    async def publishes(peer: Peer) -> None:
        await peer.accept()
        assert [await peer.recv(), await peer.recv()] == ['{"ch":"a"}', '{"ch":"b"}']
        peer.send(*(f'{{"ch":"{ch}","life":{peer.number}}}' for ch in "ab"))
        await peer.recv()
        if end == "close":
            peer.close(1000)
        else:
            peer.reset()

    topics = wsclient.JsonTopics(key="ch")
    async with (
        world(default=publishes) as server,
        server.client(subprotocol=topics, wait=waits(0.01)) as client,
    ):
        a = await client.subscribe({"ch": "a"})
        b = await client.subscribe({"ch": "b"})
        for life in range(1, 5):
            assert await a.recv() == {"ch": "a", "life": life}
            assert await b.recv() == {"ch": "b", "life": life}
            await client.send({"drop": "me"})
            await server.until_accepted(life + 1)
    assert len(server.peers) == 5


# S51: broken in the midst of closing, and TLS without close_notify.


@WORLDS
async def test_s51_a_reset_while_we_close_raises_nothing(
    world: type[Net] | type[Loopback],
) -> None:
    async def resets_on_close(peer: Peer) -> None:
        await peer.accept()
        peer.polite = False
        await peer.until(lambda: peer.close_code)
        peer.reset()

    async with world(resets_on_close) as server:
        async with server.client(close_timeout=1000) as client:
            pass
        assert client.state == State.CLOSED
    assert server.peer.close_code == 1000


@WORLDS
async def test_s51_a_fin_in_answer_to_our_close_raises_nothing(
    world: type[Net] | type[Loopback],
) -> None:
    async def hangs_up_on_close(peer: Peer) -> None:
        await peer.accept()
        peer.polite = False
        await peer.until(lambda: peer.close_code)
        peer.hang_up()

    async with world(hangs_up_on_close) as server:
        async with server.client(close_timeout=1000) as client:
            pass
        assert client.state == State.CLOSED


@asynccontextmanager
async def secured(
    world: type[Net] | type[Loopback], authority: Authority, script: Any
) -> AsyncIterator[tuple[Net | Loopback, wsclient.Client[Any]]]:
    async with world(script, tls=authority.server) as server:
        client = server.client(
            tls=authority.client, first="background", wait=waits(0.01), close_timeout=5
        )
        async with client:
            yield server, client


@BARE
async def test_s51_a_ragged_tls_eof_before_a_close_frame_is_a_loss(
    world: type[Net] | type[Loopback], authority: Authority
) -> None:
    async def ragged(peer: Peer) -> None:
        await peer.accept()
        await peer.recv()
        peer.say_fin()

    async with secured(world, authority, ragged) as (server, client):
        await client.wait_open()
        await client.send("hang up")
        outcome = await ended(client)
        await server.until_accepted(2)
    assert isinstance(outcome.error, wsclient.ConnectionLost)
    assert outcome.reason == Reason.EOF


@BARE
async def test_s51_a_ragged_tls_eof_behind_the_close_frames_is_clean(
    world: type[Net] | type[Loopback], authority: Authority
) -> None:
    async def ragged(peer: Peer) -> None:
        await peer.accept()
        peer.hangs_up = False
        await peer.recv()
        peer.close(1000)
        await peer.until(lambda: peer.close_code)
        peer.say_fin()

    async with secured(world, authority, ragged) as (server, client):
        await client.wait_open()
        await client.send("close")
        outcome = await ended(client)
        await server.until_accepted(2)
    assert isinstance(outcome.error, wsclient.ConnectionClosed)
    assert outcome.reason == Reason.PEER_CLOSED
    assert outcome.code == 1000


@BARE
async def test_s51_a_ragged_tls_eof_in_answer_to_our_close_raises_nothing(
    world: type[Net] | type[Loopback], authority: Authority
) -> None:
    async def ragged(peer: Peer) -> None:
        await peer.accept()
        peer.polite = False
        await peer.until(lambda: peer.close_code)
        peer.say_fin()

    async with secured(world, authority, ragged) as (server, client):
        await client.wait_open()
    assert server.peer.close_code == 1000
    assert client.state == State.CLOSED
