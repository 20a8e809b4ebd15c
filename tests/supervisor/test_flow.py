"""Turns, pauses, and the bytes of all queues together."""

from __future__ import annotations

import pytest

from wsclient.supervisor.flow import TURNS, Bounds, Pace, Reading


def reading() -> tuple[Reading, list[str]]:
    changes: list[str] = []
    return Reading(lambda: changes.append("changed")), changes


def test_reading_goes_on_when_the_last_holder_lets_go() -> None:
    it, changes = reading()
    it.hold("a", 1.0)
    it.hold("b", 2.0)
    it.hold("a", 3.0)
    assert it.holders == ("a", "b")
    assert it.since == 1.0
    it.release("a", 4.0)
    assert it.since == 1.0
    assert changes == ["changed"]
    it.release("b", 5.0)
    assert it.since is None
    assert changes == ["changed", "changed"]
    it.release("b", 6.0)
    assert len(changes) == 2


def test_the_clock_stands_still_while_paused() -> None:
    it, _ = reading()
    assert it.clock(10.0) == 10.0
    it.hold("a", 10.0)
    assert it.clock(10.0) == it.clock(25.0) == 10.0
    it.release("a", 25.0)
    assert it.clock(25.0) == 10.0
    assert it.clock(30.0) == 15.0
    it.hold("a", 30.0)
    it.release("a", 29.0)  # a feed may be older than the one who read
    assert it.clock(31.0) == 16.0


def test_the_common_bound_holds_until_half_is_read() -> None:
    it, _ = reading()
    bounds = Bounds(100, it)
    bounds.add(60, 0.0)
    assert not it.holders
    bounds.add(40, 0.0)
    assert it.holders == ("all queues of the client (100 bytes)",)
    bounds.take(49, 1.0)
    assert it.holders
    bounds.take(1, 1.0)
    assert not it.holders
    bounds.take(50, 1.0)
    assert bounds.total == 0


async def test_a_checkpoint_is_due_every_so_many_calls() -> None:
    pace = Pace()
    pace.left = 0
    assert pace.due()
    await pace.checkpoint()
    pace.waited()
    assert pace.left == TURNS == 32
    assert not pace.due()
    assert pace.left == TURNS - 1


async def test_while_guarded_no_call_takes_the_short_way() -> None:
    pace = Pace()
    pace.guard(True)
    assert pace.left == 0
    await pace.breathe()
    assert pace.left == 0
    pace.guard(False)
    assert pace.left == TURNS


@pytest.mark.parametrize("size", [100, 250])
def test_one_message_of_any_size_passes(size: int) -> None:
    it, _ = reading()
    bounds = Bounds(100, it)
    bounds.add(size, 0.0)
    assert it.holders
    bounds.take(size, 0.0)
    assert not it.holders


def test_who_holds_for_a_moment_is_released_when_it_is_over() -> None:
    it, changes = reading()
    over: list[str] = []
    it.hold("briefly", 1.0, until=2.0, expired=lambda: over.append("briefly"))
    assert it.expire(1.5) == 2.0
    assert it.holders == ("briefly",)
    it.hold("for long", 1.6)
    assert it.expire(2.0) == float("inf")
    assert over == ["briefly"]
    assert it.holders == ("for long",)
    it.release("for long", 3.0)
    assert it.expire(3.0) == float("inf")
    assert changes == ["changed", "changed"]


async def test_a_call_breathes_when_none_is_left() -> None:
    pace = Pace()
    for left in range(TURNS - 1, -1, -1):
        await pace.breathe()
        assert pace.left == left
    await pace.breathe()
    assert pace.left == TURNS
