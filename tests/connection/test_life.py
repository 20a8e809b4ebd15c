"""Bytes in and out, and every way a connection ends."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from types import ModuleType

import anyio
import anyio.lowlevel
import pytest

from wsclient.connection import Connection, Timeouts
from wsclient.errors import (
    Close,
    ConnectionClosed,
    ConnectionLost,
    Initiator,
    MaybeSent,
    NotSent,
    Phase,
    Reason,
)
from wsclient.protocol import (
    CloseReceived,
    Deflate,
    Endpoint,
    Limits,
    Ping,
    Pong,
    Role,
    State,
)

from .peer import QUIET, Certificates, Peer, connected


async def test_messages_go_both_ways(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        peer.send("text", b"binary", "")
        assert [await ws.recv() for _ in range(3)] == ["text", b"binary", ""]
        await ws.send("text")
        await ws.send(b"binary")
        await ws.send(bytearray(b"more"))
        await ws.send(memoryview(b"most"))
        assert await peer.until_messages(4) == ["text", b"binary", b"more", b"most"]


async def test_both_roles_speak(pushed: bool) -> None:
    async with connected(pushed, role=Role.SERVER) as (ws, peer), ws:
        peer.send("to the server")
        assert await ws.recv() == "to the server"
        await ws.send("to the client")
        assert await peer.until_messages(1) == ["to the client"]


# -- how it ends ------------------------------------------------------------------


@dataclass(frozen=True)
class End:
    """What is done, and what must be told of it."""

    act: Callable[[Connection, Peer], Awaitable[None]]
    kind: type[ConnectionClosed | ConnectionLost]
    reason: Reason
    initiator: Initiator
    phase: Phase = Phase.OPEN
    received: Close | None = None
    sent: Close | None = None


async def peer_closes(ws: Connection, peer: Peer) -> None:
    peer.close(4000, "why")


async def peer_closes_without_code(ws: Connection, peer: Peer) -> None:
    peer.close(None)


async def we_close(ws: Connection, peer: Peer) -> None:
    await ws.close(4001, "done")


async def both_close_at_once(ws: Connection, peer: Peer) -> None:
    peer.close(1001)
    await ws.close(1000)


async def we_say_the_end_and_the_peer_too(ws: Connection, peer: Peer) -> None:
    await ws.send_eof()


async def peer_hangs_up(ws: Connection, peer: Peer) -> None:
    peer.hang_up()


async def peer_hangs_up_on_our_close(ws: Connection, peer: Peer) -> None:
    peer.polite = False
    await ws.send_eof()
    peer.hang_up()


async def peer_resets(ws: Connection, peer: Peer) -> None:
    peer.reset()


async def peer_resets_on_our_close(ws: Connection, peer: Peer) -> None:
    peer.polite = False
    await ws.send_eof()
    peer.reset()


async def peer_breaks_the_protocol(ws: Connection, peer: Peer) -> None:
    peer.write(b"\xff\x00")


async def peer_does_not_close(ws: Connection, peer: Peer) -> None:
    peer.polite = False
    await ws.close()


async def it_is_idle(ws: Connection, peer: Peer) -> None:
    ws.end(Reason.IDLE, "no message for a while")


async def it_is_dead(ws: Connection, peer: Peer) -> None:
    ws.end(Reason.LIVENESS, "nothing was heard")


async def it_is_stalled(ws: Connection, peer: Peer) -> None:
    ws.end(Reason.WRITE_STALLED)


US, PEER = Initiator.US, Initiator.PEER
CLOSED, LOST = ConnectionClosed, ConnectionLost
CLOSING = Phase.CLOSING

ENDS = [
    End(
        peer_closes,
        CLOSED,
        Reason.PEER_CLOSED,
        PEER,
        received=Close(4000, "why"),
        sent=Close(4000),
    ),
    End(
        peer_closes_without_code,
        CLOSED,
        Reason.PEER_CLOSED,
        PEER,
        received=Close(1005),
        sent=Close(1005),
    ),
    End(
        we_close,
        CLOSED,
        Reason.LOCAL,
        US,
        CLOSING,
        received=Close(4001),
        sent=Close(4001, "done"),
    ),
    End(
        both_close_at_once,
        CLOSED,
        Reason.LOCAL,
        US,
        CLOSING,
        received=Close(1001),
        sent=Close(1000),
    ),
    End(
        we_say_the_end_and_the_peer_too,
        CLOSED,
        Reason.LOCAL,
        US,
        CLOSING,
        received=Close(1000),
        sent=Close(1000),
    ),
    End(peer_hangs_up, LOST, Reason.EOF, PEER),
    End(peer_hangs_up_on_our_close, LOST, Reason.EOF, PEER, CLOSING, sent=Close(1000)),
    End(peer_resets, LOST, Reason.RESET, PEER),
    End(peer_resets_on_our_close, LOST, Reason.RESET, PEER, CLOSING, sent=Close(1000)),
    End(
        peer_breaks_the_protocol,
        LOST,
        Reason.PROTOCOL_ERROR,
        US,
        sent=Close(1002, "reserved bits are set: 0x70"),
    ),
    End(peer_does_not_close, LOST, Reason.LOCAL, US, CLOSING, sent=Close(1000)),
    End(it_is_idle, LOST, Reason.IDLE, US, sent=Close(1001)),
    End(it_is_dead, LOST, Reason.LIVENESS, US),
    End(it_is_stalled, LOST, Reason.WRITE_STALLED, US),
]


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.act.__name__)
async def test_every_end_tells_what_is_known_of_it(pushed: bool, end: End) -> None:
    async with connected(pushed) as (ws, peer), ws:
        peer.send("last words")
        await anyio.sleep(1)
        assert ws.ended is None
        await end.act(ws, peer)
        await ws.wait_ended()
        assert await ws.recv() == "last words"
        error = ws.ended
        assert error is not None
        assert type(error) is end.kind
        assert error.reason is end.reason
        assert error.initiator is end.initiator
        assert error.phase is end.phase
        assert error.received == end.received
        if end.sent is None:
            assert error.sent is None
        else:
            assert error.sent is not None
            assert error.sent.code == end.sent.code
        assert error.host == "example.com"
        assert error.idle is not None
        assert error.code == (end.received.code if end.received else 1006)
        assert ws.state is State.CLOSED


def contexts_in(endpoint: Endpoint) -> list[str]:
    """Return what compresses or inflates, wherever an endpoint keeps it."""
    kinds = []
    seen = set[int]()
    found: list[object] = [endpoint]
    while found:
        item = found.pop()
        if id(item) not in seen and not isinstance(item, type | ModuleType):
            seen.add(id(item))
            found += gc.get_referents(item)
            kinds.append(type(item).__name__)
    return sorted(kind.strip("_") for kind in kinds if kind.endswith("ompress"))


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.act.__name__)
async def test_no_context_of_compression_outlives_the_connection(
    pushed: bool, end: End
) -> None:
    """Nor is there one before the first message that is compressed."""
    async with connected(pushed, deflate=Deflate()) as (ws, peer), ws:
        assert contexts_in(ws._endpoint) == []
        await ws.send("compressed")
        assert contexts_in(ws._endpoint) == ["Compress"]
        peer.send("last words")
        assert await ws.recv() == "last words"
        assert contexts_in(ws._endpoint) == ["Compress", "Decompress"]
        await end.act(ws, peer)
        await ws.wait_ended()
        assert contexts_in(ws._endpoint) == []


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.act.__name__)
async def test_after_the_end_every_call_tells_it(pushed: bool, end: End) -> None:
    async with connected(pushed) as (ws, peer), ws:
        await end.act(ws, peer)
        await ws.wait_ended()
        for _ in range(2):
            with pytest.raises(end.kind) as told:
                await ws.recv()
            assert told.value.reason is end.reason
            with pytest.raises(end.kind):
                await ws.recv(timeout=1)
            with pytest.raises(end.kind):
                await ws.ping()
            with pytest.raises(end.kind):
                await ws.wait_ready()
            with pytest.raises(NotSent) as unsent:
                await ws.send("too late")
            assert unsent.value.message == "too late"
            assert type(unsent.value.__cause__) is end.kind
            with pytest.raises(NotSent):
                ws.send_nowait("too late")
            with pytest.raises(NotSent):
                await ws.send(["too", "late"])
            with pytest.raises(NotSent):
                await ws.send_eof()
            ws.ping_nowait()
            ws.pause()
            ws.resume()
            ws.end(Reason.IDLE)
            await ws.close()
        assert ws.ended is not ws.ended
        assert not ws.ready


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.act.__name__)
async def test_the_end_wakes_everybody_who_waits(pushed: bool, end: End) -> None:
    told = dict[str, BaseException]()

    async def record(name: str, call: Awaitable[object]) -> None:
        try:
            await call
        except (ConnectionClosed, ConnectionLost, NotSent, MaybeSent) as exc:
            told[name] = exc

    async with connected(pushed, capacity=1000) as (ws, peer), ws:
        peer.into.stall()
        async with anyio.create_task_group() as group:
            group.start_soon(record, "recv", ws.recv())
            group.start_soon(record, "ping", ws.ping())
            group.start_soon(ws.wait_ended)
            await anyio.sleep(1)
            group.start_soon(record, "committed", ws.send("x" * 100_000))
            await anyio.sleep(1)
            for number in range(3):
                group.start_soon(record, f"waiting {number}", ws.send("y"))
            await anyio.sleep(1)
            if end.act in HEALED:
                peer.into.heal()
            await end.act(ws, peer)
    assert type(told.pop("recv")) is end.kind
    ping = told.pop("ping", None)
    if end.act in HEALED:
        assert ping is None or type(ping) is end.kind
        assert set(map(type, told.values())) <= {NotSent}
    else:
        assert type(ping) is end.kind
        assert isinstance(told.pop("committed"), MaybeSent)
        assert [type(exc) for exc in told.values()] == [NotSent] * 3


# Ends that are brought about by bytes of ours which the peer must get.
HEALED = {we_close, both_close_at_once, we_say_the_end_and_the_peer_too}


async def test_the_peer_is_told_which_limit_it_broke(pushed: bool) -> None:
    async with connected(pushed, max_message_size=100) as (ws, peer), ws:
        peer.send("x" * 101)
        with pytest.raises(ConnectionLost, match="PROTOCOL_ERROR"):
            await ws.recv()
        await peer.until_ended()
    [close] = peer.others
    assert isinstance(close, CloseReceived)
    assert close.code == 1009


async def test_a_message_as_large_as_allowed_is_received(pushed: bool) -> None:
    async with connected(pushed, max_message_size=100) as (ws, peer), ws:
        peer.send("x" * 100)
        assert await ws.recv() == "x" * 100


async def iterate(ws: Connection, received: list[str | bytes]) -> None:
    async for message in ws:
        received.append(message)  # noqa: PERF401 - kept when it raises


async def test_messages_in_the_chunk_of_the_end_are_received(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        encode = peer.endpoint.encode
        peer.write(encode("one") + encode("two") + peer.endpoint.close(1012, "restart"))
        received: list[str | bytes] = []
        with pytest.raises(ConnectionClosed, match="1012 restart"):
            await iterate(ws, received)
        assert received == ["one", "two"]


async def test_a_pong_and_the_echo_leave_in_order(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        peer.write(peer.endpoint.ping(b"?") + peer.endpoint.close(1000))
        await peer.until_ended()
    assert peer.others == [Pong(b"?"), CloseReceived(1000, "")]


# -- the end of TCP ---------------------------------------------------------------


async def test_a_client_leaves_the_end_of_tcp_to_the_server(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        peer.polite = False
        await ws.send_eof()
        await anyio.sleep(0.1)
        peer.reply(ending_tcp=False)
        with pytest.raises(ConnectionClosed):
            await ws.recv()
        assert peer.ended is None
        peer.finish()
        start = anyio.current_time()
    assert anyio.current_time() == start


async def test_s21_a_server_that_never_ends_tcp_keeps_nobody(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer):
        peer.polite = False
        start = anyio.current_time()
        async with ws:
            peer.close(1000)
            with pytest.raises(ConnectionClosed):
                await ws.recv()
            assert anyio.current_time() == start
        assert anyio.current_time() == start + 1
        await peer.until_ended()
        assert peer.ended == "eof"


async def test_the_end_of_tcp_is_awaited_no_longer_than_close_timeout(
    pushed: bool,
) -> None:
    quick = Timeouts(ping_interval=None, close_timeout=0.25)
    async with connected(pushed, timeouts=quick) as (ws, peer):
        peer.polite = False
        start = anyio.current_time()
        async with ws:
            peer.close(1000)
        assert anyio.current_time() == start + 0.25


async def test_a_server_ends_tcp_at_once_behind_its_echo(pushed: bool) -> None:
    async with connected(pushed, role=Role.SERVER) as (ws, peer), ws:
        start = anyio.current_time()
        peer.close(1000, "bye")
        await peer.until_ended()
        assert peer.others == [CloseReceived(1000, "")]
        assert peer.ended == "eof"
        assert peer.ended_at is not None
        assert peer.ended_at - start < 0.05


async def test_a_server_ends_tcp_at_once_when_its_close_is_echoed(pushed: bool) -> None:
    async with connected(pushed, role=Role.SERVER) as (ws, peer), ws:
        start = anyio.current_time()
        await ws.close(1001, "shutting down")
        assert anyio.current_time() == start
        await peer.until_ended()
        assert peer.others == [CloseReceived(1001, "shutting down")]


async def test_an_echo_that_must_wait_is_not_cut_off(pushed: bool) -> None:
    async with connected(pushed, role=Role.SERVER, capacity=1000) as (ws, peer), ws:
        peer.into.stall()
        ws.send_nowait("x" * 5000)
        peer.close(1000)
        await ws.wait_ended()
        await anyio.sleep(0.5)
        assert peer.ended is None
        peer.into.heal()
        await peer.until_ended()
        assert peer.messages == ["x" * 5000]
        assert peer.others == [CloseReceived(1000, "")]


async def test_who_failed_the_connection_reads_on_for_a_second(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer):
        peer.polite = False
        async with ws:
            peer.write(b"\xff")
            await ws.wait_ended()
            start = anyio.current_time()
            unread = bytes(100_000)
            peer.write(unread)
        assert anyio.current_time() == start + 1
        assert len(peer.out.received) >= len(unread)
        assert [type(event) for event in peer.others] == [CloseReceived]


async def test_after_both_close_frames_a_reset_means_nothing(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        peer.polite = False
        peer.close(1000)
        await ws.wait_ended()
        peer.reset()
        await anyio.sleep(0.01)
        with pytest.raises(ConnectionClosed):
            await ws.recv()


async def test_while_a_full_queue_pauses_reading_the_end_is_still_seen(
    pushed: bool,
) -> None:
    async with connected(pushed, limits=Limits(max_queue=1)) as (ws, peer), ws:
        peer.send("one")
        await anyio.sleep(1)
        peer.send("two")
        peer.hang_up()
        await anyio.sleep(1)
        assert ws.ended is None
        assert await ws.recv() == "one"
        assert await ws.recv() == "two"
        with pytest.raises(ConnectionLost, match="EOF"):
            await ws.recv()


# -- S51: TLS ---------------------------------------------------------------------


async def test_s51_a_torn_tls_stream_is_a_loss_before_the_close_frame(
    pushed: bool, certificates: Certificates
) -> None:
    async with connected(pushed, tls=certificates) as (ws, peer), ws:
        peer.send("said")
        peer.hang_up()  # TCP's FIN, no close_notify
        assert await ws.recv() == "said"
        with pytest.raises(ConnectionLost) as lost:
            await ws.recv()
        assert lost.value.reason is Reason.EOF


async def test_s51_a_torn_tls_stream_is_clean_after_the_close_frames(
    pushed: bool, certificates: Certificates
) -> None:
    async with connected(pushed, tls=certificates) as (ws, peer), ws:
        peer.polite = False
        peer.close(1000)
        peer.hang_up()
        with pytest.raises(ConnectionClosed):
            await ws.recv()


async def test_s51_a_reset_below_tls_is_a_loss(
    pushed: bool, certificates: Certificates
) -> None:
    async with connected(pushed, tls=certificates) as (ws, peer), ws:
        peer.reset()
        with pytest.raises(ConnectionLost) as lost:
            await ws.recv()
        assert lost.value.reason is Reason.RESET
        assert isinstance(lost.value.__cause__, OSError)


async def test_s51_bytes_that_are_no_tls_are_told_as_tls(
    pushed: bool, certificates: Certificates
) -> None:
    async with connected(pushed, tls=certificates) as (ws, peer), ws:
        peer.out.send(b"these are no records of TLS at all")
        with pytest.raises(ConnectionLost) as lost:
            await ws.recv()
        assert lost.value.reason is Reason.TLS


async def test_closing_over_tls_says_both_ends(
    pushed: bool, certificates: Certificates
) -> None:
    async with connected(pushed, tls=certificates) as (ws, peer), ws:
        await ws.send("over TLS")
        assert await peer.until_messages(1) == ["over TLS"]
        await ws.close()
        await anyio.sleep(0.1)
    assert isinstance(ws.ended, ConnectionClosed)


# -- ending at once ---------------------------------------------------------------


async def test_ending_reads_what_has_come_first(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        peer.send("just in time")
        ws.end(Reason.LOCAL, "enough")
        assert await ws.recv() == "just in time"
        with pytest.raises(ConnectionLost, match="enough"):
            await ws.recv()
        await peer.until_ended()
        assert peer.others == [CloseReceived(1001, "")]


async def test_ending_finds_the_close_frame_that_has_come(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        peer.close(1012)
        ws.end(Reason.LOCAL, "enough")
        with pytest.raises(ConnectionClosed, match="PEER_CLOSED"):
            await ws.recv()
        await peer.until_ended()
        assert peer.others == [CloseReceived(1012, "")]


async def test_ending_finds_the_end_that_has_come(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        peer.hang_up()
        ws.end(Reason.LOCAL, "enough")
        with pytest.raises(ConnectionLost, match="EOF"):
            await ws.recv()


async def test_no_close_frame_is_said_within_a_frame(pushed: bool) -> None:
    async with connected(pushed, capacity=1000) as (ws, peer), ws:
        peer.into.stall()
        ws.send_nowait("x" * 5000)
        ws.end(Reason.LOCAL, "enough")
        assert ws.ended is not None
        assert ws.ended.sent is None
        peer.into.heal()
        await peer.until_ended()
        assert peer.messages == peer.others == []
        assert peer.endpoint.state is not State.CLOSING_BY_PEER


@pytest.mark.parametrize("reason", [Reason.LIVENESS, Reason.WRITE_STALLED])
async def test_to_a_dead_peer_nothing_is_said(pushed: bool, reason: Reason) -> None:
    async with connected(pushed) as (ws, peer), ws:
        ws.end(reason)
        await peer.until_ended()
        assert peer.others == []


async def test_what_fails_is_drained_when_it_is_left_at_once(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        peer.polite = False
        peer.write(b"\xff")
        await ws.wait_ended()
        peer.write(bytes(50_000))
        ws.end(Reason.LOCAL)
        assert len(peer.out.received) >= 50_000  # a reset would eat our Close frame
        with pytest.raises(ConnectionLost, match="PROTOCOL_ERROR"):
            await ws.recv()


async def test_a_sink_may_end_it_and_hears_nothing_more(pushed: bool) -> None:
    heard: list[str | bytes] = []

    def sink(messages: Sequence[str | bytes]) -> None:
        heard.extend(messages)
        ws.end(Reason.LOCAL, "enough")

    async with connected(pushed) as (ws, peer), ws:
        ws.deliver_to(sink)
        peer.send("one", "two")
        peer.write(peer.endpoint.ping() + peer.endpoint.encode("three"))
        await ws.wait_ended()
        assert heard[0] == "one"
        assert "three" not in heard
        await peer.until_ended()
        assert peer.others == [CloseReceived(1001, "")]


async def test_a_sink_that_ends_it_before_the_peers_close_still_echoes(
    pushed: bool,
) -> None:
    async with connected(pushed) as (ws, peer), ws:
        ws.deliver_to(lambda _: ws.end(Reason.LOCAL, "enough"))
        peer.write(peer.endpoint.encode("last") + peer.endpoint.close(1000))
        await ws.wait_ended()
        assert ws.ended is not None
        assert (ws.ended.received, ws.ended.sent) == (Close(1000), Close(1000))
        await peer.until_ended()
        assert peer.others == [CloseReceived(1000, "")]


async def test_a_sink_that_ends_it_while_it_takes_over_the_queue_is_not_reentered(
    pushed: bool,
) -> None:
    heard: list[str | bytes] = []
    inside = False

    def sink(messages: Sequence[str | bytes]) -> None:
        nonlocal inside
        assert not inside
        inside = True
        heard.extend(messages)
        ws.end(Reason.LOCAL, "enough")
        inside = False

    async with connected(pushed) as (ws, peer), ws:
        peer.send("one", "two", "three")
        await anyio.sleep(1)
        peer.send("four")
        ws.deliver_to(sink)
        assert heard == ["one", "two", "three"]
        assert ws.ended is not None


# -- bounds -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "limits", [Limits(max_queue=4), Limits(max_queue_bytes=400)], ids=["count", "bytes"]
)
async def test_a_full_queue_stops_reading_until_it_is_half_empty(
    pushed: bool, limits: Limits
) -> None:
    async with connected(pushed, limits=limits) as (ws, peer), ws:
        sent = [f"{number:0100}" for number in range(20)]
        frame = len(peer.endpoint.encode(sent[0]))
        peer.out.chunk = frame
        handshake = len(peer.out.received)
        peer.send(*sent)

        async def read() -> int:
            await anyio.sleep(1)
            return (len(peer.out.received) - handshake) // frame

        assert await read() == 4
        assert await ws.recv() == sent[0]
        assert await read() == 4
        assert await ws.recv() == sent[1]
        assert await read() == 6
        assert [await ws.recv() for _ in range(18)] == sent[2:]


async def test_one_message_always_fits_an_empty_queue(pushed: bool) -> None:
    async with connected(pushed, limits=Limits(max_queue_bytes=10)) as (ws, peer), ws:
        peer.send("x" * 1000, "y" * 1000)
        assert await ws.recv() == "x" * 1000
        assert await ws.recv() == "y" * 1000


async def test_s31_a_ping_behind_a_full_queue_is_answered_once_we_read(
    pushed: bool,
) -> None:
    async with connected(pushed, limits=Limits(max_queue=4)) as (ws, peer), ws:
        peer.out.chunk = len(peer.endpoint.encode("0"))
        peer.send(*"01234567")
        peer.ping(b"?")
        await anyio.sleep(3)
        assert peer.others == []
        assert [await ws.recv() for _ in range(8)] == list("01234567")
        await peer.until(lambda: peer.others)
        assert peer.others == [Pong(b"?")]


async def test_s36_pongs_do_not_pile_up_before_a_peer_that_does_not_read(
    pushed: bool,
) -> None:
    async with connected(pushed, capacity=65536) as (ws, peer), ws:
        peer.into.stall()
        for number in range(2_000):
            peer.ping(b"%0125d" % number)
            if not number % 100:
                await anyio.sleep(0.01)
        await anyio.sleep(1)
        assert ws._wire.buffered <= 2**16 + 200
        peer.into.heal()
        await anyio.sleep(1)
        assert peer.others[-1] == Pong(b"%0125d" % 1_999)


async def test_what_comes_while_closing_is_discarded_not_queued(pushed: bool) -> None:
    limits = Limits(max_queue=3)
    async with connected(pushed, limits=limits) as (ws, peer), ws:
        peer.polite = False
        late = b"".join(map(peer.endpoint.encode, "ghijkl"))
        peer.send("one", "two", "three")
        await anyio.sleep(1)
        peer.send(*"abcdef")
        async with anyio.create_task_group() as group:
            group.start_soon(ws.close)
            await peer.until(lambda: peer.others)
            peer.write(late)
            peer.reply()
        received = [message async for message in ws]
        assert received == ["one", "two", "three"]


async def test_a_sink_hears_nothing_more_while_closing(pushed: bool) -> None:
    heard: list[str | bytes] = []
    async with connected(pushed) as (ws, peer), ws:
        ws.deliver_to(heard.extend)
        peer.send("one")
        await anyio.sleep(1)
        peer.polite = False
        late = peer.endpoint.encode("two")
        async with anyio.create_task_group() as group:
            group.start_soon(ws.close)
            await peer.until(lambda: peer.others)
            peer.write(late)
            peer.reply()
        assert heard == ["one"]


async def test_pings_of_the_peer_are_answered_once_each_read(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        for number in range(3):
            peer.ping(b"%d" % number)
            await anyio.sleep(0.1)
        assert peer.others == [Pong(b"0"), Pong(b"1"), Pong(b"2")]
        assert Ping(b"0") not in peer.events


async def test_quiet_timeouts_are_quiet(pushed: bool) -> None:
    """Guards the helper: what these tests see is not the keepalive's doing."""
    async with connected(pushed, timeouts=QUIET) as (ws, peer), ws:
        await anyio.sleep(10_000)
        assert peer.others == []
        assert ws.ended is None


async def test_all_who_wait_for_the_end_of_a_driven_connection_see_it(
    pushed: bool,
) -> None:
    async with connected(pushed) as (ws, peer), ws:
        ws.deliver_to(lambda messages: None)
        async with anyio.create_task_group() as group:
            group.start_soon(ws.wait_ended)
            group.start_soon(ws.wait_ended)
            await anyio.wait_all_tasks_blocked()
            peer.close()
        assert ws.ended is not None
