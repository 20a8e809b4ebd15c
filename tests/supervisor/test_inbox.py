"""Reading a queue: nothing is lost, reordered or kept from others."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsclient.errors import (
    ArgumentError,
    ConcurrencyError,
    LocalProtocolError,
    Reason,
    ReceiveTimeout,
)
from wsclient.supervisor.flow import TURNS, Flow, Overflow
from wsclient.supervisor.seam import Gap

from .clients import settle
from .queues import Queue, Wire, lost, offline


async def test_items_come_in_order_by_every_way_of_receiving() -> None:
    queue = Queue(max_messages=10)
    queue.puts(1, 2, 3, 4, 5)
    assert await queue.recv() == 1
    assert await anext(queue) == 2
    assert await queue.receive() == 3
    assert await queue.recv(timeout=1) == 4
    assert await anext(queue.with_gaps()) == 5
    queue.pace.settle()
    assert queue.bounds.total == 0
    assert aiter(queue) is queue
    assert aiter(queue.with_gaps()) is not None
    assert repr(queue) == "<Inbox of the queue: 0 unread>"


async def test_a_receiver_waits_for_the_next_item() -> None:
    queue = Queue()
    got: list[Any] = []

    async def receive() -> None:
        got.append(await queue.recv())
        got.append(await anext(queue))

    async with anyio.create_task_group() as group:
        group.start_soon(receive)
        await settle()
        queue.puts("a")
        await settle()
        assert got == ["a"]
        queue.puts("b")
    assert got == ["a", "b"]


async def test_a_timeout_and_a_cancel_lose_nothing() -> None:
    queue = Queue()
    with pytest.raises(ReceiveTimeout, match="within 3 s; nothing is lost"):
        await queue.recv(timeout=3)
    assert anyio.current_time() == pytest.approx(3)
    with anyio.move_on_after(1) as scope:
        await queue.recv()
    assert scope.cancelled_caught
    queue.puts("a", "b")
    with pytest.raises(TimeoutError), anyio.fail_after(0):
        await anyio.lowlevel.checkpoint()
    assert [await queue.recv(), await queue.recv(timeout=0)] == ["a", "b"]


async def test_a_timeout_of_zero_takes_what_is_there_at_any_turn() -> None:
    queue = Queue(max_messages=100)
    queue.puts(*range(100))
    assert [await queue.recv(timeout=0) for _ in range(100)] == list(range(100))
    with pytest.raises(ReceiveTimeout):
        await queue.recv(timeout=0)


@pytest.mark.parametrize("timeout", [-1, float("nan"), "1"])
async def test_a_bad_timeout_fails_at_the_call(timeout: Any) -> None:
    queue = Queue()
    queue.puts(1)
    with pytest.raises(ArgumentError, match="timeout"):
        await queue.recv(timeout)
    assert await queue.recv() == 1


async def test_two_receivers_are_one_too_many() -> None:
    queue = Queue()
    async with anyio.create_task_group() as group:
        group.start_soon(queue.recv)
        await settle()
        with pytest.raises(ConcurrencyError, match="receiving from the queue"):
            await queue.recv()
        queue.puts(1)


@pytest.mark.parametrize("way", ["iterate", "recv"])
async def test_a_busy_receiver_lets_others_run(way: str) -> None:
    """Every 32nd call that does not wait is a checkpoint."""
    queue = Queue(max_messages=10_000)
    queue.puts(*range(1000))
    turns = 0

    async def sibling() -> None:
        nonlocal turns
        while True:
            await anyio.lowlevel.checkpoint()
            turns += 1

    async with anyio.create_task_group() as group:
        group.start_soon(sibling)
        await anyio.lowlevel.checkpoint()
        before = turns
        for _ in range(1000):
            await (anext(queue) if way == "iterate" else queue.recv())
        assert turns - before >= 1000 // 33 - 1
        group.cancel_scope.cancel()


async def test_the_end_comes_behind_what_is_queued() -> None:
    for quiet in False, True:
        queue = Queue()
        queue.puts(1)
        queue.end(lambda: LocalProtocolError("over"), quiet=quiet)
        queue.end(lambda: LocalProtocolError("again"), quiet=False)
        queue.puts(2)
        queue.add_gap(lost(1))
        assert await queue.recv() == 1
        for _ in range(2):
            with pytest.raises(LocalProtocolError, match="over"):
                await queue.recv()
        with pytest.raises(StopAsyncIteration if quiet else LocalProtocolError):
            await anext(queue)
        with pytest.raises(LocalProtocolError, match="over"):
            queue.raise_end()
    Queue().raise_end()


async def test_the_end_wakes_who_waits() -> None:
    queue = Queue()
    async with anyio.create_task_group() as group:

        async def wait() -> None:
            with pytest.raises(LocalProtocolError):
                await queue.recv()

        group.start_soon(wait)
        await settle()
        queue.end(lambda: LocalProtocolError("over"), quiet=True)


async def test_what_may_not_receive_is_told() -> None:
    queue = Queue()

    def refuse() -> None:
        raise ConcurrencyError("no")

    queue.check = refuse
    with pytest.raises(ConcurrencyError, match="no"):
        await queue.recv()


async def test_iteration_passes_over_gaps() -> None:
    queue = Queue(Overflow.DROP_NEWEST, max_messages=2)
    queue.puts(1, 2, 3)
    assert await queue.recv() == 1
    queue.puts(4)
    assert await queue.recv() == 2
    assert await anext(queue) == 4


async def test_a_gap_wakes_who_iterates_with_gaps_and_not_who_receives() -> None:
    queue = Queue()
    got: list[Any] = []

    async def receive() -> None:
        got.append(await queue.recv())

    async with anyio.create_task_group() as group:
        group.start_soon(receive)
        await settle()
        queue.add_gap(offline(2))
        await settle()
        assert got == []
        queue.puts(1)
    assert got == [1]


async def test_all_that_is_queued_is_given_at_once() -> None:
    queue = Queue(max_messages=10)
    queue.puts("a", "b", "c", size=100)
    assert await queue.recv_many() == ["a", "b", "c"]
    queue.puts("d", "e", "f")
    assert await queue.recv_many(2) == ["d", "e"]
    assert await queue.recv_many(2) == ["f"]
    assert queue.count() == queue._bytes == queue.bounds.total == 0


async def test_many_end_before_a_gap_and_begin_behind_it() -> None:
    queue = Queue(max_messages=10)
    queue.puts("a", "b")
    queue.add_gap(Gap(generation=8, reason=Reason.EOF))
    queue.puts("c")
    assert await queue.recv_many() == ["a", "b"]
    assert await queue.recv_many() == ["c"]


async def test_many_are_waited_for() -> None:
    queue = Queue(max_messages=10)
    with pytest.raises(ReceiveTimeout):
        await queue.recv_many(timeout=1)
    with pytest.raises(ArgumentError, match="max_messages"):
        await queue.recv_many(0)
    async with anyio.create_task_group() as group:

        @group.start_soon
        async def reads() -> None:
            assert await queue.recv_many() == ["a", "b"]

        await settle()
        queue.puts("a", "b")


async def test_taking_many_lets_reading_go_on() -> None:
    queue = Queue(Overflow.PAUSE, max_messages=4)
    queue.puts("a", "b", "c", "d")
    assert queue.reading.holders
    assert len(await queue.recv_many()) == 4
    assert not queue.reading.holders


async def test_many_whole_messages_tell_their_own_sizes() -> None:
    queue = Queue(Overflow.PAUSE, max_messages=3, plain=True)
    sink = queue.sink(Wire(), Flow(0.0), timed=False)  # type: ignore[arg-type]
    sink(["a", "bc", "def"])
    assert queue.reading.holders
    assert await queue.recv_many() == ["a", "bc", "def"]
    assert not queue.reading.holders
    assert queue.count() == 0


# Calls that are granted in advance.


@given(st.lists(st.tuples(st.sampled_from("abgms"), st.integers(1, 40)), max_size=20))
def test_of_all_calls_together_every_so_many_is_a_checkpoint(
    runs: list[tuple[str, int]],
) -> None:
    one = Queue(max_messages=5000, max_bytes=5000)
    other = Queue(max_messages=5000, max_bytes=5000, beside=one)
    for queue in one, other:
        queue.puts(*range(2000))
    without = 0

    async def checkpoint() -> None:
        nonlocal without
        without = -1  # the call that it is part of is none that did not wait

    one.pace.checkpoint = checkpoint
    calls: dict[str, Callable[[], Coroutine[Any, Any, Any]]] = {
        "a": one.recv,
        "b": other.__anext__,
        "g": one.with_gaps().__anext__,
        "m": partial(other.recv_many, 2),
        "s": one.pace.breathe,
    }
    for what, times in runs:
        for _ in range(times):
            with pytest.raises(StopIteration):
                calls[what]().send(None)
            without += 1
            assert without <= TURNS


async def test_what_was_taken_in_advance_is_no_longer_in_the_way_of_others() -> None:
    """The bytes of all queues are counted when a bound seems to be reached."""
    one = Queue(max_messages=10, total=10)
    other = Queue(beside=one)
    one.puts(*range(8))
    assert [await one.recv() for _ in range(6)] == [*range(6)]
    assert one.bounds.total > 2
    other.puts(*range(4))
    assert one.bounds.total == 6
    assert not one.reading.holders
    assert [await one.recv(), await anext(one)] == [6, 7]


async def test_what_is_full_is_noticed_as_soon_as_half_of_it_is_read() -> None:
    queue = Queue(Overflow.PAUSE, max_messages=8, plain=True)
    sink = queue.sink(Wire(), Flow(0.0), timed=False)  # type: ignore[arg-type]
    sink(list("abcdef"))
    assert [await queue.recv() for _ in range(2)] == ["a", "b"]  # the rest is granted
    sink(list("ghij"))
    assert queue.reading.holders
    assert [await queue.recv() for _ in range(3)] == ["c", "d", "e"]
    assert queue.reading.holders
    assert await queue.recv() == "f"
    assert not queue.reading.holders
