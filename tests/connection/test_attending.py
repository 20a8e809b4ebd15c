"""What happens when nobody calls: pings, deadlines, and who reads a pulled wire."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from wsclient.connection import Timeouts
from wsclient.errors import ConnectionClosed, ConnectionLost, MaybeSent, NotSent, Reason
from wsclient.protocol import CloseReceived, Limits, Ping, Pong
from wsclient.testing.clock import virtual_backend

from .peer import QUIET, Certificates, Peer, connected

KEEPALIVE = Timeouts(ping_interval=20, ping_timeout=20, write_timeout=None)

LATE = 0.05  # seconds that a pulled wire's attendant may need


def block(seconds: float) -> None:
    """Let time pass in which the event loop does nothing, as in a long calculation."""
    try:
        loop: Any = asyncio.get_running_loop()
    except RuntimeError:
        import trio

        clock: Any = trio.lowlevel.current_clock()
        clock.jump(seconds)
    else:
        loop._jumping.now += seconds


# -- keepalive --------------------------------------------------------------------


async def test_a_ping_goes_out_each_interval_and_tells_the_latency(
    pushed: bool,
) -> None:
    async with connected(pushed, timeouts=KEEPALIVE, latency=0.05) as (ws, peer), ws:
        start = anyio.current_time()
        await anyio.sleep(90)
        assert ws.latency == pytest.approx(0.1, abs=LATE)
        assert ws.ended is None
    pings = [
        time - start
        for time, event in zip(peer.times, peer.events, strict=True)
        if isinstance(event, Ping)
    ]
    assert pings == pytest.approx([20, 40, 60, 80], abs=LATE + 0.15)


async def test_pings_are_spread_so_that_clients_do_not_ping_in_step(
    pushed: bool,
) -> None:
    def earliest(low: float, high: float) -> float:
        return low

    async with connected(pushed, timeouts=KEEPALIVE, uniform=earliest) as (ws, peer):
        start = anyio.current_time()
        async with ws:
            await peer.until(lambda: peer.others)
            assert anyio.current_time() - start == pytest.approx(18, abs=LATE)


async def test_ping_intervals_of_none_send_nothing_and_judge_nothing(
    pushed: bool,
) -> None:
    async with connected(pushed, timeouts=QUIET) as (ws, peer), ws:
        peer.out.silence()
        await anyio.sleep(3600)
        assert ws.ended is None
        assert peer.others == []


@pytest.mark.parametrize("receiving", [True, False], ids=["recv", "busy"])
async def test_s1_a_peer_that_vanished_is_given_up_without_waiting(
    pushed: bool, receiving: bool
) -> None:
    async with connected(pushed, timeouts=KEEPALIVE) as (ws, peer):
        async with ws:
            peer.send("last sign of life")
            assert await ws.recv() == "last sign of life"
            start = anyio.current_time()
            peer.out.silence()
            peer.into.silence()
            if receiving:
                with pytest.raises(ConnectionLost) as lost:
                    await ws.recv()
            else:
                await anyio.sleep(41)
                with pytest.raises(ConnectionLost) as lost:
                    await ws.recv(timeout=1)
                start += 1
            assert lost.value.reason is Reason.LIVENESS
            assert lost.value.sent is None
            assert lost.value.idle == pytest.approx(40, abs=LATE)
            assert anyio.current_time() - start == pytest.approx(40, abs=LATE)
            with pytest.raises(NotSent):
                await ws.send("too late")
            left = anyio.current_time()
        assert anyio.current_time() == left


async def test_a_healthy_peer_is_never_given_up(pushed: bool) -> None:
    async with connected(pushed, timeouts=KEEPALIVE, latency=5) as (ws, _), ws:
        with pytest.raises(TimeoutError):
            await ws.recv(timeout=10_000)
        assert ws.latency == pytest.approx(10, abs=0.1)


async def test_s34_the_bytes_of_an_unfinished_message_are_signs_of_life(
    pushed: bool,
) -> None:
    async with connected(pushed, timeouts=KEEPALIVE) as (ws, peer), ws:
        peer.polite = False  # not even pongs
        frame = peer.endpoint.encode("x" * 100)
        for number in range(len(frame)):
            peer.write(frame[number : number + 1])
            await anyio.sleep(39)
        assert await ws.recv() == "x" * 100


@pytest.mark.parametrize("reader", ["recv", "busy", "ping", "sink"])
async def test_s33_a_blocked_event_loop_is_not_taken_for_a_dead_peer(
    pushed: bool, reader: str
) -> None:
    async with connected(pushed, timeouts=KEEPALIVE) as (ws, peer), ws:
        heard: list[str | bytes] = []
        if reader == "sink":
            ws.deliver_to(heard.extend)
        async with anyio.create_task_group() as group:

            async def receive() -> None:
                heard.append(await ws.recv())

            if reader == "recv":
                group.start_soon(receive)
            elif reader == "ping":
                peer.polite = False
                group.start_soon(ws.ping)
            await anyio.sleep(15)
            peer.send("here I am")
            block(60)
            await anyio.sleep(1)
            assert ws.ended is None
            peer.polite = True
            peer.reply()
        if reader in {"busy", "ping"}:
            heard.append(await ws.recv())
        assert heard == ["here I am"]
        await anyio.sleep(100)
        assert ws.ended is None


async def test_what_is_readable_is_read_before_the_peer_is_judged(
    pushed: bool,
) -> None:
    async with connected(pushed, timeouts=KEEPALIVE) as (ws, peer), ws:
        peer.send("here I am")
        block(60)
        ws._tick()  # on asyncio, sockets are seen first otherwise
        assert ws.ended is None
        assert await ws.recv() == "here I am"
        peer.hang_up()
        block(60)
        ws._tick()
        assert ws.ended is not None
        assert ws.ended.reason is Reason.EOF


async def test_a_dead_peer_is_given_up_also_after_the_loop_was_blocked(
    pushed: bool,
) -> None:
    async with connected(pushed, timeouts=KEEPALIVE) as (ws, peer), ws:
        peer.out.silence()
        await anyio.sleep(1)
        block(60)
        with pytest.raises(ConnectionLost, match="LIVENESS"):
            await ws.recv(timeout=1)


async def test_what_judging_finds_may_be_the_end_itself(pushed: bool) -> None:
    async with connected(pushed, timeouts=KEEPALIVE) as (ws, peer), ws:
        await anyio.sleep(1)
        peer.hang_up()
        block(60)
        with pytest.raises(ConnectionLost, match="EOF"):
            await ws.recv(timeout=1)


async def test_liveness_stands_still_while_reading_is_paused(pushed: bool) -> None:
    one = Limits(max_queue=1)
    async with connected(pushed, timeouts=KEEPALIVE, limits=one) as (ws, peer), ws:
        peer.send("one")
        await anyio.sleep(1)
        peer.send("two")
        await anyio.sleep(1000)
        assert ws.ended is None
        assert await ws.recv() == "one"
        assert await ws.recv() == "two"
        peer.out.silence()
        start = anyio.current_time()
        with pytest.raises(ConnectionLost, match="LIVENESS"):
            await ws.recv()
        assert anyio.current_time() - start == pytest.approx(40, abs=LATE)


async def test_resuming_is_no_sign_of_life(pushed: bool) -> None:
    async with connected(pushed, timeouts=KEEPALIVE) as (ws, peer), ws:
        peer.polite = False
        heard_at = ws.heard_at
        ws.pause()
        await anyio.sleep(100)
        ws.resume()
        assert ws.heard_at == heard_at


async def test_the_keepalive_goes_on_while_the_peer_says_the_rest(
    pushed: bool,
) -> None:
    async with connected(pushed, timeouts=KEEPALIVE) as (ws, peer), ws:
        peer.polite = False
        await ws.send_eof()
        peer.out.silence()
        with pytest.raises(ConnectionLost, match="LIVENESS"):
            await ws.recv()
        assert peer.others == [CloseReceived(1000, "")]


# -- writing ----------------------------------------------------------------------

STALLING = Timeouts(ping_interval=20, ping_timeout=None, write_timeout=30)


@pytest.mark.parametrize(
    "timeouts",
    [
        STALLING,
        Timeouts(ping_interval=None, write_timeout=30),
        Timeouts(ping_interval=1, ping_timeout=None, write_timeout=30),
    ],
    ids=["pings", "no pings", "many pings"],
)
@pytest.mark.parametrize("receiving", [True, False], ids=["recv", "busy"])
async def test_s30_a_peer_that_takes_nothing_ends_it_at_write_timeout(
    pushed: bool, timeouts: Timeouts, receiving: bool
) -> None:
    async with connected(pushed, timeouts=timeouts, capacity=1000) as (ws, peer), ws:
        await anyio.sleep(1)  # whoever reads has settled down
        ends: list[BaseException] = []

        async def receive() -> None:
            assert await ws.recv() == "we still read"
            with pytest.raises(ConnectionLost) as lost:
                await ws.recv()
            ends.append(lost.value)

        async with anyio.create_task_group() as group:
            if receiving:
                group.start_soon(receive)
            peer.into.stall()
            start = anyio.current_time()
            group.start_soon(_later, peer, "we still read")
            with pytest.raises(MaybeSent) as maybe:
                await ws.send(b"x" * 1_000_000)
            assert anyio.current_time() - start == pytest.approx(30, abs=LATE)
            assert maybe.value.__cause__ is not None
            ends.append(maybe.value.__cause__)
        for end in ends:
            assert isinstance(end, ConnectionLost)
            assert end.reason is Reason.WRITE_STALLED
        assert len(ends) == 1 + receiving


async def test_a_peer_that_takes_a_little_now_and_then_is_waited_for(
    pushed: bool,
) -> None:
    async with connected(pushed, timeouts=STALLING, capacity=100) as (ws, peer), ws:
        peer.wire.pause()
        async with anyio.create_task_group() as group:
            group.start_soon(ws.send, b"x" * 300)
            for capacity in range(110, 400, 10):
                await anyio.sleep(29)
                peer.into.capacity = capacity
            peer.wire.resume()
        assert await peer.until_messages(1) == [b"x" * 300]


async def test_over_tls_pings_are_not_taken_for_progress(
    pushed: bool, certificates: Certificates
) -> None:
    many = Timeouts(ping_interval=1, ping_timeout=None, write_timeout=30)
    async with connected(pushed, timeouts=many, tls=certificates) as (ws, peer), ws:
        peer.into.stall()
        start = anyio.current_time()
        with pytest.raises(MaybeSent) as maybe:
            await ws.send(b"x" * 10_000)
        assert anyio.current_time() - start == pytest.approx(30, abs=LATE)
        assert isinstance(maybe.value.__cause__, ConnectionLost)
        assert maybe.value.__cause__.reason is Reason.WRITE_STALLED


async def test_pings_do_not_pile_up_before_a_peer_that_does_not_read(
    pushed: bool,
) -> None:
    many = Timeouts(ping_interval=1, ping_timeout=None, write_timeout=None)
    async with connected(pushed, timeouts=many, capacity=1000) as (ws, peer), ws:
        peer.into.stall()
        ws.send_nowait(b"x" * 100_000)
        buffered = ws._wire.buffered
        await anyio.sleep(100)
        ws.ping_nowait()
        assert ws._wire.buffered == buffered


# -- a slow reader ----------------------------------------------------------------


async def test_a_queue_that_stays_full_ends_it_at_slow_timeout(pushed: bool) -> None:
    slow = Timeouts(ping_interval=20, ping_timeout=20, slow_timeout=60)
    two = Limits(max_queue=2)
    async with connected(pushed, timeouts=slow, limits=two) as (ws, peer), ws:
        peer.out.chunk = len(peer.endpoint.encode("1"))
        peer.send(*"1234")
        await anyio.sleep(30)
        assert [await ws.recv() for _ in range(2)] == ["1", "2"]
        await anyio.sleep(59)
        assert ws.ended is None
        await anyio.sleep(2)
        error = ws.ended
        assert error is not None
        assert error.reason is Reason.SLOW_CONSUMER
        assert "2 messages (2 bytes)" in str(error)
        assert [await ws.recv() for _ in range(2)] == ["3", "4"]
        with pytest.raises(ConnectionLost, match="SLOW_CONSUMER"):
            await ws.recv()
        await peer.until_ended()
        assert peer.others[-1] == CloseReceived(1001, "")


# -- the attendant ----------------------------------------------------------------


async def test_a_ping_is_answered_within_50_ms_while_the_application_is_busy(
    pushed: bool,
) -> None:
    async with connected(pushed) as (ws, peer), ws:
        for number in range(5):
            peer.send("message")
            assert await ws.recv() == "message"
            await anyio.sleep(0.3 + number * 0.007)
            asked = anyio.current_time()
            peer.ping(b"%d" % number)
            await anyio.sleep(0.5)
            assert peer.events[-1] == Pong(b"%d" % number)
            assert peer.times[-1] - asked <= 0.05


async def test_a_ping_right_behind_a_message_is_answered_within_50_ms(
    pushed: bool,
) -> None:
    async with connected(pushed) as (ws, peer), ws:
        asked = anyio.current_time()
        peer.out.chunk = len(peer.endpoint.encode("message"))
        peer.send("message")
        peer.ping(b"?")
        assert await ws.recv() == "message"
        await anyio.sleep(1)
        assert peer.events[-1] == Pong(b"?")
        assert peer.times[-1] - asked <= 0.05


async def test_who_wants_to_receive_takes_the_turn_from_the_attendant(
    pushed: bool,
) -> None:
    async with connected(pushed) as (ws, peer), ws:
        for number in range(20):
            await anyio.sleep(1)  # the attendant reads now
            async with anyio.create_task_group() as group:
                group.start_soon(_later, peer, f"{number}")
                assert await ws.recv() == f"{number}"
            peer.send("at once")
            assert await ws.recv() == "at once"


async def _later(peer: Peer, message: str) -> None:
    await anyio.sleep(0.5)
    peer.send(message)


async def test_a_receiver_gets_the_turn_when_the_attendant_is_called_away(
    pushed: bool,
) -> None:
    async with connected(pushed, timeouts=KEEPALIVE) as (ws, peer), ws:
        await anyio.sleep(19)
        async with anyio.create_task_group() as group:
            group.start_soon(_at, peer, anyio.current_time() + 1.01)
            assert await ws.recv() == "behind the ping"
        assert anyio.current_time() < 20.1


async def _at(peer: Peer, time: float) -> None:
    await anyio.sleep_until(time)
    peer.send("behind the ping")


async def test_a_cancelled_reader_hands_the_turn_on(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws, anyio.create_task_group() as group:
        group.start_soon(ws.wait_ended)  # waits for its turn behind recv
        with anyio.move_on_after(0.01):
            await ws.recv()
        await anyio.sleep(1)
        async with anyio.create_task_group() as receiving:
            scope = receiving.cancel_scope
            receiving.start_soon(ws.recv)
            await anyio.sleep(1)
            scope.cancel()
        peer.close(1000)
    with pytest.raises(ConnectionClosed):
        await ws.recv()


async def test_waiting_for_a_message_costs_the_attendant_nothing(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        looked = 0
        clock = ws._time

        def counting() -> float:
            nonlocal looked
            looked += 1
            return clock()

        async with anyio.create_task_group() as group:
            group.start_soon(ws.recv)
            await anyio.sleep(1)
            ws._time = counting
            await anyio.sleep(1000)
            assert looked == 0
            peer.send("done")


async def test_the_end_of_tcp_is_not_forgotten_while_the_application_is_busy(
    pushed: bool,
) -> None:
    async with connected(pushed, timeouts=KEEPALIVE) as (ws, peer), ws:
        await anyio.sleep(1)
        peer.polite = False
        start = anyio.current_time()
        peer.close(1000)
        await peer.until_ended()
        assert anyio.current_time() - start == pytest.approx(1, abs=LATE)


async def test_closing_beside_the_attendant_ends_without_close_timeout(
    pushed: bool,
) -> None:
    for_ever = Timeouts(ping_interval=None, close_timeout=None)
    async with connected(pushed, timeouts=for_ever) as (ws, peer), ws:
        await anyio.sleep(1)  # the attendant reads now
        peer.polite = False
        start = anyio.current_time()
        async with anyio.create_task_group() as group:
            group.start_soon(ws.close)
            await peer.until(lambda: peer.others)
            peer.reply(ending_tcp=False)
        assert anyio.current_time() - start == pytest.approx(1, abs=LATE)


async def test_leaving_while_the_attendant_awaits_the_end_of_tcp(pushed: bool) -> None:
    for_ever = Timeouts(ping_interval=None, close_timeout=None)
    async with connected(pushed, timeouts=for_ever) as (ws, peer):
        async with ws:
            await anyio.sleep(1)  # the attendant reads now
            peer.polite = False
            start = anyio.current_time()
            peer.close(1000)
            await anyio.sleep(0.5)
        assert anyio.current_time() - start == pytest.approx(1, abs=LATE)


async def test_a_flood_that_nobody_reads_starves_nobody(pushed: bool) -> None:
    async with connected(pushed, capacity=2**24) as (ws, peer), ws:
        received = 0

        def sink(messages: Any) -> None:
            nonlocal received
            received += len(messages)

        ws.deliver_to(sink)
        await anyio.sleep(1)
        peer.out.chunk = 65536
        peer.write(peer.endpoint.encode(b"x" * 1000) * 10_000)
        between = list[int]()
        while received < 10_000:
            before = received
            await checkpoint()
            between.append(received - before)
        assert max(between) < 5_000


async def test_a_deadline_that_comes_closer_wakes_the_attendant(pushed: bool) -> None:
    slow = Timeouts(ping_interval=None, slow_timeout=5)
    async with (
        connected(pushed, timeouts=slow) as (ws, _),
        ws,
        anyio.create_task_group() as group,
    ):
        group.start_soon(ws.wait_ended)
        await anyio.sleep(1)  # it has parked
        ws.pause()
        await anyio.sleep(5.1)
        assert ws.ended is not None
        assert ws.ended.reason is Reason.SLOW_CONSUMER


async def test_dice_that_raise_end_it_and_are_told(pushed: bool) -> None:
    throws: Iterator[float] = iter([1.0])

    def broken(low: float, high: float) -> float:
        return next(throws)

    async with connected(pushed, timeouts=KEEPALIVE, uniform=broken) as (ws, _), ws:
        with pytest.raises(ConnectionLost, match="failed within") as lost:
            await ws.recv()
        assert lost.value.reason is Reason.LOCAL
        assert isinstance(lost.value.__cause__, StopIteration | RuntimeError)


def test_the_helper_knows_both_clocks() -> None:
    """``block()`` reaches into virtual clocks; see that there is what it wants."""
    name, options = virtual_backend("asyncio")
    loop = options["loop_factory"]()
    try:
        assert name == "asyncio"
        assert loop._jumping.now == loop.time() == 0
    finally:
        loop.close()
