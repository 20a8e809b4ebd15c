"""One message in parts: as it arrives, never held, its rest dropped or kept."""

from __future__ import annotations

import tracemalloc
from typing import Any

import anyio
import pytest
from anyio.abc import ObjectReceiveStream
from anyio.lowlevel import checkpoint

from wsclient.connection import Connection, Timeouts
from wsclient.errors import (
    ArgumentError,
    ConcurrencyError,
    ConnectionClosed,
    ConnectionLost,
    Reason,
    ReceiveTimeout,
)
from wsclient.protocol import Deflate, Pong, Role

from .peer import Peer, connected

PIECE = 65536
MEGABYTE = 2**20


async def read(ws: Connection) -> list[str | bytes]:
    async with ws.recv_streaming() as parts:
        return [part async for part in parts]


async def collect(
    parts: ObjectReceiveStream[str | bytes], heard: list[str | bytes]
) -> None:
    async for part in parts:
        heard.append(part)  # noqa: PERF401 - what came before it raises counts


# -- what is told -----------------------------------------------------------------


async def test_a_message_is_given_as_it_arrives_inside_one_frame_too(
    pushed: bool,
) -> None:
    async with connected(pushed) as (ws, peer), ws:
        data = peer.endpoint.encode(bytes(range(30)))
        peer.write(data[:12])
        async with ws.recv_streaming() as parts:
            assert not parts.is_text
            assert await parts.receive() == bytes(range(10))
            peer.write(data[12:22])
            assert await parts.receive() == bytes(range(10, 20))
            peer.write(data[22:])
            assert await parts.receive() == bytes(range(20, 30))
            for _ in range(2):
                with pytest.raises(anyio.EndOfStream):
                    await parts.receive()
        peer.send("next")
        assert await ws.recv() == "next"


async def test_text_is_cut_between_characters(pushed: bool) -> None:
    text = "aé€😀" * 3
    async with connected(pushed) as (ws, peer), ws:
        data = peer.endpoint.encode(text)
        heard: list[str | bytes] = []
        peer.write(data[:3])
        async with ws.recv_streaming() as parts, anyio.create_task_group() as group:

            async def drip() -> None:
                for at in range(3, len(data)):
                    await anyio.sleep(1)
                    peer.write(data[at : at + 1])

            group.start_soon(drip)
            assert parts.is_text
            heard += [part async for part in parts]
        assert heard == list(text)


@pytest.mark.parametrize("message", ["", b"", "short", b"short"])
async def test_a_message_that_waits_already_is_one_part(
    pushed: bool, message: str | bytes
) -> None:
    async with connected(pushed) as (ws, peer), ws:
        peer.send("first", message, "last")
        assert await ws.recv() == "first"
        async with ws.recv_streaming() as parts:
            assert parts.is_text is isinstance(message, str)
            assert [part async for part in parts] == [message][: len(message)]
        assert await ws.recv() == "last"


async def test_what_has_arrived_of_a_message_comes_first(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        data = peer.endpoint.encode("one") + peer.endpoint.encode("second")
        peer.write(data[:9])
        assert await ws.recv() == "one"
        async with ws.recv_streaming() as parts:
            assert await parts.receive() == "se"
            peer.write(data[9:])
            assert await parts.receive() == "cond"


async def test_fragments_of_any_number_are_given(pushed: bool) -> None:
    """More than ``max_fragments``: nothing is kept of them."""
    async with connected(pushed) as (ws, peer), ws:
        for _ in range(5000):
            peer.write(peer.endpoint.encode_fragment(b"x", fin=False))
        peer.write(peer.endpoint.encode_fragment(b"", fin=True))
        assert b"".join(await read(ws)) == b"x" * 5000  # type: ignore[arg-type]


async def test_pings_are_answered_between_parts(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        peer.write(peer.endpoint.encode_fragment("one", fin=False))
        peer.ping(b"?")
        peer.write(peer.endpoint.encode_fragment("two", fin=True))
        assert "".join(await read(ws)) == "onetwo"  # type: ignore[arg-type]
        await peer.until(lambda: Pong(b"?") in peer.events)


async def test_messages_are_sent_while_one_is_received(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        peer.write(peer.endpoint.encode_fragment("one", fin=False))
        async with ws.recv_streaming() as parts:
            await parts.receive()
            await ws.send("meanwhile")
            await peer.until(lambda: peer.messages == ["meanwhile"])


# -- nothing is held --------------------------------------------------------------


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("deflate", [None, Deflate()], ids=["plain", "deflate"])
async def test_memory_does_not_grow_with_the_message(
    pushed: bool, role: Role, deflate: Deflate | None
) -> None:
    size = 24 * MEGABYTE
    async with connected(pushed, role=role, deflate=deflate) as (ws, peer), ws:
        total = 0
        tracemalloc.start()
        try:

            async def send() -> None:
                for _ in range(size // MEGABYTE):
                    data = peer.endpoint.encode_fragment(bytes(MEGABYTE), fin=False)
                    peer.write(data)
                    await peer.wire.flush()
                peer.write(peer.endpoint.encode_fragment(b"", fin=True))

            async with anyio.create_task_group() as group:
                group.start_soon(send)
                async with ws.recv_streaming() as parts:
                    async for part in parts:
                        total += len(part)
                        assert len(part) <= PIECE
                        # The network's records of what was sent are the test's own.
                        peer.out.sent.clear()
                        peer.out.received.clear()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert total == size
        assert peak < 5 * MEGABYTE  # the sender holds one fragment, twice


async def test_a_bomb_is_inflated_as_it_is_taken(pushed: bool) -> None:
    async with connected(pushed, deflate=Deflate()) as (ws, peer), ws:
        peer.send(bytes(40 * MEGABYTE))  # some 40 KiB
        peer.send("next")
        tracemalloc.start()
        try:
            async with ws.recv_streaming() as parts:
                sizes = [len(part) async for part in parts]
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert sizes == [PIECE] * 640
        assert peak < 2 * MEGABYTE
        assert await ws.recv() == "next"


async def test_who_is_slow_slows_the_peer_down(pushed: bool) -> None:
    timeouts = Timeouts(ping_interval=None, slow_timeout=60)
    async with connected(pushed, timeouts=timeouts) as (ws, peer), ws:
        data = peer.endpoint.encode(bytes(10 * MEGABYTE))
        peer.write(data)
        async with ws.recv_streaming() as parts:
            await anyio.sleep(59)
            assert len(peer.out.received) < 4 * PIECE
            size = 0
            while size < MEGABYTE:
                size += len(await parts.receive())
            await anyio.sleep(61)
            with pytest.raises(ConnectionLost) as lost:
                await collect(parts, [])
        assert lost.value.reason is Reason.SLOW_CONSUMER


# -- what is too large to be held --


LARGE = 40


def large(peer: Peer, *, fragments: bool) -> bytes:
    """A message of 100 bytes, behind one of 5, before one of 6."""
    encode = peer.endpoint.encode_fragment
    if fragments:
        middle = b"".join(encode("x" * 10, fin=False) for _ in range(9))
        middle += encode("x" * 10, fin=True)
    else:
        middle = peer.endpoint.encode("x" * 100)
    return peer.endpoint.encode("first") + middle + peer.endpoint.encode("behind")


@pytest.mark.parametrize("deflate", [None, Deflate(threshold=10)])
@pytest.mark.parametrize("fragments", [False, True])
async def test_what_is_too_large_waits_for_who_takes_it_in_parts(
    pushed: bool, fragments: bool, deflate: Deflate | None
) -> None:
    """It may have begun before anybody could say how he wants it."""
    opened = connected(pushed, max_message_size=LARGE, deflate=deflate)
    async with opened as (ws, peer), ws:
        peer.write(large(peer, fragments=fragments))
        peer.ping(b"later")
        await anyio.sleep(10)
        assert Pong(b"later") not in peer.events
        assert await ws.recv() == "first"
        assert "".join(map(str, await read(ws))) == "x" * 100
        assert await ws.recv() == "behind"
        await peer.until(lambda: Pong(b"later") in peer.events)


@pytest.mark.parametrize("deflate", [None, Deflate(threshold=10)])
@pytest.mark.parametrize("fragments", [False, True])
@pytest.mark.parametrize("waiting", [False, True])
async def test_what_is_too_large_is_refused_by_recv(
    pushed: bool, fragments: bool, deflate: Deflate | None, waiting: bool
) -> None:
    opened = connected(pushed, max_message_size=LARGE, deflate=deflate)
    async with opened as (ws, peer), ws:
        async with anyio.create_task_group() as group:

            async def send() -> None:
                await anyio.sleep(1)
                peer.write(large(peer, fragments=fragments))

            group.start_soon(send)
            if not waiting:
                await anyio.sleep(2)
            assert await ws.recv() == "first"
            with pytest.raises(ConnectionLost) as lost:
                await ws.recv()
        assert lost.value.sent is not None
        assert lost.value.sent.code == 1009


async def test_what_is_announced_too_large_is_read_when_it_is_wanted(
    pushed: bool,
) -> None:
    async with connected(pushed, max_message_size=LARGE) as (ws, peer), ws:
        data = peer.endpoint.encode(b"x" * 100)
        peer.write(data[:2])  # its header
        await anyio.sleep(1)
        async with anyio.create_task_group() as group:

            async def later() -> None:
                await anyio.sleep(1)
                peer.write(data[2:])

            group.start_soon(later)
            assert b"".join(await read(ws)) == b"x" * 100  # type: ignore[arg-type]


async def test_one_message_after_the_other_may_be_too_large(pushed: bool) -> None:
    async with connected(pushed, max_message_size=LARGE) as (ws, peer), ws:
        messages = ["x" * 100, "y" * 200, "short", "z" * 300]
        peer.send(*messages)
        heard = ["".join(map(str, await read(ws))) for _ in messages]
        assert heard == messages
        peer.send(*messages)
        async with ws.recv_streaming():
            await anyio.sleep(1)
        async with ws.recv_streaming() as parts:
            await anyio.sleep(1)
            ws._lost(ConnectionResetError("reset"))
            assert "".join([str(part) async for part in parts]) == messages[1]
        assert await read(ws) == ["short"]
        with pytest.raises(ConnectionLost) as lost:
            await read(ws)
        assert lost.value.reason is Reason.RESET


@pytest.mark.parametrize("early", [False, True])
async def test_a_sink_takes_whole_messages_only(pushed: bool, early: bool) -> None:
    async with connected(pushed, max_message_size=LARGE) as (ws, peer), ws:
        heard: list[str | bytes] = []
        if early:
            ws.deliver_to(heard.extend)
        peer.write(large(peer, fragments=False))
        await anyio.sleep(1)
        if not early:
            ws.deliver_to(heard.extend)
        await peer.until(lambda: peer.endpoint.close_received)
        assert heard == ["first"]
        assert peer.endpoint.close_received is not None
        assert peer.endpoint.close_received.code == 1009


async def test_closing_does_not_wait_for_who_takes_what_is_too_large(
    pushed: bool,
) -> None:
    async with connected(pushed, max_message_size=LARGE) as (ws, peer), ws:
        peer.write(large(peer, fragments=False))
        await anyio.sleep(1)
        start = anyio.current_time()
        await ws.close()
        assert anyio.current_time() == start


async def test_what_is_too_large_is_dropped_while_closing(pushed: bool) -> None:
    async with connected(pushed, max_message_size=LARGE) as (ws, peer), ws:
        peer.polite = False
        async with anyio.create_task_group() as group:
            group.start_soon(ws.close)
            await peer.until(lambda: peer.endpoint.close_received)
            small = bytes((0x82, 1, 0))
            peer.write(small + bytes((0x82, LARGE + 1)) + bytes(LARGE + 1) + small)
            peer.reply()
        assert ws.ended is not None
        with pytest.raises((ConnectionClosed, ConnectionLost)):
            await ws.recv()


async def test_a_loss_is_told_as_such_behind_what_is_too_large(pushed: bool) -> None:
    async with connected(pushed, max_message_size=LARGE) as (ws, peer), ws:
        peer.write(large(peer, fragments=False))
        await anyio.sleep(1)
        ws._lost(ConnectionResetError("reset"))
        assert await ws.recv() == "first"
        with pytest.raises(ConnectionLost) as lost:
            await ws.recv()
        assert lost.value.reason is Reason.RESET


# -- leaving early ----------------------------------------------------------------


@pytest.mark.parametrize("deflate", [None, Deflate()], ids=["plain", "deflate"])
async def test_leaving_early_drops_the_rest_as_it_comes(
    pushed: bool, deflate: Deflate | None
) -> None:
    async with connected(pushed, deflate=deflate) as (ws, peer), ws:
        data = peer.endpoint.encode("x" * (MEGABYTE + PIECE // 2))
        peer.write(data[: len(data) // 2])
        async with ws.recv_streaming() as parts:
            await parts.receive()
        peer.write(data[len(data) // 2 :])
        peer.ping(b"behind")
        peer.send("next")
        assert await ws.recv() == "next"
        await peer.until(lambda: Pong(b"behind") in peer.events)


async def test_an_exception_that_leaves_drops_the_rest_too(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        peer.write(peer.endpoint.encode_fragment("one", fin=False))
        with pytest.raises(ZeroDivisionError):
            async with ws.recv_streaming():
                raise ZeroDivisionError
        peer.write(peer.endpoint.encode_fragment("two", fin=True))
        peer.send("next")
        assert await ws.recv() == "next"


async def test_a_rest_without_end_fails_the_connection(pushed: bool) -> None:
    async with connected(pushed, max_message_size=1000) as (ws, peer), ws:
        peer.write(peer.endpoint.encode_fragment(bytes(5000), fin=False))
        async with ws.recv_streaming() as parts:
            await parts.receive()
        peer.write(peer.endpoint.encode_fragment(bytes(1000), fin=False))
        peer.ping(b"still fine")
        with pytest.raises(ReceiveTimeout):
            await ws.recv(timeout=1)
        await peer.until(lambda: Pong(b"still fine") in peer.events)
        peer.write(peer.endpoint.encode_fragment(bytes(1), fin=False))
        with pytest.raises(ConnectionLost) as lost:
            await ws.recv()
        assert lost.value.sent is not None
        assert lost.value.sent.code == 1009


@pytest.mark.parametrize("given_up", [False, True])
async def test_after_leaving_early_the_next_to_be_entered_is_the_next_message(
    pushed: bool, given_up: bool
) -> None:
    """What is dropped stays dropped, also if nobody waits for the next."""
    async with connected(pushed) as (ws, peer), ws:
        message = peer.endpoint.encode("the message that is left")
        peer.write(message[:10])
        async with ws.recv_streaming() as parts:
            assert await parts.receive()
        if given_up:
            with pytest.raises(ReceiveTimeout):
                async with ws.recv_streaming(timeout=1):
                    raise AssertionError("there is no next one yet")
        peer.write(message[10:] + peer.endpoint.encode("the next"))
        async with ws.recv_streaming() as parts:
            assert [part async for part in parts] == ["the next"]


async def test_a_message_left_at_its_end_costs_the_next_nothing(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        peer.send("all of it")
        async with ws.recv_streaming() as parts:
            assert await parts.receive() == "all of it"
        peer.send("next")
        assert await ws.recv() == "next"


# -- cancelling -------------------------------------------------------------------


@pytest.mark.parametrize("steps", range(12))
async def test_s32_entering_cancelled_at_any_checkpoint_loses_nothing(
    pushed: bool, steps: int
) -> None:
    async with connected(pushed, latency=0.001) as (ws, peer), ws:
        heard: list[str | bytes] = []
        for number in range(40):
            message = f"{number}€" * (number % 7)
            data = peer.endpoint.encode(message)
            scope = anyio.CancelScope()

            async def receive(scope: anyio.CancelScope = scope) -> None:
                parts = None
                with scope:
                    parts = await ws.recv_streaming().__aenter__()
                if parts is not None:
                    heard.append("".join([str(part) async for part in parts]))
                    await parts.aclose()

            async with anyio.create_task_group() as group:
                group.start_soon(receive)
                if number % 3:
                    await anyio.sleep(0.01)
                peer.write(data[: number % 11])
                if number % 2:
                    await anyio.sleep(0.001)
                for _ in range(steps):
                    await checkpoint()
                scope.cancel()
                peer.write(data[number % 11 :])
            while len(heard) <= number:
                heard.append(await ws.recv())
        assert heard == [f"{number}€" * (number % 7) for number in range(40)]


@pytest.mark.parametrize("steps", range(8))
async def test_s32_a_part_cancelled_at_any_checkpoint_is_not_lost(
    pushed: bool, steps: int
) -> None:
    async with connected(pushed, latency=0.001) as (ws, peer), ws:
        heard: list[str | bytes] = []
        peer.write(peer.endpoint.encode_fragment("", fin=False))
        peer.write(peer.endpoint.encode_fragment("0", fin=False))
        async with ws.recv_streaming() as parts:
            for number in range(1, 40):
                scope = anyio.CancelScope()

                async def receive(scope: anyio.CancelScope = scope) -> None:
                    with scope:
                        async for part in parts:
                            heard.append(part)

                async with anyio.create_task_group() as group:
                    group.start_soon(receive)
                    fragment = peer.endpoint.encode_fragment(f" {number}", fin=False)
                    peer.write(fragment)
                    await anyio.sleep(0.001)
                    for _ in range(steps):
                        await checkpoint()
                    scope.cancel()
            peer.write(peer.endpoint.encode_fragment("", fin=True))
            heard += [part async for part in parts]
        assert "".join(map(str, heard)) == " ".join(map(str, range(40)))


async def test_a_timeout_of_entering_loses_nothing(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        start = anyio.current_time()
        with pytest.raises(ReceiveTimeout):
            async with ws.recv_streaming(timeout=2):
                pass
        assert anyio.current_time() == start + 2
        data = peer.endpoint.encode("kept")
        peer.write(data[:1])  # not even a header
        with pytest.raises(ReceiveTimeout):
            async with ws.recv_streaming(timeout=2):
                pass
        peer.write(data[1:])
        assert await ws.recv() == "kept"


async def fed_and_cancelled(ws: Connection, data: bytes) -> None:
    """Bytes come, and who waits to enter is cancelled before it can run."""
    scope = anyio.CancelScope()

    async def receive() -> None:
        with scope:
            async with ws.recv_streaming():
                pytest.fail("it was cancelled")

    async with anyio.create_task_group() as group:
        group.start_soon(receive)
        await anyio.sleep(1)
        ws._feed(memoryview(data))
        scope.cancel()


@pytest.mark.parametrize("message", ["a€" * 100, b"\xff" * 100, ""])
async def test_taken_back_a_message_is_the_next_one_in_order(
    pushed: bool, message: str | bytes
) -> None:
    async with connected(pushed) as (ws, peer), ws:
        data = peer.endpoint.encode(message) + peer.endpoint.encode("behind")
        for at in (1, 50, len(data) - 8, len(data)):
            await fed_and_cancelled(ws, data[:at])
            peer.write(data[at:])
            assert [await ws.recv(), await ws.recv()] == [message, "behind"]


async def test_taken_back_a_message_has_its_limit_again(pushed: bool) -> None:
    async with connected(pushed, max_message_size=100) as (ws, peer), ws:
        await fed_and_cancelled(ws, peer.endpoint.encode(bytes(1000))[:500])
        with pytest.raises(ConnectionLost) as lost:
            await ws.recv()
        assert lost.value.sent is not None
        assert lost.value.sent.code == 1009


# -- the end ----------------------------------------------------------------------


async def test_an_end_within_the_message_is_no_end_of_the_message(
    pushed: bool,
) -> None:
    async with connected(pushed) as (ws, peer), ws:
        peer.write(peer.endpoint.encode_fragment("one", fin=False))
        heard: list[str | bytes] = []
        async with ws.recv_streaming() as parts:
            peer.close(1000)
            with pytest.raises(ConnectionLost) as lost:
                await collect(parts, heard)
        assert lost.value.code == 1000
        assert heard == ["one"]
        with pytest.raises(ConnectionClosed):
            await ws.recv()


@pytest.mark.parametrize("how", ["eof", "reset"])
async def test_what_was_fed_before_a_loss_is_given(pushed: bool, how: str) -> None:
    async with connected(pushed, deflate=Deflate()) as (ws, peer), ws:
        peer.write(peer.endpoint.encode(bytes(4 * PIECE))[:-1])
        heard: list[str | bytes] = []
        async with ws.recv_streaming() as parts:
            error = EOFError() if how == "eof" else ConnectionResetError("reset")
            ws._lost(error)  # while parts are held back
            with pytest.raises(ConnectionLost) as lost:
                await collect(parts, heard)
        assert lost.value.reason is (Reason.EOF if how == "eof" else Reason.RESET)
        assert 3 * PIECE < sum(map(len, heard)) <= 4 * PIECE


async def test_eof_gives_what_was_held_back(pushed: bool) -> None:
    async with connected(pushed, deflate=Deflate()) as (ws, peer), ws:
        peer.send(bytes(3 * PIECE))
        async with ws.recv_streaming() as parts:
            ws._feed(None)
            assert sum([len(part) async for part in parts]) == 3 * PIECE
        with pytest.raises(ConnectionLost):
            await ws.recv()


@pytest.mark.parametrize("deflate", [None, Deflate()], ids=["plain", "deflate"])
async def test_closing_while_a_message_is_received_waits_for_nobody(
    pushed: bool, deflate: Deflate | None
) -> None:
    async with connected(pushed, deflate=deflate) as (ws, peer), ws:
        peer.send(bytes(MEGABYTE))
        async with ws.recv_streaming() as parts:
            await parts.receive()
            start = anyio.current_time()
            await ws.close()
            assert anyio.current_time() == start
            with pytest.raises(ConnectionLost):
                await collect(parts, [])


async def test_entered_while_closing_it_gets_nothing_of_what_is_discarded(
    pushed: bool,
) -> None:
    async with connected(pushed) as (ws, peer), ws:
        peer.polite = False
        late = [peer.endpoint.encode(text) for text in ("one", "two")]
        async with anyio.create_task_group() as group:
            group.start_soon(ws.close)
            await peer.until(lambda: peer.others)
            peer.write(late[0])
            await anyio.sleep(0.1)

            async def receive_parts() -> None:
                with pytest.raises(ConnectionClosed):
                    async with ws.recv_streaming():
                        raise AssertionError("it was discarded")

            group.start_soon(receive_parts)
            await anyio.sleep(0.1)
            peer.write(late[1])
            await anyio.sleep(0.1)
            peer.reply()


async def test_after_the_end_entering_tells_it(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        peer.close(4000, "enough")
        with pytest.raises(ConnectionClosed, match="enough"):
            async with ws.recv_streaming():
                pass


# -- whose turn it is -------------------------------------------------------------


async def test_nobody_else_receives_meanwhile(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        peer.send("one")
        async with ws.recv_streaming() as parts:
            with pytest.raises(ConcurrencyError, match="received from already"):
                await ws.recv()
            with pytest.raises(ConcurrencyError, match="received from already"):
                async with ws.recv_streaming():
                    pass
            assert [part async for part in parts] == ["one"]
        peer.send("two")
        assert await ws.recv() == "two"


async def test_it_is_received_by_one_task_at_a_time(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        peer.write(peer.endpoint.encode_fragment("one", fin=False))
        async with ws.recv_streaming() as parts:
            await parts.receive()
            async with anyio.create_task_group() as group:
                group.start_soon(parts.receive)
                await anyio.sleep(1)
                with pytest.raises(ConcurrencyError, match="another task"):
                    await parts.receive()
                group.cancel_scope.cancel()


async def test_outside_of_its_context_nothing_is_received(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        parts = ws.recv_streaming()
        with pytest.raises(ConcurrencyError, match="inside"):
            await parts.receive()
        peer.send("one")
        async with parts:
            await parts.receive()
        with pytest.raises(ConcurrencyError, match="inside"):
            await parts.receive()
        with pytest.raises(ConcurrencyError, match="once"):
            await parts.__aenter__()
        await parts.aclose()
        assert isinstance(parts, ObjectReceiveStream)


async def test_leaving_while_another_task_receives_is_told_to_it(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        peer.write(peer.endpoint.encode_fragment("one", fin=False))
        outcome: list[Exception] = []
        parts = ws.recv_streaming()

        async def receive() -> None:
            try:
                await parts.receive()
            except ConcurrencyError as error:
                outcome.append(error)

        async with anyio.create_task_group() as group:
            async with parts:
                await parts.receive()
                group.start_soon(receive)
                await anyio.sleep(1)
            peer.write(peer.endpoint.encode_fragment("two", fin=True))
        assert len(outcome) == 1


@pytest.mark.parametrize("timeout", [-1, float("nan"), "5"])
async def test_a_timeout_that_is_none_is_refused_at_the_call(
    pushed: bool, timeout: Any
) -> None:
    async with connected(pushed) as (ws, _), ws:
        with pytest.raises(ArgumentError, match="timeout"):
            ws.recv_streaming(timeout=timeout)


async def test_other_tasks_run_while_parts_are_there(pushed: bool) -> None:
    async with connected(pushed, deflate=Deflate()) as (ws, peer), ws:
        peer.send(bytes(100 * PIECE))
        turns = 0

        async def sibling() -> None:
            nonlocal turns
            while True:
                await checkpoint()
                turns += 1

        async with anyio.create_task_group() as group:
            group.start_soon(sibling)
            async with ws.recv_streaming() as parts:
                turns = 0
                taken = [part async for part in parts]
                # Trio shuffles who runs first: one turn may fall outside.
                assert turns >= len(taken) // 32 - 1
            group.cancel_scope.cancel()
