"""Writing: one write for those who send together, and none later than need be."""

from __future__ import annotations

from collections.abc import Iterator

import anyio
import pytest

from wsclient.connection import Connection
from wsclient.errors import MaybeSent
from wsclient.protocol import CloseReceived, Pong

from .peer import connected
from .records import Recorder

# Only what feeds by itself knows the turns of an event loop.
pytestmark = pytest.mark.parametrize("kind", ["asyncio-pushed"], indirect=True)


def recorded(ws: Connection) -> Recorder:
    recorder = Recorder(ws._wire)
    ws._wire = recorder
    return recorder


def writes(recorder: Recorder) -> int:
    return [what for what, _ in recorder.order].count("written")


async def test_what_tasks_send_in_one_turn_leaves_in_one_write_in_order() -> None:
    async with connected(True) as (ws, peer), ws:
        recorder, sent = recorded(ws), [f"{number}" for number in range(50)]
        for turn in range(1, 4):
            async with anyio.create_task_group() as group:
                for message in sent:
                    group.start_soon(ws.send, message)
            assert writes(recorder) == turn
            assert recorder.taken == len(recorder.written)
        assert await peer.until_messages(150) == sent * 3


async def test_who_sends_alone_writes_at_once() -> None:
    async with connected(True) as (ws, peer), ws:
        assert all(ws.commit(f"{number}") for number in range(100))

        async def another() -> None:
            assert not ws.commit("first")
            await ws.flush()
            assert all(ws.commit("x") for number in range(100))

        async with anyio.create_task_group() as group:
            group.start_soon(another)
        assert len(await peer.until_messages(201)) == 201


def sizes() -> Iterator[int]:
    while True:
        yield from (1, 1000, 30_000)


async def test_as_much_as_there_is_room_for_does_not_wait_for_the_end_of_the_turn() -> (
    None
):
    async with connected(True, capacity=10**7) as (ws, peer), ws:
        recorder, size = recorded(ws), sizes()
        async with anyio.create_task_group() as group:
            for _ in range(300):
                group.start_soon(ws.send, bytes(next(size)))
        assert [len(message) for message in await peer.until_messages(300)] == [
            *(1, 1000, 30_000)
        ] * 100
        assert 3_100_000 / 100_000 <= writes(recorder) <= 3_100_000 / 65_536


async def test_whatever_is_written_in_the_same_turn_stands_behind_it() -> None:
    async with connected(True) as (ws, peer), ws:
        recorder = recorded(ws)

        async def many() -> None:
            await ws.send_many(["many", "more"])

        async def close() -> None:
            ws.ping_nowait()
            await ws.close()

        async with anyio.create_task_group() as group:
            group.start_soon(ws.send, "one")
            group.start_soon(ws.send, "two")
            group.start_soon(many)
            group.start_soon(ws.send, "three")
            group.start_soon(close)
        assert peer.messages == ["one", "two", "many", "more", "three"]
        assert isinstance(peer.others[-1], CloseReceived)
        assert not any(isinstance(event, Pong) for event in peer.events)
        assert writes(recorder) <= 4


async def test_cancelled_before_the_turn_ends_the_message_still_leaves() -> None:
    async with connected(True) as (ws, peer), ws:
        async with anyio.create_task_group() as group:
            for message in ("one", "two"):
                group.start_soon(ws.send, message)
            await anyio.lowlevel.cancel_shielded_checkpoint()
            group.cancel_scope.cancel()
        assert await peer.until_messages(2) == ["one", "two"]


async def test_what_the_end_overtakes_may_have_been_sent() -> None:
    async with connected(True) as (ws, peer), ws:
        told: list[object] = []

        async def send(message: str) -> None:
            try:
                await ws.send(message)
            except MaybeSent as exc:
                told.append(exc.message)

        async def drop() -> None:
            ws._lost(ConnectionResetError())

        async with anyio.create_task_group() as group:
            group.start_soon(send, "one")
            group.start_soon(send, "two")
            group.start_soon(drop)
        assert told == ["one", "two"]
        assert peer.messages == []


async def test_an_end_in_the_same_turn_lets_it_leave_before() -> None:
    async with connected(True) as (ws, peer), ws:
        async with anyio.create_task_group() as group:
            for message in ("one", "two"):
                group.start_soon(ws.send, message)
            await anyio.lowlevel.cancel_shielded_checkpoint()
            ws._feed(None)  # the peer has hung up
        assert await peer.until_messages(2) == ["one", "two"]


async def test_those_together_wait_for_a_kernel_that_takes_no_more() -> None:
    async with connected(True, capacity=100) as (ws, peer), ws:
        peer.into.stall()
        done = list[str]()

        async def send(message: str) -> None:
            await ws.send(message)
            done.append(message)

        sent = [f"{number}" * 10 for number in range(1, 9)]
        async with anyio.create_task_group() as group:
            for message in sent:
                group.start_soon(send, message)
            await anyio.sleep(1)
            assert done == []
            group.start_soon(send, "last")
            await anyio.sleep(1)
            peer.into.heal()
        assert done == [*sent, "last"]
        assert await peer.until_messages(9) == [*sent, "last"]
