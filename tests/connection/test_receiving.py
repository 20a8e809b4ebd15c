"""Receiving: in order, one at a time; what is cancelled or timed out loses nothing."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from wsclient.connection import Connection
from wsclient.errors import (
    ArgumentError,
    Close,
    ConcurrencyError,
    ConnectionClosed,
    ConnectionLost,
    ReceiveTimeout,
)
from wsclient.protocol import Limits

from .peer import Peer, connected


async def test_a_timeout_of_recv_ends_nothing(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        start = anyio.current_time()
        with pytest.raises(ReceiveTimeout, match=r"example\.com within 2 s") as timeout:
            await ws.recv(timeout=2)
        assert anyio.current_time() == start + 2
        assert isinstance(timeout.value, TimeoutError)
        peer.send("later")
        assert await ws.recv(timeout=2) == "later"


async def test_a_timeout_of_nothing_takes_what_has_arrived(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        with pytest.raises(ReceiveTimeout):
            await ws.recv(timeout=0)
        for number in range(100):
            peer.send(f"{number}")
            assert await ws.recv(timeout=0) == f"{number}"


async def test_a_timeout_of_nothing_tells_an_end_that_has_come(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        peer.gone = True
        peer.wire.finish()
        with pytest.raises(ConnectionLost):
            await ws.recv(timeout=0)


async def test_polling_is_heard_beside_who_pumps(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws, anyio.create_task_group() as group:
        group.start_soon(ws.wait_ended)
        await anyio.sleep(1)
        received = list[str | bytes]()
        peer.send("one", "two")
        while len(received) < 2:
            try:
                received.append(await ws.recv(timeout=0))
            except ReceiveTimeout:
                continue
        assert received == ["one", "two"]
        await ws.close()


@pytest.mark.parametrize("steps", range(4))
async def test_what_arrives_while_recv_lets_others_run_is_not_overlooked(
    pushed: bool, steps: int
) -> None:
    async with connected(pushed) as (ws, peer), ws:
        for number in range(100):
            async with anyio.create_task_group() as group:
                group.start_soon(ws.recv, 1)
                for _ in range(steps):
                    await checkpoint()
                peer.send(f"{number}")
                start = anyio.current_time()
            assert anyio.current_time() - start < 1


@pytest.mark.parametrize("timeout", [-1, float("nan"), "5"])
async def test_a_timeout_that_is_none_is_refused(pushed: bool, timeout: Any) -> None:
    async with connected(pushed) as (ws, peer), ws:
        peer.send("message")
        with pytest.raises(ArgumentError, match="timeout"):
            await ws.recv(timeout=timeout)
        assert await ws.recv() == "message"


@pytest.mark.parametrize("steps", range(8))
async def test_s32_recv_cancelled_at_any_checkpoint_loses_nothing(
    pushed: bool, steps: int
) -> None:
    async with connected(pushed, latency=0.001) as (ws, peer), ws:
        received = list[str | bytes]()
        scope = anyio.CancelScope()

        async def receive() -> None:
            with scope:
                while True:
                    received.append(await ws.recv())

        for number in range(40):
            scope = anyio.CancelScope()
            async with anyio.create_task_group() as group:
                group.start_soon(receive)
                if number % 3 == 0:
                    await anyio.sleep(0.01)
                peer.send(f"{number}a", f"{number}b")
                if number % 2:
                    await anyio.sleep(0.001)
                for _ in range(steps):
                    await checkpoint()
                scope.cancel()
        peer.close(1000)
        received += [message async for message in ws]
        assert received == [f"{n}{half}" for n in range(40) for half in "ab"]


@pytest.mark.parametrize("delay", [0, 0.0004, 0.001, 0.0013])
async def test_s32_recv_timed_out_at_any_time_loses_nothing(
    pushed: bool, delay: float
) -> None:
    async with connected(pushed, latency=0.001) as (ws, peer), ws:
        received = list[str | bytes]()
        peer.out.chunk = 7
        async with anyio.create_task_group() as group:
            group.start_soon(_trickle, peer)
            while len(received) < 50:
                try:
                    received.append(await ws.recv(timeout=delay))
                except ReceiveTimeout:
                    await anyio.sleep(0.0001)
        assert received == [f"message {number}" for number in range(50)]


async def _trickle(peer: Peer) -> None:
    for number in range(50):
        peer.send(f"message {number}")
        await anyio.sleep(0.0015)


async def test_s32_whom_nobody_reads_fills_no_memory(pushed: bool) -> None:
    limits = Limits(max_queue_bytes=100_000)
    async with connected(pushed, limits=limits) as (ws, peer), ws:
        with anyio.move_on_after(1):
            await ws.recv()
        frame = peer.endpoint.encode("x" * 1000)
        peer.write(frame * 10_000)
        await anyio.sleep(1000)
        assert len(peer.out.received) < 300_000
        for _ in range(10_000):
            assert await ws.recv() == "x" * 1000


async def test_iterating_over_more_than_the_queue_holds(pushed: bool) -> None:
    limits = Limits(max_queue=4)
    async with connected(pushed, limits=limits) as (ws, peer), ws:
        sent = [f"{number}" for number in range(100)]
        peer.out.chunk = 50
        peer.send(*sent)
        peer.close(1000)
        assert [message async for message in ws] == sent


async def test_two_receivers_are_one_too_many(pushed: bool) -> None:
    received = list[str | bytes]()

    async with connected(pushed) as (ws, peer), ws:

        async def receive() -> None:
            received.append(await ws.recv())

        async with anyio.create_task_group() as group:
            group.start_soon(receive)
            await anyio.sleep(1)
            for call in (ws.recv, ws.__anext__, ws.receive):
                with pytest.raises(ConcurrencyError, match="another task"):
                    await call()
            peer.send("message")
        assert received == ["message"]


async def test_who_lets_others_run_first_finds_out_that_another_receives(
    pushed: bool,
) -> None:
    """Every 32nd call is a checkpoint, in which somebody else may begin."""
    told = list[object]()

    async with connected(pushed) as (ws, peer), ws:

        async def receive() -> None:
            try:
                told.append(await ws.recv())
            except ConcurrencyError as error:
                told.append(type(error))

        async def receive_parts() -> None:
            try:
                async with ws.recv_streaming() as parts:
                    told.append([part async for part in parts])
            except ConcurrencyError as error:
                told.append(type(error))

        peer.send(*map(str, range(31)))
        await anyio.sleep(1)
        for _ in range(31):
            await ws.recv()
        async with anyio.create_task_group() as group:
            group.start_soon(receive)
            group.start_soon(receive_parts)
            await anyio.sleep(1)
            assert told == [ConcurrencyError]
            peer.send("message")
    assert told[1:] in (["message"], [["message"]])


@pytest.mark.parametrize(
    ("sent", "decode", "given"),
    [
        ("té", None, "té"),
        ("té", True, "té"),
        ("té", False, "té".encode()),
        (b"\xff", None, b"\xff"),
        (b"\xff", False, b"\xff"),
        (b"t", True, "t"),
        ("", False, b""),
        (b"", True, ""),
    ],
)
async def test_messages_are_given_as_text_or_bytes_as_asked(
    pushed: bool, sent: str | bytes, decode: bool | None, given: str | bytes
) -> None:
    async with connected(pushed) as (ws, peer), ws:
        peer.send(sent, "next")
        assert await ws.recv(decode=decode) == given
        assert await ws.recv() == "next"


async def test_what_is_no_text_is_not_lost(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        peer.send(b"\xff", "next")
        with pytest.raises(UnicodeDecodeError):
            await ws.recv(decode=True)
        assert await ws.recv() == b"\xff"
        assert await ws.recv() == "next"


@pytest.mark.parametrize("code", [1000, 1001, None])
async def test_iteration_ends_with_an_ordinary_close(
    pushed: bool, code: int | None
) -> None:
    async with connected(pushed) as (ws, peer), ws:
        peer.send("one", "two")
        peer.close(code)
        assert [message async for message in ws] == ["one", "two"]
        assert [message async for message in ws] == []
        assert ws.ended is not None
        assert ws.ended.code == (code or 1005)


@pytest.mark.parametrize("code", [1002, 1008, 1011, 1012, 1013, 3000, 4000, 4999])
async def test_iteration_raises_any_other_close(pushed: bool, code: int) -> None:
    async with connected(pushed) as (ws, peer), ws:
        peer.send("one")
        peer.close(code, "why")
        received = list[str | bytes]()
        with pytest.raises(ConnectionClosed) as closed:
            await iterate(ws, received)
        assert received == ["one"]
        assert closed.value.received == Close(code, "why")
        assert isinstance(closed.value, anyio.EndOfStream)


async def test_iteration_raises_a_loss(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        peer.send("one")
        peer.hang_up()
        received = list[str | bytes]()
        with pytest.raises(ConnectionLost) as lost:
            await iterate(ws, received)
        assert received == ["one"]
        assert isinstance(lost.value, anyio.BrokenResourceError)


async def iterate(ws: Connection, received: list[str | bytes]) -> None:
    async for message in ws:
        received.append(message)  # noqa: PERF401 - kept when it raises


# -- many at a time ---------------------------------------------------------------


async def test_recv_many_gives_all_that_has_arrived_in_order(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        peer.send("one", b"two", "three")
        await anyio.sleep(1)
        assert await ws.recv_many() == ["one", b"two", "three"]
        peer.send("four")
        assert await ws.recv_many() == ["four"]


async def test_recv_many_gives_no_more_than_asked_for(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        peer.send(*map(str, range(5)))
        await anyio.sleep(1)
        assert await ws.recv_many(2) == ["0", "1"]
        assert await ws.recv() == "2"
        assert await ws.recv_many(2) == ["3", "4"]


@pytest.mark.parametrize("count", [0, -1, 1.5, True])
async def test_a_count_that_is_none_is_refused(pushed: bool, count: Any) -> None:
    async with connected(pushed) as (ws, _), ws:
        with pytest.raises(ArgumentError, match="max_messages"):
            await ws.recv_many(count)


async def test_recv_many_waits_times_out_and_loses_nothing(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        with pytest.raises(ReceiveTimeout):
            await ws.recv_many(timeout=2)
        with anyio.move_on_after(1) as scope:
            await ws.recv_many()
        assert scope.cancelled_caught
        peer.send("one", "two")
        await anyio.sleep(1)
        assert await ws.recv_many(timeout=0) == ["one", "two"]


async def test_recv_many_tells_the_end_behind_all_that_came(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws:
        peer.send("last")
        peer.close()
        await anyio.sleep(1)
        assert await ws.recv_many() == ["last"]
        with pytest.raises(ConnectionClosed):
            await ws.recv_many()


async def test_recv_many_is_receiving(pushed: bool) -> None:
    async with connected(pushed) as (ws, _), ws, anyio.create_task_group() as group:
        group.start_soon(ws.recv)
        await anyio.sleep(1)
        with pytest.raises(ConcurrencyError):
            await ws.recv_many()
        group.cancel_scope.cancel()


async def test_recv_many_lets_reading_go_on(pushed: bool) -> None:
    limits = Limits(max_queue=4)
    async with connected(pushed, limits=limits) as (ws, peer), ws:
        received = list[str | bytes]()
        for number in range(500):
            peer.send(f"{number}".ljust(1000))
        await anyio.sleep(1)
        assert ws._watch.paused_at is not None
        received += await ws.recv_many()
        assert ws._watch.paused_at is None
        while len(received) < 500:
            received += await ws.recv_many(timeout=10)
        assert [int(message) for message in received] == [*range(500)]
        assert ws._backlog.size() == 0


async def test_whoever_always_finds_many_lets_others_run(pushed: bool) -> None:
    async with connected(pushed) as (ws, peer), ws, anyio.create_task_group() as group:
        turns = 0

        async def sibling() -> None:
            nonlocal turns
            while True:
                await checkpoint()
                turns += 1

        peer.send(*map(str, range(200)))
        await anyio.sleep(1)
        group.start_soon(sibling)
        for _ in range(200):
            await ws.recv_many(1)
        assert turns >= 4
        group.cancel_scope.cancel()
