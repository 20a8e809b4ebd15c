"""Sending: whose turn it is, the point of no return, and what is told of a loss."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from threading import Thread
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from wsclient.connection import Connection, Timeouts
from wsclient.errors import (
    ArgumentError,
    ConcurrencyError,
    ConnectionClosed,
    ConnectionLost,
    MaybeSent,
    MessageTypeError,
    NotSent,
    Reason,
    WouldBlock,
)
from wsclient.protocol import CloseReceived, Deflate, Pong
from wsclient.wire import Wire

from .peer import Peer, connected

BIG = "x" * 100_000  # more than the simulated kernel takes at once


async def send_to(told: list[BaseException], ws: Connection, message: str) -> None:
    try:
        await ws.send(message)
    except (NotSent, MaybeSent) as exc:
        told.append(exc)


# -- one point of no return -------------------------------------------------------


async def test_cancelled_while_it_waits_for_room_nothing_is_sent(pushed: bool) -> None:
    async with connected(pushed, capacity=1000) as (ws, peer), ws:
        peer.into.stall()
        ws.send_nowait(BIG)
        with anyio.move_on_after(1) as scope:
            await ws.send("never")
        assert scope.cancelled_caught
        peer.into.heal()
        await ws.send("after")
        assert await peer.until_messages(2) == [BIG, "after"]


async def test_cancelled_in_the_queue_of_senders_nothing_is_sent(pushed: bool) -> None:
    async with connected(pushed, capacity=1000) as (ws, peer), ws:
        peer.into.stall()
        ws.send_nowait(BIG)
        async with anyio.create_task_group() as group:
            group.start_soon(ws.send, "first")
            await anyio.sleep(1)
            with anyio.move_on_after(1) as scope:
                await ws.send("never")
            assert scope.cancelled_caught
            group.start_soon(ws.send, "second")
            await anyio.sleep(1)
            peer.into.heal()
        assert await peer.until_messages(3) == [BIG, "first", "second"]


async def test_cancelled_while_it_leaves_the_whole_message_is_sent(
    pushed: bool,
) -> None:
    async with connected(pushed, capacity=1000) as (ws, peer), ws:
        peer.into.stall()
        with anyio.move_on_after(1) as scope:
            await ws.send(BIG)
        assert scope.cancelled_caught
        peer.into.heal()
        await ws.send("after")
        assert await peer.until_messages(2) == [BIG, "after"]


@pytest.mark.parametrize("size", [10, 100_000])
async def test_in_a_cancelled_scope_a_message_leaves_whole_or_not_at_all(
    pushed: bool, size: int
) -> None:
    async with connected(pushed, capacity=1000) as (ws, peer), ws:
        for number in range(40):
            with anyio.CancelScope() as scope:
                scope.cancel()
                await ws.send(f"{number}".ljust(size))
        await ws.send("after")
        await peer.until(lambda: "after" in peer.messages)
        numbers = [int(message) for message in peer.messages[:-1]]
        assert numbers == sorted(set(numbers))


async def test_send_returns_when_the_kernel_has_it(pushed: bool) -> None:
    async with connected(pushed, capacity=1000) as (ws, peer), ws:
        peer.wire.pause()
        with anyio.move_on_after(1000) as scope:
            await ws.send(BIG)
        assert scope.cancelled_caught
        peer.into.capacity = 200_000
        await ws.flush()
        assert ws._wire.buffered == 0
        assert peer.messages == []


# -- drops ------------------------------------------------------------------------


async def test_a_drop_tells_each_sender_what_may_have_been_sent(pushed: bool) -> None:
    told = list[BaseException]()
    async with connected(pushed, capacity=1000) as (ws, peer), ws:
        peer.into.stall()
        async with anyio.create_task_group() as group:
            for message in (BIG, "second", "third"):
                group.start_soon(send_to, told, ws, message)
                await anyio.sleep(1)
            peer.reset()
    unsent = {
        exc.message: type(exc) for exc in told if isinstance(exc, NotSent | MaybeSent)
    }
    assert unsent == {BIG: MaybeSent, "second": NotSent, "third": NotSent}
    for exc in told:
        assert isinstance(exc.__cause__, ConnectionLost)
        assert exc.__cause__.reason is Reason.RESET
        assert isinstance(exc, anyio.BrokenResourceError)


async def test_what_the_kernel_took_before_the_drop_is_not_maybe_sent(
    pushed: bool,
) -> None:
    async with connected(pushed) as (ws, peer), ws:
        await ws.send("taken")
        peer.reset()
        await ws.wait_ended()
        with pytest.raises(NotSent):
            await ws.send("too late")
        await ws.flush()


async def test_while_closing_nothing_new_is_sent(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        peer.polite = False
        await ws.send_eof()
        with pytest.raises(NotSent) as unsent:
            await ws.send("too late")
        assert "closing handshake has begun" in str(unsent.value.__cause__)
        with pytest.raises(NotSent):
            ws.send_nowait("too late")
        with pytest.raises(NotSent):
            await ws.send_eof()
        peer.reply()


async def test_closing_tells_those_who_wait_to_send(pushed: bool) -> None:
    told = list[BaseException]()
    async with connected(pushed, capacity=1000) as (ws, peer), ws:
        peer.into.stall()
        async with anyio.create_task_group() as group:
            for message in (BIG, "second", "third"):
                group.start_soon(send_to, told, ws, message)
                await anyio.sleep(1)
            with anyio.move_on_after(1):
                await ws.send_eof()
            await anyio.sleep(1)
            assert [type(exc) for exc in told] == [NotSent, NotSent]
            peer.into.heal()
        assert peer.messages == [BIG]
    assert isinstance(ws.ended, ConnectionClosed)


# -- turns ------------------------------------------------------------------------


async def test_tasks_send_in_the_order_in_which_they_asked(pushed: bool) -> None:
    async with connected(pushed, capacity=1000) as (ws, peer), ws:
        peer.into.stall()
        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(ws.send, f"{number}".ljust(5000))
                await checkpoint()
            await anyio.sleep(1)
            peer.into.heal()
        received = await peer.until_messages(20)
        assert [int(message) for message in received] == list(range(20))


async def test_nobody_is_overtaken_in_a_checkpoint(pushed: bool) -> None:
    """Fragments begin with one, and every 32nd call is one."""
    async with connected(pushed, capacity=2**20) as (ws, peer), ws:

        async def send(number: int) -> None:
            asked.append(number)
            text = f"{number}"
            await ws.send([text] if number % 5 == 0 else text)

        asked = list[int]()
        async with anyio.create_task_group() as group:
            for number in range(100):
                group.start_soon(send, number)
        received = await peer.until_messages(100)
        assert [int(message) for message in received] == asked


async def test_those_who_wait_do_not_fill_the_memory(pushed: bool) -> None:
    async with connected(pushed, capacity=1000) as (ws, peer), ws:
        peer.into.stall()
        async with anyio.create_task_group() as group:
            for _ in range(20):
                group.start_soon(ws.send, BIG)
            await anyio.sleep(1)
            peer.into.heal()
            most = 0
            while len(peer.messages) < 20:
                most = max(most, ws._wire.buffered)
                await checkpoint()
        assert most < 3 * len(BIG)


async def test_who_asked_first_is_done_first_however_many_follow(pushed: bool) -> None:
    done = list[int]()

    async def sender(number: int) -> None:
        await ws.send(BIG)
        done.append(number)

    async with connected(pushed, capacity=1000) as (ws, _), ws:
        async with anyio.create_task_group() as group:
            for number in range(10):
                group.start_soon(sender, number)
                await checkpoint()
        assert done == sorted(done)


async def test_what_is_no_message_does_not_keep_the_turn(pushed: bool) -> None:
    async with connected(pushed, capacity=1000) as (ws, peer), ws:
        peer.into.stall()
        ws.send_nowait(BIG)

        async def bad() -> None:
            with pytest.raises(ArgumentError):
                await ws.send("\ud800")

        async with anyio.create_task_group() as group:
            group.start_soon(bad)
            await anyio.sleep(1)
            group.start_soon(ws.send, "good")
            await anyio.sleep(1)
            peer.into.heal()
        assert await peer.until_messages(2) == [BIG, "good"]


async def test_s28_fifty_senders_never_interleave(pushed: bool) -> None:
    async def whole(number: int) -> None:
        for turn in range(4):
            await ws.send(f"{number}:{turn}:".ljust(700, "."))

    async def pieces(number: int, turn: int) -> AsyncIterator[str]:
        for piece in (f"{number}:", f"{turn}:", "." * 500, "." * 500):
            yield piece
            await anyio.sleep(0.001)

    async def fragmented(number: int) -> None:
        for turn in range(4):
            await ws.send(pieces(number, turn))

    async with connected(pushed, capacity=500, latency=0.001) as (ws, peer), ws:
        async with anyio.create_task_group() as group:
            for number in range(50):
                group.start_soon(fragmented if number % 5 == 0 else whole, number)
        received = await peer.until_messages(200)
        seen = dict[str, list[str]]()
        for message in received:
            assert isinstance(message, str)
            sender, turn, dots = message.split(":")
            assert not dots.strip(".")
            seen.setdefault(sender, []).append(turn)
        assert list(seen.values()) == [["0", "1", "2", "3"]] * 50


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "deflate"])
async def test_sends_cancelled_at_random_leave_whole_messages_in_order(
    pushed: bool, compressed: bool
) -> None:
    dice = random.Random(1)
    deflate = Deflate(threshold=0) if compressed else None
    async with (
        connected(pushed, capacity=700, latency=0.001, deflate=deflate) as (ws, peer),
        ws,
    ):
        asked = 0

        async def sender(start: int) -> None:
            nonlocal asked
            for number in range(start, start + 40):
                with anyio.move_on_after(dice.uniform(0, 0.02)):
                    await ws.send(f"{number:06}{dice.randbytes(800).hex()}")

        async with anyio.create_task_group() as group:
            for start in (0, 1000, 2000):
                group.start_soon(sender, start)
        await ws.send("after")
        await peer.until(lambda: "after" in peer.messages)
        numbers = [int(str(message)[:6]) for message in peer.messages[:-1]]
        assert len(numbers) > 20
        for start in (0, 1000, 2000):
            own = [n for n in numbers if start <= n < start + 1000]
            assert own == sorted(set(own))


# -- compression ------------------------------------------------------------------


async def send(ws: Connection, message: str, compress: bool | None) -> None:
    await ws.send(message, compress=compress)


async def send_many(ws: Connection, message: str, compress: bool | None) -> None:
    await ws.send_many([message], compress=compress)


async def send_nowait(ws: Connection, message: str, compress: bool | None) -> None:
    ws.send_nowait(message, compress=compress)


async def send_in_fragments(
    ws: Connection, message: str, compress: bool | None
) -> None:
    await ws.send([message[:500], message[500:]], compress=compress)


@pytest.mark.parametrize("how", [send, send_many, send_nowait, send_in_fragments])
@pytest.mark.parametrize(
    ("threshold", "compress", "smaller"),
    [
        (0, None, True),
        (0, True, True),
        (0, False, False),
        (2000, True, True),
        (2000, False, False),
    ],
)
async def test_each_call_may_say_whether_it_is_compressed(
    pushed: bool,
    how: Callable[[Connection, str, bool | None], Awaitable[None]],
    threshold: int,
    compress: bool | None,
    smaller: bool,
) -> None:
    deflate = Deflate(threshold=threshold)
    async with connected(pushed, deflate=deflate) as (ws, peer), ws:
        for number in range(1, 3):
            before = len(peer.into.sent)
            await how(ws, "x" * 1000, compress)
            assert await peer.until_messages(number) == ["x" * 1000] * number
            assert (len(peer.into.sent) - before < 200) is smaller


async def test_below_the_threshold_a_message_is_sent_as_it_is(pushed: bool) -> None:
    async with connected(pushed, deflate=Deflate(threshold=2000)) as (ws, peer), ws:
        for how in (send, send_many, send_nowait):
            before = len(peer.into.sent)
            await how(ws, "x" * 1000, None)
            assert len(peer.into.sent) - before > 1000


async def test_where_compression_was_not_agreed_on_asking_for_it_does_nothing(
    pushed: bool,
) -> None:
    async with connected(pushed) as (ws, peer), ws:
        for how in (send, send_many, send_nowait, send_in_fragments):
            await how(ws, "x" * 1000, True)
        assert await peer.until_messages(4) == ["x" * 1000] * 4


# -- without waiting --------------------------------------------------------------


async def test_send_nowait_goes_out_in_the_background(pushed: bool) -> None:
    async with connected(pushed, capacity=1000) as (ws, peer), ws:
        peer.into.stall()
        ws.send_nowait(b"x" * 50_000)
        ws.send_nowait("there is room")
        ws.send_nowait(b"y" * 50_000)
        with pytest.raises(WouldBlock, match="no room"):
            ws.send_nowait("no room")
        peer.into.heal()
        received = await peer.until_messages(3)
        assert [len(message) for message in received] == [50_000, 13, 50_000]


async def test_send_nowait_does_not_overtake(pushed: bool) -> None:
    async with connected(pushed, capacity=1000) as (ws, peer), ws:
        peer.into.stall()
        ws.send_nowait(BIG)
        async with anyio.create_task_group() as group:
            group.start_soon(ws.send, "waiting")
            await anyio.sleep(1)
            with pytest.raises(WouldBlock):
                ws.send_nowait("overtaking")
            peer.into.heal()


async def test_send_nowait_refuses_what_is_no_message(pushed: bool) -> None:
    async with connected(pushed) as (ws, _), ws:
        with pytest.raises(MessageTypeError):
            ws.send_nowait({"op": "order"})  # type: ignore[arg-type]


# -- fragments --------------------------------------------------------------------


async def test_iterables_are_sent_as_fragments_of_one_message(pushed: bool) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"one, "
        await anyio.sleep(1)
        yield b""
        yield b"two"

    async with connected(pushed) as (ws, peer), ws:
        await ws.send(["one, ", "two"])
        await ws.send(piece for piece in ("three, ", "four"))
        await ws.send(pieces())
        await ws.send([])
        await ws.send([b"alone"])
        assert await peer.until_messages(4) == [
            "one, two",
            "three, four",
            b"one, two",
            b"alone",
        ]


async def test_fragments_leave_as_they_come(pushed: bool) -> None:
    async def pieces() -> AsyncIterator[str]:
        for _ in range(3):
            sent.append(len(peer.into.received))
            yield "piece"
            await anyio.sleep(1)

    sent = list[int]()
    async with connected(pushed) as (ws, peer), ws:
        await ws.send(pieces())
    assert sent == sorted(set(sent))


async def test_control_frames_go_between_fragments_messages_wait(pushed: bool) -> None:
    async def pieces() -> AsyncIterator[str]:
        yield "one, "
        peer.ping(b"?")
        await anyio.sleep(1)
        assert peer.events[-1] == Pong(b"?")
        with pytest.raises(WouldBlock):
            ws.send_nowait("between")
        assert await ws.ping() < 1
        group.start_soon(ws.send, "behind")
        await anyio.sleep(1)
        yield "two"

    async with connected(pushed) as (ws, peer), ws:
        async with anyio.create_task_group() as group:
            await ws.send(pieces())
        assert await peer.until_messages(2) == ["one, two", "behind"]


async def test_fragments_that_raise_before_the_first_send_nothing(
    pushed: bool,
) -> None:
    def pieces() -> Iterator[str]:
        raise LookupError("no piece")
        yield ""

    async with connected(pushed) as (ws, peer), ws:
        with pytest.raises(LookupError, match="no piece"):
            await ws.send(pieces())
        await ws.send("still alive")
        assert await peer.until_messages(1) == ["still alive"]


async def test_fragments_that_raise_after_the_first_fail_the_connection(
    pushed: bool,
) -> None:
    error = LookupError("no more")

    async def pieces() -> AsyncIterator[str]:
        yield "one"
        raise error

    async with connected(pushed) as (ws, peer), ws:
        with pytest.raises(LookupError) as raised:
            await ws.send(pieces())
        assert raised.value is error
        assert error.__cause__ is None
        assert error.__context__ is None
        await peer.until_ended()
        assert peer.others == [CloseReceived(1011, "")]
        assert ws.ended is not None
        assert ws.ended.reason is Reason.LOCAL
        assert "broken off" in str(ws.ended)


async def test_fragments_cancelled_after_the_first_fail_the_connection(
    pushed: bool,
) -> None:
    async def pieces() -> AsyncIterator[str]:
        yield "one"
        await anyio.sleep_forever()

    async with connected(pushed) as (ws, peer), ws:
        with anyio.move_on_after(1) as scope:
            await ws.send(pieces())
        assert scope.cancelled_caught
        await peer.until_ended()
        assert peer.others == [CloseReceived(1011, "")]


async def test_fragments_cancelled_before_the_first_send_nothing(pushed: bool) -> None:
    async def pieces() -> AsyncIterator[str]:
        await anyio.sleep_forever()
        yield "one"

    async with connected(pushed) as (ws, peer), ws:
        with anyio.move_on_after(1):
            await ws.send(pieces())
        await ws.send("still alive")
        assert await peer.until_messages(1) == ["still alive"]


@pytest.mark.parametrize(
    "fragments", [["one", b"two"], ["one", 2], [b"one", "two"], ["one", "\ud800"]]
)
async def test_what_is_no_fragment_after_the_first_fails_the_connection(
    pushed: bool, fragments: list[str]
) -> None:
    async with connected(pushed) as (ws, peer), ws:
        with pytest.raises((MessageTypeError, ArgumentError)):
            await ws.send(fragments)
        await peer.until_ended()
        assert peer.others == [CloseReceived(1011, "")]


@pytest.mark.parametrize("message", [{"op": "order"}, 5, None, [1, 2], 1.5])
async def test_what_is_no_message_is_refused_at_the_call(
    pushed: bool, message: object
) -> None:
    async with connected(pushed) as (ws, peer), ws:
        with pytest.raises(MessageTypeError):
            await ws.send(message)  # type: ignore[arg-type]
        await ws.send("still alive")
        assert await peer.until_messages(1) == ["still alive"]


async def test_a_dict_is_refused_with_the_remedy(pushed: bool) -> None:
    async with connected(pushed) as (ws, _), ws:
        with pytest.raises(MessageTypeError, match=r"json\.dumps"):
            await ws.send({"op": "order"})


async def test_a_drop_between_fragments_is_told_with_the_message(pushed: bool) -> None:
    async def pieces() -> AsyncIterator[str]:
        yield "one"
        peer.reset()
        await anyio.sleep(1)
        yield "two"

    async with connected(pushed) as (ws, peer), ws:
        message = pieces()
        with pytest.raises(MaybeSent) as maybe:
            await ws.send(message)
        assert maybe.value.message is message
        assert isinstance(maybe.value.__cause__, ConnectionLost)


async def test_a_drop_before_the_first_fragment_is_not_sent(pushed: bool) -> None:
    async def pieces() -> AsyncIterator[str]:
        peer.reset()
        await anyio.sleep(1)
        yield "one"

    async with connected(pushed) as (ws, peer), ws:
        with pytest.raises(NotSent):
            await ws.send(pieces())


async def test_a_generator_that_is_broken_off_is_closed(pushed: bool) -> None:
    closed = False

    async def pieces() -> AsyncIterator[str]:
        nonlocal closed
        try:
            yield "one"
            peer.reset()
            await anyio.sleep(1)
            yield "two"
        finally:
            closed = True

    async with connected(pushed) as (ws, peer), ws:
        with pytest.raises(MaybeSent):
            await ws.send(pieces())
        assert closed


async def test_a_stream_that_is_broken_off_stays_its_owners(pushed: bool) -> None:
    give, take = anyio.create_memory_object_stream[str](3)
    async with connected(pushed) as (ws, peer), ws, give, take:
        for piece in ("one", "two", "three"):
            give.send_nowait(piece)
        peer.reset()
        await ws.wait_ended()
        with pytest.raises(NotSent):
            await ws.send(take)
        assert take.receive_nowait() == "one"


async def test_a_drop_while_a_fragment_leaves_may_have_sent_it(pushed: bool) -> None:
    async with connected(pushed, capacity=1000) as (ws, peer), ws:
        peer.into.stall()
        async with anyio.create_task_group() as group:
            group.start_soon(_reset_later, peer)
            with pytest.raises(MaybeSent):
                await ws.send([BIG])


async def _reset_later(peer: Peer) -> None:
    await anyio.sleep(1)
    peer.reset()


async def test_who_waits_behind_fragments_learns_of_the_end(pushed: bool) -> None:
    async def pieces() -> AsyncIterator[str]:
        yield "one"
        await anyio.sleep(1000)

    async with connected(pushed) as (ws, peer), ws:
        async with anyio.create_task_group() as group:
            told = list[BaseException]()
            group.start_soon(send_fragments, told, ws, pieces())
            await anyio.sleep(1)
            group.start_soon(send_to, told, ws, "behind")
            await anyio.sleep(1)
            start = anyio.current_time()
            peer.reset()
            await anyio.sleep(1)
            assert [type(exc) for exc in told] == [NotSent]
            assert anyio.current_time() == start + 1
        assert [type(exc) for exc in told] == [NotSent, MaybeSent]


async def send_fragments(
    told: list[BaseException], ws: Connection, message: AsyncIterator[str]
) -> None:
    try:
        await ws.send(message)
    except (NotSent, MaybeSent) as exc:
        told.append(exc)


async def test_closing_amid_fragments_is_still_a_closing_handshake(
    pushed: bool,
) -> None:
    async def pieces() -> AsyncIterator[str]:
        yield "one"
        await anyio.sleep(2)
        yield "two"

    patient = Timeouts(ping_interval=None, close_timeout=30)
    async with connected(pushed, latency=5, timeouts=patient) as (ws, peer):
        async with ws, anyio.create_task_group() as group:
            told = list[BaseException]()
            group.start_soon(send_fragments, told, ws, pieces())
            await anyio.sleep(1)
            group.start_soon(ws.close, 1000)
            await anyio.sleep(2)
            assert [type(exc) for exc in told] == [MaybeSent]
            assert peer.others == []
            peer.out.latency = 0
            await anyio.sleep(4)
            assert peer.others == [CloseReceived(1000, "")]
        assert isinstance(ws.ended, ConnectionClosed)


async def test_fragments_without_end_can_be_cancelled_and_starve_nobody(
    pushed: bool,
) -> None:
    def endless() -> Iterator[str]:
        while True:
            yield "piece"

    ran = 0

    async def sibling() -> None:
        nonlocal ran
        while ran < 50:
            ran += 1
            await checkpoint()
        group.cancel_scope.cancel()

    async with connected(pushed, capacity=2**24) as (ws, _), ws:
        async with anyio.create_task_group() as group:
            group.start_soon(sibling)
            await ws.send(endless())
        assert ran == 50


# -- drivers ----------------------------------------------------------------------


async def test_flushing_waits_for_the_kernel_or_the_end(pushed: bool) -> None:
    async with connected(pushed, capacity=1000) as (ws, peer), ws:
        await ws.flush()
        peer.into.stall()
        assert not ws.commit(BIG)
        with anyio.move_on_after(1) as scope:
            await ws.flush()
        assert scope.cancelled_caught
        async with anyio.create_task_group() as group:
            group.start_soon(_reset_later, peer)
            with pytest.raises(ConnectionLost):
                await ws.flush()


async def test_a_cancelled_waiter_for_room_leaves_the_turn_to_the_next(
    pushed: bool,
) -> None:
    async with connected(pushed, capacity=1000) as (ws, peer), ws:
        peer.into.stall()
        ws.send_nowait(BIG)
        async with anyio.create_task_group() as group:
            async with anyio.create_task_group() as first:
                first.start_soon(ws.wait_ready)
                await anyio.sleep(1)
                group.start_soon(ws.send, "next")
                await anyio.sleep(1)
                first.cancel_scope.cancel()
            peer.into.heal()
        assert await peer.until_messages(2) == [BIG, "next"]


# -- threads ----------------------------------------------------------------------


def elsewhere(call: Callable[[], object]) -> BaseException | None:
    """Call in another thread; return what was raised."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            result = call()
            if isinstance(result, Awaitable):
                result.__await__().__next__()
        except BaseException as exc:
            raised.append(exc)

    thread = Thread(target=run)
    thread.start()
    thread.join()
    return raised[0] if raised else None


async def test_another_thread_is_refused_with_the_remedy(pushed: bool) -> None:
    async with connected(pushed, capacity=1000) as (ws, peer), ws:
        peer.send("message")
        await anyio.sleep(1)
        calls: list[Callable[[], object]] = [
            lambda: ws.send("text"),
            lambda: ws.send(["frag", "ments"]),
            lambda: ws.send_nowait("text"),
            lambda: ws.commit("text"),
            ws.recv,
            ws.__anext__,
            ws.ping,
            ws.close,
        ]
        for call in calls * 20:
            error = elsewhere(call)
            assert isinstance(error, ConcurrencyError)
            assert "anyio.from_thread" in str(error)
        peer.into.stall()
        ws.send_nowait(BIG)
        for call in calls[:1]:
            assert isinstance(elsewhere(call), ConcurrencyError)
        assert await ws.recv() == "message"
        assert peer.messages == []


async def test_quick_sends_are_checkpoints_now_and_then(pushed: bool) -> None:
    timeouts = Timeouts(ping_interval=None)
    async with connected(pushed, timeouts=timeouts, capacity=2**20) as (ws, _), ws:
        with anyio.move_on_after(0) as scope:
            for _ in range(32):
                await ws.send("quick")
        assert scope.cancelled_caught


# -- many at a time ---------------------------------------------------------------


class Counting:
    """A wire whose writes are counted."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.writes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wire, name)

    def write(self, data: bytes) -> bool:
        self.writes += 1
        return self._wire.write(data)


async def test_send_many_sends_each_as_its_own_message(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        await ws.send_many(["one", b"two", bytearray(b"three"), memoryview(b"four")])
        await ws.send_many(f"{number}" for number in range(3))
        await ws.send_many([])
        expected = ["one", b"two", b"three", b"four", "0", "1", "2"]
        assert await peer.until_messages(7) == expected


@pytest.mark.parametrize("deflate", [None, Deflate(threshold=0)])
async def test_send_many_takes_one_write_for_as_many_as_there_is_room_for(
    pushed: bool, deflate: Deflate | None
) -> None:
    async with connected(pushed, deflate=deflate) as (ws, peer), ws:
        ws._wire = wire = Counting(ws._wire)
        messages = [f"{number}".ljust(1000) for number in range(200)]
        await ws.send_many(messages)
        assert await peer.until_messages(200) == messages
        assert wire.writes == 4  # of 64 KiB before compression


async def test_of_many_that_are_no_messages_none_is_sent(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        for bad, error in [
            ("\ud800", ArgumentError),
            (3, MessageTypeError),
            ({}, MessageTypeError),
        ]:
            with pytest.raises(error):
                await ws.send_many(["good"] * 100_000 + [bad])  # type: ignore[list-item]
        for one in "text", b"bytes", {"a": 1}:
            with pytest.raises(MessageTypeError, match="is one message"):
                await ws.send_many(one)  # type: ignore[arg-type]
        await ws.send("after")
        assert await peer.until_messages(1) == ["after"]


async def test_what_of_many_was_not_sent_is_in_the_error(pushed: bool) -> None:
    async with connected(pushed, capacity=110_000) as (ws, peer), ws:
        peer.wire.pause()
        messages = [f"{number}".ljust(50_000) for number in range(9)]

        async def send() -> None:
            with pytest.raises(MaybeSent) as caught:
                await ws.send_many(messages)
            assert caught.value.message == messages[2:]

        async with anyio.create_task_group() as group:
            group.start_soon(send)
            await anyio.sleep(1)
            peer.out.reset()
        with pytest.raises(NotSent) as refused:
            await ws.send_many(messages)
        assert refused.value.message == messages


async def test_others_may_send_between_many(pushed: bool) -> None:
    async with connected(pushed, capacity=1000) as (ws, peer), ws:
        peer.into.stall()
        many = [f"{number}".ljust(40_000) for number in range(4)]
        async with anyio.create_task_group() as group:
            group.start_soon(ws.send_many, many)
            await anyio.sleep(1)
            group.start_soon(ws.send, "between")
            await anyio.sleep(1)
            peer.into.heal()
        assert await peer.until_messages(5) == [*many[:2], "between", *many[2:]]


async def test_many_that_are_cancelled_leave_whole_or_not_at_all(pushed: bool) -> None:
    async with connected(pushed, capacity=1000) as (ws, peer), ws:
        peer.into.stall()
        many = [f"{number}".ljust(40_000) for number in range(4)]
        with anyio.move_on_after(1) as scope:
            await ws.send_many(many)
        assert scope.cancelled_caught
        peer.into.heal()
        await ws.send("after")
        assert await peer.until_messages(3) == [*many[:2], "after"]
