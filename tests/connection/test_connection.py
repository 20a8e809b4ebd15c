"""What users call: pinging, closing, and leaving the context."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import anyio
import pytest
from anyio.abc import ObjectStream
from anyio.lowlevel import checkpoint

from wsclient.connection import Connection, Timeouts
from wsclient.errors import (
    ArgumentError,
    Close,
    ConnectionClosed,
    ConnectionLost,
    NotSent,
    Reason,
)
from wsclient.protocol import CloseReceived, Limits, Ping, Role, State

from .peer import Peer, connected

# -- checkpoints ------------------------------------------------------------------

Call = Callable[[Connection], Awaitable[object]]


async def _receive(ws: Connection) -> None:
    await ws.recv()


async def _receive_or_time_out(ws: Connection) -> None:
    await ws.recv(timeout=10)


async def _iterate(ws: Connection) -> None:
    await ws.__anext__()


async def _send(ws: Connection) -> None:
    await ws.send("x" * 20)


CALLS: dict[str, tuple[Call, ...]] = {
    "recv": (_receive,),
    "recv timeout": (_receive_or_time_out,),
    "iterate": (_iterate,),
    "send": (_send,),
    "recv and send": (_receive, _send),
    "iterate and send": (_iterate, _send),
    "all": (_receive, _iterate, _send, _send, _receive_or_time_out),
}


@pytest.mark.parametrize("chunk", [None, 204], ids=["many", "one"])
@pytest.mark.parametrize("calls", CALLS)
async def test_at_least_every_32nd_call_lets_others_run(
    backend: str, pushed: bool, calls: str, chunk: int | None
) -> None:
    count = 500
    limits = Limits(max_queue=10_000)
    async with connected(pushed, capacity=2**24, limits=limits) as (ws, peer), ws:
        peer.out.chunk = chunk
        made = 0
        ran_at = list[int]()

        async def sibling() -> None:
            while made < count:
                ran_at.append(made)
                await checkpoint()

        async with anyio.create_task_group() as group:
            group.start_soon(sibling)
            await checkpoint()
            peer.write(peer.endpoint.encode("x" * 200) * count)
            while made < count:
                for call in CALLS[calls]:
                    await call(ws)
                    made += 1
        gaps = [b - a for a, b in pairwise(ran_at)]
        # trio shuffles: who runs first now may run last the next time.
        assert max(gaps) <= (32 if backend == "asyncio" else 64)


# -- pings ------------------------------------------------------------------------


async def test_ping_returns_the_latency(pushed: bool) -> None:
    async with connected(pushed, latency=0.125) as (ws, peer), ws:
        assert ws.latency is None
        assert await ws.ping() == pytest.approx(0.25)
        assert ws.latency == pytest.approx(0.25)
        assert len(peer.others) == 1


async def test_ping_beside_recv(pushed: bool) -> None:
    async with (
        connected(pushed, latency=0.1) as (ws, peer),
        ws,
        anyio.create_task_group() as group,
    ):
        group.start_soon(ws.recv)
        await checkpoint()
        group.start_soon(ws.ping)
        assert await ws.ping() == pytest.approx(0.2)
        peer.send("done")


async def test_a_cancelled_ping_changes_nothing(pushed: bool) -> None:
    async with connected(pushed, latency=1) as (ws, _), ws:
        with anyio.move_on_after(1):
            await ws.ping()
        assert await ws.ping() == pytest.approx(2)


async def test_a_ping_whose_pong_comes_with_the_end_is_answered(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        peer.polite = False
        async with anyio.create_task_group() as group:
            group.start_soon(_pong_and_close, peer)
            assert await ws.ping() == pytest.approx(1)


async def _pong_and_close(peer: Peer) -> None:
    await anyio.sleep(1)
    [ping] = peer.others
    assert isinstance(ping, Ping)
    peer.write(peer.endpoint.pong(ping.payload) + peer.endpoint.close(1000))


async def test_a_ping_without_a_pong_tells_the_end(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        peer.polite = False
        async with anyio.create_task_group() as group:
            group.start_soon(_hang_up_later, peer)
            with pytest.raises(ConnectionLost):
                await ws.ping()


async def _hang_up_later(peer: Peer) -> None:
    await anyio.sleep(1)
    peer.hang_up()


async def test_ping_nowait_asks_for_a_sign_of_life(pushed: bool) -> None:
    async with connected(pushed, latency=0.5) as (ws, _), ws:
        before = ws.heard_at
        ws.ping_nowait()
        await anyio.sleep(2)
        assert ws.heard_at > before
        assert ws.latency == pytest.approx(1, abs=0.05)


# -- closing ----------------------------------------------------------------------


async def test_close_says_code_and_reason(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        await ws.close(4001, "enough")
        assert peer.others == [CloseReceived(4001, "enough")]
        assert ws.state is State.CLOSED
        assert ws.ended is not None
        assert ws.ended.sent == Close(4001, "enough")


async def test_aclose_is_close(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        await ws.aclose()
        assert peer.others == [CloseReceived(1000, "")]


@pytest.mark.parametrize(("code", "reason"), [(1005, ""), (999, ""), (1000, "x" * 124)])
async def test_a_close_that_may_not_be_said_is_refused(
    pushed: bool, code: int, reason: str
) -> None:
    async with connected(pushed) as (ws, peer), ws:
        with pytest.raises(ArgumentError):
            await ws.close(code, reason)
        await ws.send("still open")
        peer.send("really")
        assert await ws.recv() == "really"


async def test_closing_again_and_at_once_says_it_once(pushed: bool) -> None:
    async with connected(pushed, latency=0.5) as (ws, peer), ws:
        async with anyio.create_task_group() as group:
            for code in (1000, 1001, 1002):
                group.start_soon(ws.close, code)
                await checkpoint()
        assert peer.others == [CloseReceived(1000, "")]
        await ws.close()


async def test_what_was_received_before_closing_stays_to_be_received(
    pushed: bool,
) -> None:
    async with connected(pushed) as (ws, peer), ws:
        peer.send("one", "two")
        await anyio.sleep(1)
        await ws.close()
        assert await ws.recv() == "one"
        assert [message async for message in ws] == ["two"]


async def test_a_receiver_learns_that_another_task_closed(pushed: bool) -> None:
    async with connected(pushed) as (ws, _), ws, anyio.create_task_group() as group:
        group.start_soon(ws.close)
        with pytest.raises(ConnectionClosed, match="this side closed"):
            await ws.recv()


@pytest.mark.parametrize("close_timeout", [0, 0.5, 5, None])
async def test_close_takes_close_timeout_at_most(
    pushed: bool, close_timeout: float | None
) -> None:
    timeouts = Timeouts(ping_interval=None, close_timeout=close_timeout)
    async with connected(pushed, timeouts=timeouts) as (ws, peer), ws:
        peer.polite = False
        start = anyio.current_time()
        with anyio.move_on_after(100) as scope:
            await ws.close()
        assert scope.cancelled_caught is (close_timeout is None)
        took = anyio.current_time() - start
        assert took == (100 if close_timeout is None else close_timeout)
        assert isinstance(ws.ended, ConnectionLost)
        assert ws.ended.sent == Close(1000)


async def test_cancelling_close_ends_it_at_once(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        peer.polite = False
        with anyio.move_on_after(1):
            await ws.close()
        assert isinstance(ws.ended, ConnectionLost)
        await peer.until_ended()
        assert peer.others == [CloseReceived(1000, "")]


async def test_send_eof_goes_on_receiving(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        peer.polite = False
        late = [peer.endpoint.encode(f"{number}") for number in range(3)]
        await ws.send_eof()
        for frame in late:
            await anyio.sleep(10)
            peer.write(frame)
        peer.reply()
        assert [message async for message in ws] == ["0", "1", "2"]
        with pytest.raises(NotSent):
            await ws.send("too late")


async def test_after_send_eof_close_does_not_wait_for_the_rest(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        peer.polite = False
        await ws.send_eof()
        await ws.close()
        assert peer.others == [CloseReceived(1000, "")]
        assert isinstance(ws.ended, ConnectionLost)


# -- leaving the context ----------------------------------------------------------


async def test_leaving_says_1000(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        pass
    assert peer.others == [CloseReceived(1000, "")]


class Mine(Exception):
    """The user's own."""


async def test_leaving_by_an_exception_says_1001_and_leaves_it_untouched(
    pushed: bool,
) -> None:
    error = Mine("of my own")
    async with connected(pushed) as (ws, peer):
        with pytest.raises(Mine) as raised:
            await _leave_with(ws, error)
        assert raised.value is error
        assert error.__cause__ is None
        assert isinstance(error.__context__, KeyError)
        assert error.__context__.__context__ is None
        assert not error.__suppress_context__
    assert peer.others == [CloseReceived(1001, "")]


async def _leave_with(ws: Connection, error: BaseException) -> None:
    async with ws:
        try:
            raise KeyError("what went before")
        except KeyError:
            raise error  # noqa: B904 - its context is the point


async def test_leaving_by_a_native_group_is_not_unwrapped(pushed: bool) -> None:
    group = ExceptionGroup("of the user's", [Mine(), Mine()])
    async with connected(pushed) as (ws, _):
        with pytest.raises(ExceptionGroup) as raised:
            await _leave_with(ws, group)
        assert raised.value is group


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(), GeneratorExit()])
async def test_leaving_by_what_is_no_exception_ends_it_at_once(
    pushed: bool, error: BaseException
) -> None:
    async with connected(pushed) as (ws, peer):
        start = anyio.current_time()
        peer.polite = False
        caught: BaseException | None = None
        try:
            await _leave_with(ws, error)
        except BaseException as exc:
            caught = exc
        assert caught is error
        assert anyio.current_time() == start
        await peer.until_ended()
        assert peer.others == [CloseReceived(1001, "")]


async def test_s23_an_outer_deadline_wins_at_once(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer):
        peer.polite = False
        start = anyio.current_time()
        with anyio.move_on_after(0.5) as scope:
            async with ws:
                await ws.recv()
        assert scope.cancelled_caught
        assert anyio.current_time() == start + 0.5
        await peer.until_ended()
        assert peer.others == [CloseReceived(1001, "")]


async def test_s23_an_outer_deadline_wins_while_closing(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer):
        peer.polite = False
        start = anyio.current_time()
        with anyio.move_on_after(0.5) as scope:
            async with ws:
                pass
        assert scope.cancelled_caught
        assert anyio.current_time() == start + 0.5
        await peer.until_ended()
        assert peer.others == [CloseReceived(1000, "")]


async def test_cancelled_within_a_frame_nothing_more_is_said(pushed: bool) -> None:
    async with connected(pushed, capacity=1000) as (ws, peer):
        peer.into.stall()
        start = anyio.current_time()
        with anyio.move_on_after(0.5):
            async with ws:
                await ws.send("x" * 10_000)
        assert anyio.current_time() == start + 0.5
        peer.into.heal()
        await peer.until_ended()
        assert peer.events[1:] == []


async def test_s22_a_peer_that_goes_on_sending_is_left_at_close_timeout(
    pushed: bool,
) -> None:
    timeouts = Timeouts(ping_interval=None, close_timeout=2)
    async with connected(pushed, timeouts=timeouts) as (ws, peer):
        peer.polite = False
        frame = peer.endpoint.encode("x" * 1000)
        flooding = True

        async def flood() -> None:
            while flooding:
                peer.write(frame * 50)
                await peer.wire.flush()
                await anyio.sleep(0.01)

        async with anyio.create_task_group() as group:
            group.start_soon(flood)
            async with ws:
                await ws.recv()
                start = anyio.current_time()
            assert anyio.current_time() - start == pytest.approx(2, abs=0.01)
            flooding = False


async def test_s24_unread_messages_do_not_hold_up_who_leaves(pushed: bool) -> None:
    limits = Limits(max_queue=10)
    async with connected(pushed, limits=limits) as (ws, peer):
        async with ws:
            peer.send(*(f"{number:0100}" for number in range(1000)))
            await anyio.sleep(1)
            start = anyio.current_time()
        assert anyio.current_time() == start
        assert peer.others == [CloseReceived(1000, "")]
        assert isinstance(ws.ended, ConnectionClosed)


async def test_leaving_after_the_end_waits_for_nothing(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer):
        async with ws:
            peer.reset()
            await ws.wait_ended()
            start = anyio.current_time()
        assert anyio.current_time() == start


@asynccontextmanager
async def flat() -> AsyncIterator[None]:
    """See that no task is left behind."""

    def tasks() -> int:
        try:
            return len(asyncio.all_tasks())
        except RuntimeError:
            import trio

            return trio.lowlevel.current_statistics().tasks_living

    before = tasks()
    yield
    for _ in range(5):
        await checkpoint()
    assert tasks() == before


@pytest.mark.parametrize("how", ["leave", "raise", "cancel", "drop", "dead"])
async def test_no_task_is_left_however_it_ends(pushed: bool, how: str) -> None:
    async with flat():
        async with connected(pushed) as (ws, peer):
            with anyio.CancelScope() as scope:
                try:
                    async with ws:
                        await ws.send("text")
                        match how:
                            case "raise":
                                raise Mine
                            case "cancel":
                                scope.cancel()
                            case "drop":
                                peer.reset()
                            case "dead":
                                ws.end(Reason.LIVENESS)
                        await checkpoint()
                except Mine:
                    pass
        gc.collect()


ON_ASYNCIO = pytest.mark.parametrize("kind", ["asyncio-pushed", "asyncio-pulled"])


@ON_ASYNCIO
@pytest.mark.parametrize("where", ["recv", "send", "closing", "between"])
async def test_a_native_cancellation_of_asyncio_wins_at_once(
    pushed: bool, where: str
) -> None:
    async with connected(pushed, capacity=1000) as (ws, peer):
        peer.polite = False
        if where == "send":
            peer.into.stall()

        async def use() -> None:
            async with ws:
                match where:
                    case "recv":
                        await ws.recv()
                    case "send":
                        await ws.send("x" * 10_000)
                    case "between":
                        await asyncio.sleep(100)

        task = asyncio.ensure_future(use())
        await anyio.sleep(0.5)
        start = anyio.current_time()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert anyio.current_time() == start
        assert task.cancelled()
        peer.into.heal()
        await peer.until_ended()
        code = 1000 if where == "closing" else 1001
        assert peer.others == ([] if where == "send" else [CloseReceived(code, "")])


@ON_ASYNCIO
async def test_asyncios_own_timeout_works_around_calls(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await ws.recv()
        peer.send("not lost")
        assert await asyncio.wait_for(ws.recv(), 1) == "not lost"


# -- what is known ----------------------------------------------------------------


async def test_a_connection_knows_both_ends_and_the_handshake(pushed: bool) -> None:
    async with connected(pushed) as (ws, _), ws:
        assert isinstance(ws, ObjectStream)
        assert ws.local_address == ("192.0.2.1", 40_000)
        assert ws.remote_address == ("192.0.2.2", 443)
        assert ws.request is not None
        assert ws.request.target == "/"
        assert ws.response is not None
        assert dict(ws.response_headers)["upgrade"] == "websocket"
        assert ws.subprotocol is None
        assert ws.state is State.OPEN
        assert repr(ws) == "<Connection test OPEN>"
    assert repr(ws) == "<Connection test CLOSED>"


async def test_a_server_knows_the_request(pushed: bool) -> None:
    async with connected(pushed, role=Role.SERVER) as (ws, _), ws:
        assert ws.request is not None
        assert dict(ws.request.headers)["host"] == "example.com"


async def test_it_is_an_object_stream(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        stream: ObjectStream[str | bytes] = ws
        peer.send("in")
        assert await stream.receive() == "in"
        await stream.send("out")
        await stream.send_eof()
        with pytest.raises(anyio.EndOfStream):
            await stream.receive()
        await stream.aclose()
        assert peer.messages == ["out"]
