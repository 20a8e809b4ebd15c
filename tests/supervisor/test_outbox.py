"""One queue of sends: in order, bounded, and everybody is told."""

from __future__ import annotations

import anyio
import pytest

from wsclient.errors import MaybeSent, NotSent, QueueFull, Reason
from wsclient.supervisor.outbox import (
    MAX_REPLIES,
    Bell,
    Entry,
    Fate,
    Outbox,
    Receipt,
    WhenDown,
)
from wsclient.supervisor.seam import Attempt

from .clients import settle
from .network import FakeLink

GONE = OSError("gone")


def outbox() -> Outbox:
    return Outbox(3, 10)


def link() -> FakeLink:
    return FakeLink(Attempt(generation=1, number=1, last_outcome=None, deadline=10.0))


def queued(data: str) -> Entry:
    return Entry(data, data, WhenDown.QUEUE, receipt=Receipt(Fate.QUEUED))


def waiting(data: str, policy: WhenDown = WhenDown.WAIT) -> Entry:
    return Entry(data, data, policy, wake=anyio.Event())


async def test_messages_leave_in_the_order_of_the_calls_behind_replies() -> None:
    box, wire = outbox(), link()
    wire.make_room(0)
    for entry in queued("a"), waiting("b"), queued("c"):
        box.add(entry)
    box.reply("!1", wire)
    box.reply("!2", wire)
    assert not box.idle
    assert (box.queued, box.waiting) == (2, 1)
    assert not box.drain(wire)
    wire.make_room()
    assert box.drain(wire)
    assert wire.sent == ["!1", "!2", "a", "b", "c"]
    assert box.idle
    assert (box.queued, box.waiting, box.sent) == (0, 0, 5)


async def test_a_reply_goes_at_once_where_there_is_room() -> None:
    box, wire = outbox(), link()
    box.reply("!", wire)
    assert wire.sent == ["!"]
    assert box.idle


async def test_draining_stops_where_room_ends() -> None:
    box, wire = outbox(), link()
    wire.make_room(1)
    for text in "ab":
        box.add(waiting(text))
    assert not box.drain(wire)
    assert wire.sent == ["a"]


async def test_draining_up_to_a_mark_leaves_what_came_later() -> None:
    box, wire = outbox(), link()
    assert box.drain(wire, box.mark)
    box.add(queued("a"))
    mark = box.mark
    box.add(queued("b"))
    assert box.drain(wire, mark)
    assert wire.sent == ["a"]
    assert box.drain_replies(wire)
    wire.make_room(0)
    assert not box.drain_replies(wire)
    box.reply("!", wire)
    wire.make_room()
    assert box.drain_replies(wire)
    assert wire.sent == ["a", "!"]


async def test_the_queue_is_bounded_by_messages_and_by_bytes() -> None:
    box = outbox()
    for text in "abc":
        box.check_room(text, text)
        box.add(queued(text))
    with pytest.raises(QueueFull, match="3 messages, 3 bytes") as caught:
        box.check_room("d", "the item")
    assert caught.value.message == "the item"
    box = outbox()
    box.check_room("x" * 100, "")
    box.add(queued("x" * 8))
    box.check_room("xx", "")
    with pytest.raises(QueueFull):
        box.check_room("xxx", "")


async def test_a_message_taken_back_never_leaves() -> None:
    box, wire = outbox(), link()
    entry = waiting("a")
    box.add(entry)
    assert box.withdraw(entry)
    assert not box.withdraw(entry)
    assert box.drain(wire)
    assert wire.sent == []


async def test_more_than_a_thousand_replies_end_the_connection() -> None:
    box, wire = outbox(), link()
    wire.make_room(0)
    for n in range(MAX_REPLIES):
        box.reply(str(n), wire)
    assert wire.ended is None
    box.reply("one too many", wire)
    assert getattr(wire.ended, "reason", None) is Reason.WRITE_STALLED
    assert box.idle


async def test_a_receipt_tells_when_the_kernel_has_it() -> None:
    box, wire = outbox(), link()
    wire.kernel = False
    entries = [queued("a"), queued("b")]
    for entry in entries:
        box.add(entry)
    assert box.drain(wire)
    receipts = [entry.receipt for entry in entries if entry.receipt]
    assert [r.fate for r in receipts] == [Fate.QUEUED, Fate.QUEUED]
    assert box.unflushed
    assert box.count_unflushed() == 2
    told: list[Fate] = []

    async def wait() -> None:
        told.append(await receipts[0].wait())

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        group.start_soon(wait)
        await settle()
        box.flushed(1)
    assert told == [Fate.SENT, Fate.SENT]
    box.life_ended(GONE)
    with pytest.raises(MaybeSent) as caught:
        await receipts[1].wait()
    assert caught.value.__cause__ is GONE
    assert caught.value.message == "b"
    assert receipts[1].error is caught.value
    assert repr(receipts[1]) == "<Receipt maybe_sent>"
    assert not box.unflushed


async def test_only_what_may_wait_outlives_a_connection() -> None:
    box, wire = outbox(), link()
    wire.make_room(0)
    control = Entry("subscribe", "topic", None)
    raising, dropping = waiting("r", WhenDown.RAISE), waiting("d", WhenDown.DROP)
    patient, stored = waiting("w"), queued("q")
    for entry in control, raising, patient, dropping, stored:
        box.add(entry)
    box.reply("!", wire)
    box.life_ended(GONE)
    for entry in raising, dropping:
        assert isinstance(entry.error, NotSent)
        assert entry.error.__cause__ is GONE
        assert entry.wake is not None
        assert entry.wake.is_set()
    fresh = link()
    assert box.drain(fresh)
    assert fresh.sent == ["w", "q"]
    assert patient.link is fresh
    assert patient.flushed


async def test_the_end_tells_everybody() -> None:
    box = outbox()
    patient, stored = waiting("w"), queued("q")
    box.add(patient)
    box.add(stored)
    box.end(GONE)
    assert patient.error is not None
    assert patient.wake is not None
    assert patient.wake.is_set()
    assert stored.receipt is not None
    assert stored.receipt.fate is Fate.NOT_SENT
    with pytest.raises(NotSent):
        await stored.receipt.wait()
    assert box.queued == 0
    assert box.idle


async def test_a_ring_while_busy_is_not_lost() -> None:
    bell = Bell()
    bell.ring()
    bell.ring()
    with anyio.fail_after(1):
        await bell.wait()
    with anyio.move_on_after(1) as scope:
        await bell.wait()
    assert scope.cancelled_caught
    async with anyio.create_task_group() as group:
        group.start_soon(bell.wait)
        await settle()
        bell.ring()
