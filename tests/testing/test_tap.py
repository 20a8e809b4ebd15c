"""A tap writes down what it is told, and what a wire must not do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import anyio
import pytest

from wsclient.testing.tap import Tap, lend
from wsclient.wire import Feed, Lost, Spawn, Wire


class Teller:
    """A wire that tells whatever the test wants."""

    feed: Feed
    lost: Lost
    drained: Callable[[], None]
    spawn: Spawn

    def start(self, feed: Feed, lost: Lost, drained: Callable[[], None]) -> None:
        self.feed, self.lost, self.drained = feed, lost, drained

    def adopt(self, spawn: Spawn) -> None:
        self.spawn = spawn


async def test_it_writes_down_bytes_and_the_end() -> None:
    wire = Teller()
    async with anyio.create_task_group() as group:
        tap = Tap(cast(Wire, wire), group)
        wire.feed(memoryview(b"one"))
        wire.feed(memoryview(b"two"))
        wire.drained()
        wire.feed(None)
    assert (bytes(tap.received), tap.feeds, tap.drained) == (b"onetwo", 2, 1)
    assert tap.ended == "eof"
    assert tap.violations == []


async def test_what_it_lends_are_tasks_of_the_group() -> None:
    wire = Teller()
    ran = anyio.Event()

    async def task() -> None:
        ran.set()

    async with anyio.create_task_group() as group:
        Tap(cast(Wire, wire), group)
        wire.spawn(task)
        lend(group)(task)
    assert ran.is_set()


def _feeds_nothing(wire: Teller, tap: Tap) -> None:
    wire.feed(memoryview(b""))


def _feeds_within_feed(wire: Teller, tap: Tap) -> None:
    def again() -> None:
        tap.on_feed = lambda: None
        wire.feed(memoryview(b"y"))

    tap.on_feed = again
    wire.feed(memoryview(b"x"))


def _feeds_after_the_end(wire: Teller, tap: Tap) -> None:
    wire.feed(None)
    wire.feed(memoryview(b"x"))


def _fails_after_the_end(wire: Teller, tap: Tap) -> None:
    wire.feed(None)
    wire.lost(OSError())


def _tells_who_has_ended_it(wire: Teller, tap: Tap) -> None:
    tap.closed_here = True
    wire.drained()


@pytest.mark.parametrize(
    "fault",
    [
        _feeds_nothing,
        _feeds_within_feed,
        _feeds_after_the_end,
        _fails_after_the_end,
        _tells_who_has_ended_it,
    ],
)
async def test_what_a_wire_must_not_do_is_a_violation(
    fault: Callable[[Any, Tap], None],
) -> None:
    wire = Teller()
    async with anyio.create_task_group() as group:
        tap = Tap(cast(Wire, wire), group)
        fault(wire, tap)
    assert len(tap.violations) == 1
