"""Bounded queues: nothing is lost or reordered but what a gap tells."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsclient.errors import (
    LocalProtocolError,
    Reason,
    SubscriptionOverflow,
)
from wsclient.supervisor.backlog import MAX_GAPS, MOMENT
from wsclient.supervisor.flow import Flow, Overflow
from wsclient.supervisor.seam import Gap

from .clients import read, settle
from .queues import Queue, Wire, lost, offline


async def test_nobody_is_asked_to_read_what_has_ended() -> None:
    """What an ended queue still holds does not count against the others."""
    queue = Queue(max_messages=10, total=10)
    queue.puts(*range(10))
    assert queue.reading.holders
    queue.end(lambda: LocalProtocolError("over"), quiet=True, now=1.0)
    assert not queue.reading.holders
    assert queue.bounds.total == 0
    assert [item async for item in queue] == list(range(10))
    assert queue.bounds.total == 0


async def test_error_delivers_what_is_queued_and_ends() -> None:
    queue = Queue(Overflow.ERROR, max_messages=3)
    told: list[bool] = []
    queue.on_overflow = lambda: told.append(True)
    queue.puts(1, 2, 3)
    assert not told
    queue.puts(4, 5)
    assert told == [True]
    assert [await queue.recv() for _ in range(3)] == [1, 2, 3]
    with pytest.raises(SubscriptionOverflow, match="the queue has 3 messages unread"):
        await anext(queue)


async def test_drop_oldest_leaves_a_gap_in_front() -> None:
    queue = Queue(Overflow.DROP_OLDEST, max_messages=3)
    queue.puts(1, 2, 3, 4, 5)
    assert await read(queue) == [lost(2), 3, 4, 5]
    assert queue.lost == 2
    queue.puts(6)
    assert await read(queue) == [6]


async def test_drop_newest_leaves_a_gap_behind() -> None:
    queue = Queue(Overflow.DROP_NEWEST, max_messages=3)
    queue.puts(1, 2, 3, 4, 5)
    assert await queue.recv() == 1
    queue.puts(6, 7)
    assert await read(queue) == [2, 3, lost(2), 6, lost(1)]
    assert queue.lost == 3


async def test_pause_holds_at_the_bound_and_goes_on_at_half() -> None:
    queue = Queue(Overflow.PAUSE, max_messages=4)
    queue.puts(1, 2, 3)
    assert not queue.reading.holders
    queue.puts(4, 5)
    assert queue.reading.holders == ("the queue",)
    for expected in 1, 2:
        assert await queue.recv() == expected
        assert queue.reading.holders
    assert await queue.recv() == 3
    assert not queue.reading.holders
    assert await read(queue) == [4, 5]


async def test_pause_lets_go_at_the_end() -> None:
    queue = Queue(Overflow.PAUSE, max_messages=1)
    queue.puts(1)
    assert queue.reading.holders
    queue.end(lambda: LocalProtocolError("over"), quiet=True)
    assert not queue.reading.holders
    assert [item async for item in queue] == [1]


@pytest.mark.parametrize("overflow", Overflow)
@given(data=st.data())
def test_what_arrives_together_is_counted_as_if_it_came_one_by_one(
    overflow: Overflow, data: st.DataObject
) -> None:
    feeds = data.draw(st.lists(st.lists(st.integers(1, 4), max_size=8), max_size=6))
    bounds = data.draw(st.tuples(*[st.integers(1, 20)] * 3))
    together = Queue(overflow, *bounds)
    apart = Queue(overflow, *bounds)
    number = 0
    for sizes in feeds:
        items = range(number, number := number + len(sizes))
        together.put(items, sizes, 0.0)
        for item, size in zip(items, sizes, strict=True):
            apart.put([item], [size], 0.0)
        assert together.bounds.total == apart.bounds.total
        assert together.reading.holders == apart.reading.holders
        assert (together.lost, together.count()) == (apart.lost, apart.count())
    assert together.unread() == apart.unread()


@pytest.mark.parametrize("overflow", Overflow)
async def test_one_message_always_fits_an_empty_queue(overflow: Overflow) -> None:
    queue = Queue(overflow, max_bytes=10)
    for n in range(5):
        queue.puts(n, size=1000)
        assert await read(queue) == [n]


async def test_bytes_are_bounded_too() -> None:
    queue = Queue(Overflow.DROP_OLDEST, max_messages=100, max_bytes=10)
    queue.puts("a", "b", "c", size=4)
    assert await read(queue) == [lost(1), "b", "c"]
    queue.puts("d", "e", size=4)
    queue.puts("f", size=9)
    assert await read(queue) == [lost(2), "f"]
    newest = Queue(Overflow.DROP_NEWEST, max_messages=100, max_bytes=10)
    newest.puts("a", "b", "c", size=4)
    assert await read(newest) == ["a", "b", lost(1)]
    paused = Queue(Overflow.PAUSE, max_messages=100, max_bytes=10)
    paused.puts("a", size=10)
    assert paused.reading.holders


async def test_gaps_stand_where_something_may_be_missing() -> None:
    queue = Queue(max_messages=10)
    queue.add_gap(offline(2))
    queue.puts(1)
    queue.add_gap(offline(3))
    queue.add_gap(offline(4))
    queue.puts(2)
    assert await read(queue) == [offline(2), 1, offline(3), offline(4), 2]


async def test_gaps_of_one_connection_that_follow_each_other_are_one() -> None:
    queue = Queue(max_messages=10)
    for _ in range(1000):
        queue.add_gap(lost(1, Reason.LOCAL))
    queue.puts(1)
    queue.add_gap(lost(None, Reason.LOCAL))
    queue.add_gap(lost(1, Reason.LOCAL))
    queue.add_gap(lost(1))
    assert await read(queue) == [
        lost(1000, Reason.LOCAL),
        1,
        lost(None),
    ]


async def test_the_last_gap_stands_for_itself() -> None:
    queue = Queue()
    last = Gap(generation=7, reason=Reason.LOCAL, lost=1, recovered=False)
    queue.add_gap(lost(1, Reason.LOCAL))
    queue.add_gap(last)
    assert await read(queue) == [lost(1, Reason.LOCAL), last]


async def test_a_queue_that_nobody_reads_does_not_grow_by_gaps() -> None:
    queue = Queue()
    for generation in range(2, 2 * MAX_GAPS):
        queue.add_gap(offline(generation))
    gaps = await read(queue)
    assert len(gaps) == MAX_GAPS
    assert gaps[-1].generation == 2 * MAX_GAPS - 1
    assert sum(gap.offline_for for gap in gaps) == 2 * MAX_GAPS - 2


async def test_dropping_the_oldest_keeps_the_gaps_before_it_in_order() -> None:
    queue = Queue(Overflow.DROP_OLDEST, max_messages=2)
    queue.puts(1)
    queue.add_gap(offline(8))
    queue.puts(2, 3, 4)
    queue.add_gap(offline(9))
    queue.puts(5)
    assert await read(queue) == [lost(1), offline(8), lost(2), 4, offline(9), 5]


async def test_dropping_the_oldest_for_ever_keeps_few_gaps() -> None:
    queue = Queue(Overflow.DROP_OLDEST, max_messages=2)
    for n in range(1000):
        queue.puts(n)
        queue.add_gap(lost(1, Reason.LOCAL))
    items = await read(queue)
    assert [item for item in items if not isinstance(item, Gap)] == [998, 999]
    gaps = [gap for gap in items if isinstance(gap, Gap)]
    assert len(gaps) <= 4
    assert sum(gap.lost or 0 for gap in gaps) == 998 + 1000


async def test_dropping_the_oldest_over_many_connections_keeps_few_gaps() -> None:
    queue = Queue(Overflow.DROP_OLDEST, max_messages=2)
    for n in range(1000):
        queue.puts(n)
        queue.add_gap(offline(n))
    assert len(queue._later) <= MAX_GAPS + 2
    items = await read(queue)
    assert [item for item in items if not isinstance(item, Gap)] == [998, 999]
    gaps = [gap for gap in items if isinstance(gap, Gap)]
    assert sum(gap.offline_for for gap in gaps) == 1000
    assert any(gap.lost is None for gap in gaps)


async def test_a_plain_queue_counts_and_pauses_by_itself() -> None:
    queue = Queue(Overflow.PAUSE, max_messages=4, max_bytes=10, plain=True)
    flow = Flow(0.0)
    sink = queue.sink(Wire(), flow, timed=True)  # type: ignore[arg-type]
    sink(["abc"])
    assert (flow.received, flow.message_at) == (1, 5.0)
    assert not queue.reading.holders
    sink(["abcdefgh"])
    assert queue.reading.since == 5.0
    assert await anext(queue) == "abc"
    assert queue.reading.holders
    assert await queue.recv() == "abcdefgh"
    assert not queue.reading.holders
    for _ in range(4):
        sink(["x"])
    assert queue.reading.holders
    assert await queue.recv(timeout=1) == "x"
    assert await queue.receive() == "x"
    assert not queue.reading.holders


async def test_gaps_in_a_plain_queue_do_not_make_it_pause_early() -> None:
    queue = Queue(Overflow.PAUSE, max_messages=3, plain=True)
    sink = queue.sink(Wire(), Flow(0.0), timed=False)  # type: ignore[arg-type]
    sink(["a"])
    sink(["b"])
    queue.add_gap(offline(2))
    assert await queue.recv() == "a"
    sink(["c"])
    assert not queue.reading.holders
    sink(["d"])
    assert queue.reading.holders
    assert await read(queue) == ["b", offline(2), "c", "d"]


async def test_behind_the_fence_a_sink_is_inert() -> None:
    queue = Queue(Overflow.PAUSE, plain=True)
    flow = Flow(0.0)
    sink = queue.sink(Wire(), flow, timed=False)  # type: ignore[arg-type]
    async with anyio.create_task_group() as group:

        async def receive() -> None:
            assert await queue.recv() == "before"

        group.start_soon(receive)
        await settle()
        sink(["before"])
    flow.fenced = True
    sink(["behind"])
    assert flow.received == 1
    assert queue.count() == 0


def taken(queue: Queue) -> Any:
    """Take what may be taken without a look."""
    with pytest.raises(StopIteration) as taking:
        anext(queue).send(None)
    return taking.value.value


@given(st.data())
def test_every_put_is_read_or_told(data: st.DataObject) -> None:
    """Whatever happens in whatever order: read + lost == put, in order, bounded."""
    overflow = data.draw(st.sampled_from([Overflow.DROP_OLDEST, Overflow.DROP_NEWEST]))
    bound = data.draw(st.integers(1, 4))
    queue = Queue(overflow, max_messages=bound, max_bytes=6)
    found: list[Any] = []
    number = 0
    for what in data.draw(st.lists(st.sampled_from("pppgrrrrqs"), max_size=60)):
        if what == "p":
            queue.puts(number, size=data.draw(st.integers(1, 8)))
            number += 1
        elif what == "g":
            queue.add_gap(lost(0, Reason.LOCAL))
        elif what == "q":
            queue.add_gap(offline(number))
        elif what == "s":
            queue.pace.waited()
        elif queue._granted:
            found.append(taken(queue))
        elif queue._items:
            found.append(queue._take())
        elif queue._later:
            found.append(queue._to_next_gap())
        assert queue.count() <= bound
        assert queue._bytes == queue.bounds.total
    while queue._items or queue._later:
        found.append(queue._take() if queue._items else queue._to_next_gap())
    queue.pace.settle()
    items = [item for item in found if not isinstance(item, Gap)]
    assert items == sorted(items)
    assert queue.bounds.total == 0
    expected = 0
    for item in found:
        if isinstance(item, Gap):
            if item.reason is not Reason.EOF:
                assert item.lost is not None
                expected += item.lost
        else:
            assert item == expected
            expected += 1
    assert expected == number


async def test_who_reads_as_fast_as_it_can_does_not_overflow() -> None:
    """A feed may bring more than a reader may take between two checkpoints."""
    queue = Queue(max_messages=64)
    brought = 0

    async def flood() -> None:
        nonlocal brought
        while brought < 5000:
            if not queue.reading.holders:
                queue.puts(*range(brought, brought + 100))
                brought += 100
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as group:
        group.start_soon(flood)
        assert [await queue.recv() for _ in range(5000)] == list(range(5000))
    assert not queue.reading.holders


async def test_who_waits_and_then_does_not_read_gets_a_moment_and_pays() -> None:
    queue = Queue(max_messages=4)
    async with anyio.create_task_group() as group:

        async def receive_one() -> None:
            assert await queue.recv() == 0

        group.start_soon(receive_one)
        await settle()
        queue.puts(*range(9))
        assert queue.reading.holders == ("the queue",)
    assert queue.reading.expire(MOMENT / 2) == MOMENT
    assert queue.reading.expire(MOMENT) == float("inf")
    assert not queue.reading.holders
    queue.puts(9)
    assert [await queue.recv() for _ in range(8)] == [1, 2, 3, 4, 5, 6, 7, 8]
    with pytest.raises(SubscriptionOverflow):
        await queue.recv()


@given(
    st.lists(
        st.lists(st.text("x", max_size=12), max_size=5) | st.integers(1, 5) | st.none(),
        max_size=20,
    )
)
async def test_whole_messages_keep_reading_back_from_full_to_half(
    steps: list[list[str] | int | None],
) -> None:
    queue = Queue(Overflow.PAUSE, max_messages=6, max_bytes=40, plain=True)
    sink = queue.sink(Wire(), Flow(0.0), timed=False)  # type: ignore[arg-type]
    unread: list[str] = []
    held = False
    for step in steps:
        if step is None:
            queue.add_gap(offline(7))
        elif isinstance(step, list):
            sink(step)
            unread += step
            held = held or len(unread) >= 6 or sum(map(len, unread)) >= 40
        else:
            for _ in range(min(step, len(unread))):
                assert await queue.recv() == unread.pop(0)
                if len(unread) <= 3 and sum(map(len, unread)) <= 20:
                    held = False
        assert queue.count() == len(unread)
        assert bool(queue.reading.holders) is held
