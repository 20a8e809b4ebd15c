"""Turns at the wire, and the failure that waits until what came before is answered."""

from __future__ import annotations

import anyio
import pytest

from wsclient.connection import Connection
from wsclient.connection.life import BREATH, LINGER
from wsclient.errors import ConnectionLost, Initiator, NotSent, Reason
from wsclient.protocol import CloseReceived, Pong, Role, State

from .peer import Certificates, Peer, connected

ROLES = pytest.mark.parametrize("role", Role)
BAD = b"\xf7\x00"  # three reserved bits, an unknown opcode, and not masked


async def echo(ws: Connection) -> None:
    async for message in ws:
        await ws.send(message)


def good_then_bad(peer: Peer, *messages: str) -> None:
    """Send good messages and a bad frame in one chunk."""
    peer.write(b"".join(map(peer.endpoint.encode, messages)) + BAD)


async def test_what_comes_in_a_pause_for_others_is_not_waited_for(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        for number in range(4 * BREATH):
            peer.send(str(number))
            with anyio.fail_after(1):
                assert await ws.recv() == str(number)


@ROLES
async def test_good_messages_before_a_bad_frame_are_answered(
    pushed: bool, role: Role
) -> None:
    async with connected(pushed, role=role) as (ws, peer), ws:
        good_then_bad(peer, "one", "two")
        with pytest.raises(ConnectionLost) as caught:
            await echo(ws)
        await peer.until_ended()
    facts = caught.value.facts
    assert (facts.reason, facts.initiator) == (Reason.PROTOCOL_ERROR, Initiator.US)
    assert facts.sent is not None
    assert facts.sent.code == 1002
    assert peer.messages == ["one", "two"]
    assert peer.others == [CloseReceived(facts.sent.code, facts.sent.reason)]


async def test_answering_before_the_failure_may_take_a_while(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        good_then_bad(peer, "one")
        message = await ws.recv()
        await anyio.sleep(LINGER / 2)
        assert ws.state is State.OPEN
        await ws.send(message)
        with pytest.raises(ConnectionLost, match="PROTOCOL_ERROR"):
            await ws.recv()
        await peer.until_ended()
    assert peer.messages == ["one"]


async def test_who_does_not_come_to_answer_holds_up_nothing_for_long(
    pushed: bool,
) -> None:
    async with connected(pushed) as (ws, peer), ws:
        start = anyio.current_time()
        good_then_bad(peer, "one", "two")
        await peer.until_ended()
        assert [type(event) for event in peer.others] == [CloseReceived]
        assert start + LINGER <= peer.times[-1] < start + LINGER + 0.05
        with pytest.raises(NotSent):
            await ws.send("too late")
        assert [await ws.recv(), await ws.recv()] == ["one", "two"]
        with pytest.raises(ConnectionLost, match="PROTOCOL_ERROR"):
            await ws.recv()


@pytest.mark.parametrize("waits_for", ["recv", "ping", "wait_ended"])
async def test_with_nothing_to_answer_it_fails_at_once(
    pushed: bool, waits_for: str
) -> None:
    async with connected(pushed) as (ws, peer), ws:
        peer.polite = False  # no pong
        start = anyio.current_time()
        async with anyio.create_task_group() as group:

            async def wait() -> None:
                if waits_for == "wait_ended":
                    await ws.wait_ended()
                else:
                    with pytest.raises(ConnectionLost, match="PROTOCOL_ERROR"):
                        await getattr(ws, waits_for)()

            group.start_soon(wait)
            await anyio.sleep(0.1)
            peer.write(BAD)
        assert anyio.current_time() == pytest.approx(start + 0.1)
        await peer.until(lambda: CloseReceived in map(type, peer.others))
        peer.finish()


async def test_a_pong_that_is_due_leaves_before_the_failure(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        peer.write(peer.endpoint.ping(b"?") + BAD)
        await ws.wait_ended()
        await peer.until_ended()
    pong, close = peer.others
    assert pong == Pong(b"?")
    assert isinstance(close, CloseReceived)


async def test_where_nobody_can_answer_it_fails_at_once(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        taken: list[str | bytes] = []
        ws.deliver_to(taken.extend)
        good_then_bad(peer, "one")
        await peer.until(lambda: peer.others)
        assert taken == ["one"]
        assert peer.times[-1] == pytest.approx(anyio.current_time())
        await peer.until_ended()


async def test_who_takes_over_the_queue_takes_the_failure_too(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        good_then_bad(peer, "one")
        await anyio.sleep(LINGER / 2)
        taken: list[str | bytes] = []
        ws.deliver_to(taken.extend)
        assert taken == ["one"]
        assert ws.state is State.CLOSED
        await peer.until_ended()


@pytest.mark.parametrize("leave", ["close", "send_eof", "end", "exit"])
async def test_leaving_says_why_it_failed(pushed: bool, leave: str) -> None:
    async with connected(pushed) as (ws, peer):
        async with ws:
            good_then_bad(peer, "one")
            await anyio.sleep(LINGER / 2)
            if leave == "close":
                await ws.close(4000, "bye")
            elif leave == "send_eof":
                await ws.send_eof()
            elif leave == "end":
                ws.end(Reason.LOCAL, "enough")
        await peer.until_ended()
        ended = ws.ended
    assert isinstance(ended, ConnectionLost)
    assert ended.facts.reason is Reason.PROTOCOL_ERROR
    [close] = peer.others
    assert isinstance(close, CloseReceived)
    assert close.code == 1002


@pytest.mark.parametrize("how", ["hang_up", "reset"])
async def test_whatever_the_peer_does_next_the_bad_frame_is_why(
    pushed: bool, how: str
) -> None:
    async with connected(pushed) as (ws, peer), ws:
        good_then_bad(peer, "one")
        await anyio.sleep(LINGER / 4)
        getattr(peer, how)()
        await anyio.sleep(LINGER / 4)
        assert await ws.recv() == "one"
        with pytest.raises(ConnectionLost) as caught:
            await ws.recv()
        assert caught.value.facts.reason is Reason.PROTOCOL_ERROR
        assert caught.value.facts.detail == "reserved bits are set"


async def test_a_bad_frame_while_we_leave_is_answered_by_nobody(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        peer.polite = False
        await ws.send_eof()
        good_then_bad(peer, "one")
        assert await ws.recv() == "one"
        with pytest.raises(ConnectionLost, match="PROTOCOL_ERROR"):
            await ws.recv()
        peer.hang_up()
    assert peer.others == [CloseReceived(1000, "")]


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
async def test_a_server_that_fails_it_says_the_end_of_tcp_first(
    pushed: bool, secure: bool, certificates: Certificates
) -> None:
    """7.1.1: a client that waits for the server to end TCP does not wait in vain."""
    tls = certificates if secure else None
    async with connected(pushed, role=Role.SERVER, tls=tls) as (ws, peer), ws:
        peer.polite = False
        peer.write(BAD)
        await ws.wait_ended()
        start = anyio.current_time()
        await peer.until_ended()
        assert peer.ended == "eof"
        assert anyio.current_time() == pytest.approx(start)
        assert [type(event) for event in peer.others] == [CloseReceived]
        peer.wire.finish()


async def test_a_server_reads_on_behind_its_failure(pushed: bool) -> None:
    """What is still on its way must not reset the connection under the Close frame."""
    async with connected(pushed, role=Role.SERVER) as (ws, peer), ws:
        peer.polite = False
        peer.write(BAD)
        await ws.wait_ended()
        unread = bytes(100_000)
        peer.write(unread)
        await anyio.sleep(LINGER / 2)
        assert len(peer.out.received) >= len(unread)
        assert [type(event) for event in peer.others] == [CloseReceived]
        peer.hang_up()


async def test_a_failure_that_must_wait_for_room_is_not_cut_off(pushed: bool) -> None:
    async with connected(pushed, role=Role.SERVER, capacity=1000) as (ws, peer), ws:
        peer.into.stall()
        ws.send_nowait("x" * 5000)
        peer.write(BAD)
        await ws.wait_ended()
        await anyio.sleep(LINGER / 2)
        assert peer.ended is None
        peer.into.heal()
        await peer.until_ended()
        assert peer.messages == ["x" * 5000]
        assert [type(event) for event in peer.others] == [CloseReceived]
