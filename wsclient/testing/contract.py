"""The contract of :class:`wsclient.wire.Wire`, executable: every wire passes it."""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import takewhile
from operator import eq

import anyio

from ..wire import Wire
from .tap import Tap

__all__ = ("WIRE_CHECKS", "MakePair", "WireCheck", "check_wire")

MakePair = Callable[[], AbstractAsyncContextManager[tuple[Wire, Wire]]]
"""Makes two wires connected to each other, not started; closes what is left."""

_MOMENT = 0.02  # seconds in which nothing may happen; waiting longer only finds more
_PART = 300_000  # bytes of a flood that are written at once
_BOUND = 65536 + 16384  # bytes of a read, and of a record of TLS begun before it
_MOST = 32 * 1_048_576  # more than any kernel holds


@asynccontextmanager
async def _taps(
    left: Wire, right: Wire, *, adopt: bool = True
) -> AsyncIterator[tuple[Tap, Tap]]:
    async with anyio.create_task_group() as group:
        taps = Tap(left, group, adopt=adopt), Tap(right, group, adopt=adopt)
        try:
            yield taps
        finally:
            for tap in taps:
                tap.closed_here = True
                tap.wire.abort()
        for tap in taps:
            await tap.wire.aclose()  # frees what an abort without tasks could not
        await anyio.sleep(_MOMENT)
        assert not [tap.violations for tap in taps if tap.violations]


async def _fill(wire: Wire) -> bytes:
    """Write until nothing moves any more; return all that was written."""
    written = bytearray()
    still = 0
    while still < 3:
        if not still:
            assert len(written) < _MOST, "flush does not wait for the kernel"
            part = _pattern(_PART, len(written))
            written += part
            assert wire.write(part) <= (wire.buffered == 0)
        before = wire.buffered
        with anyio.move_on_after(_MOMENT) as scope:
            await wire.flush()
        stuck = scope.cancelled_caught and 0 < wire.buffered == before
        still = still + 1 if stuck else int(scope.cancelled_caught)
    return bytes(written)


async def _pump(wire: Wire) -> None:
    await wire.pump()


def _pattern(size: int, seed: int = 0) -> bytes:
    """Bytes whose order shows: every 32-bit word is another one."""
    return array("I", range(seed, seed + size // 4 + 1)).tobytes()[:size]


def _same(received: bytearray, sent: bytes) -> None:
    """Say where they part: a difference of all of it is long, and takes as long."""
    if received != sent:
        common = sum(takewhile(bool, map(eq, received, sent)))
        told = f"{len(received)} bytes came of {len(sent)}, good are {common}"
        raise AssertionError(told)


async def bytes_arrive_whole_and_in_order(left: Wire, right: Wire) -> None:
    sizes = [1, 2, 63, 64, 1000, 16384, 16385, 65536, 65537, 300_000, 1]
    parts = [_pattern(size, seed) for seed, size in enumerate(sizes)]
    whole = b"".join(parts)
    async with _taps(left, right) as (a, b):
        for part in parts:
            a.wire.write(part)
            b.wire.write(part)
        async with anyio.create_task_group() as group:
            for tap in (a, b):
                group.start_soon(tap.until, lambda t=tap: len(t.received) >= len(whole))
        for tap in (a, b):
            _same(tap.received, whole)


async def writing_within_feed_answers(left: Wire, right: Wire) -> None:
    async with _taps(left, right) as (a, b):
        b.on_feed = lambda: void(b.wire.write(b"pong"))
        a.wire.write(b"ping")
        async with anyio.create_task_group() as group:
            group.start_soon(b.until, lambda: len(b.received) >= 4)
            await a.until(lambda: len(a.received) >= 4)
            assert a.received == b"pong"


def void(_: object) -> None:
    """Take a value and give none."""


async def an_end_is_told_once_and_pump_returns_after_it(
    left: Wire, right: Wire
) -> None:
    async with _taps(left, right) as (a, b):
        a.wire.write(b"last")
        a.closed_here = True
        async with anyio.create_task_group() as group:
            group.start_soon(a.wire.aclose)
            await b.until_ended()
        assert (bytes(b.received), b.ended) == (b"last", "eof")
        for _ in range(3):
            await b.wire.pump()
            b.wire.drain(65536)
        await a.wire.aclose()


async def a_peer_that_aborts_is_told_once(left: Wire, right: Wire) -> None:
    async with _taps(left, right) as (a, b):
        a.closed_here = True
        a.wire.abort()
        await b.until_ended()
        for _ in range(3):
            await b.wire.pump()


async def writing_never_fails(left: Wire, right: Wire) -> None:
    async with _taps(left, right) as (a, b):
        a.closed_here = True
        a.wire.abort()
        b.wire.pause()
        for _ in range(20):
            b.wire.write(b"to nobody")
            await b.wire.flush()
        b.wire.resume()
        await b.until_ended()
        b.closed_here = True
        b.wire.abort()
        assert b.wire.write(b"too late")
        await b.wire.flush()
        assert b.wire.buffered == 0


async def last_words_come_before_a_failed_write_is_told(
    left: Wire, right: Wire
) -> None:
    async with _taps(left, right) as (a, b):
        a.wire.write(b"last words")
        with anyio.move_on_after(_MOMENT):
            await a.wire.flush()
        spoken = not a.wire.buffered  # else nothing in between can hold them
        a.closed_here = True
        a.wire.abort()
        for _ in range(20):
            b.wire.write(b"unheard")
            await b.wire.flush()
        await b.until_ended()
        _same(b.received, b"last words" * spoken)


async def flush_waits_for_the_kernel_and_a_cancelled_one_takes_nothing_back(
    left: Wire, right: Wire
) -> None:
    async with _taps(left, right) as (a, b):
        b.wire.pause()
        flood = await _fill(a.wire)
        drained = a.drained
        for _ in range(2):
            with anyio.move_on_after(_MOMENT) as scope:
                await a.wire.flush()
            assert scope.cancelled_caught
        assert a.wire.buffered > 0
        assert a.drained == drained
        b.wire.resume()
        async with anyio.create_task_group() as group:
            group.start_soon(b.until, lambda: len(b.received) >= len(flood))
            await a.wire.flush()
            assert a.wire.buffered == 0
        _same(b.received, flood)
        assert a.drained == drained + 1
        await a.wire.flush()


async def flush_ends_with_the_wire(left: Wire, right: Wire) -> None:
    async with _taps(left, right) as (a, b):
        b.wire.pause()
        await _fill(a.wire)
        async with anyio.create_task_group() as group:
            group.start_soon(a.wire.flush)
            group.start_soon(a.wire.flush)
            group.start_soon(_pump, a.wire)
            await anyio.sleep(_MOMENT)
            a.closed_here = True
            a.wire.abort()
        assert a.wire.buffered == 0


async def a_cancelled_pump_loses_nothing(left: Wire, right: Wire) -> None:
    async with _taps(left, right) as (a, b):
        sent = b""
        for number in range(200):
            part = _pattern(1 + number * 7, number)
            sent += part
            a.wire.write(part)
            for _ in range(2):
                with anyio.CancelScope() as scope:
                    if number % 2:
                        scope.cancel()
                    else:
                        scope.deadline = anyio.current_time() + number % 3 * 0.0001
                    await b.wire.pump()
        async with anyio.create_task_group() as group:
            group.start_soon(a.wire.flush)
            await b.until(lambda: len(b.received) >= len(sent))
        _same(b.received, sent)


async def pump_returns_after_each_feed(left: Wire, right: Wire) -> None:
    async with _taps(left, right) as (a, b):
        for number in range(1, 20):
            async with anyio.create_task_group() as group:
                a.wire.write(b"x")
                group.start_soon(a.wire.flush)
                while len(b.received) < number:
                    fed = b.feeds
                    await b.wire.pump()
                    assert b.feeds > fed
        assert b.received == b"x" * 19


async def pause_stops_the_flow(left: Wire, right: Wire) -> None:
    flood = b""
    async with _taps(left, right) as (a, b):
        b.on_feed = b.wire.pause
        async with anyio.create_task_group() as group:
            group.start_soon(b.until, lambda: b.feeds > 0)
            flood = await _fill(a.wire)
            group.start_soon(b.until, lambda: len(b.received) >= len(flood))
            await anyio.sleep(_MOMENT)
            assert 0 < len(b.received) < len(flood)
            b.on_feed = lambda: None
            b.wire.pause()
            b.wire.resume()
        _same(b.received, flood)


async def reads_are_bounded_unless_they_are_widened(left: Wire, right: Wire) -> None:
    sent = _pattern(300_000)
    async with _taps(left, right) as (a, b):
        a.wire.write(sent)
        await b.until(lambda: len(b.received) >= len(sent))
        _same(b.received, sent)
        assert b.largest <= _BOUND
        b.wire.widen(True)
        a.wire.write(sent)
        await b.until(lambda: len(b.received) >= 2 * len(sent))
        b.largest = 0
        b.wire.widen(False)
        a.wire.write(sent)
        await b.until(lambda: len(b.received) >= 3 * len(sent))
        _same(b.received, 3 * sent)
        assert b.largest <= _BOUND


async def drain_feeds_what_is_readable_even_while_paused(
    left: Wire, right: Wire
) -> None:
    async with _taps(left, right) as (a, b):
        b.wire.pause()
        a.wire.write(b"now")
        await a.wire.flush()
        await anyio.sleep(_MOMENT)
        assert b.received == b""
        b.wire.drain(65536)
        assert b.received == b"now"
        a.wire.write(bytes(100_000))
        await anyio.sleep(_MOMENT)
        b.wire.drain(40_000)
        assert 0 < len(b.received) - 3 < 100_000


async def shutdown_says_the_end_and_goes_on_with_the_peers_words(
    left: Wire, right: Wire
) -> None:
    async with _taps(left, right) as (a, b):
        async with anyio.create_task_group() as group:
            group.start_soon(b.until_ended)
            a.wire.write(b"that is all")
            await a.wire.flush()
            a.wire.shutdown()
            a.wire.shutdown()
        assert (bytes(b.received), b.ended) == (b"that is all", "eof")
        with anyio.move_on_after(_MOMENT) as scope:
            await a.wire.pump()
        assert scope.cancelled_caught, "it has ended both directions"
        b.wire.write(b"one more word")
        b.closed_here = True
        async with anyio.create_task_group() as group:
            group.start_soon(a.until_ended)
            await b.wire.aclose()
        assert (bytes(a.received), a.ended) == (b"one more word", "eof")


async def shutting_down_within_feed_goes_on_with_the_peers_words(
    left: Wire, right: Wire
) -> None:
    async with _taps(left, right) as (a, b):
        b.on_feed = b.wire.shutdown
        flood = _pattern(1_000_000)
        a.wire.write(flood)
        async with anyio.create_task_group() as group:
            group.start_soon(b.until_ended)
            await a.until_ended()
            assert a.ended == "eof"
            a.closed_here = True
            await a.wire.aclose()
        _same(b.received, flood)
        assert b.ended == "eof"


async def finish_says_the_end_without_waiting(left: Wire, right: Wire) -> None:
    async with _taps(left, right) as (a, b):
        a.wire.write(b"that is all")
        a.closed_here = True
        a.wire.finish()
        a.wire.finish()
        a.wire.abort()
        assert a.wire.write(b"no more")
        await a.wire.pump()
        await a.wire.flush()
        await b.until_ended()
        assert (bytes(b.received), b.ended) == (b"that is all", "eof")


async def abort_wakes_and_silences(left: Wire, right: Wire) -> None:
    async with _taps(left, right) as (a, b):
        async with anyio.create_task_group() as group:
            group.start_soon(_pump, b.wire)
            await anyio.sleep(_MOMENT)
            a.wire.write(b"unheard")
            b.closed_here = True
            b.wire.abort()
            b.wire.abort()
        await anyio.sleep(_MOMENT)
        assert b.received == b""
        await b.wire.pump()
        await b.wire.flush()
        await b.wire.aclose()


async def aborting_within_feed_ends_there(left: Wire, right: Wire) -> None:
    async with _taps(left, right) as (a, b):

        def abort() -> None:
            b.closed_here = True
            b.wire.abort()

        b.on_feed = abort
        a.wire.write(bytes(200_000))
        await b.until_or_ended(lambda: b.closed_here)
        assert 0 < len(b.received) < 200_000
        await b.wire.pump()


async def aborting_when_drained_ends_there(left: Wire, right: Wire) -> None:
    async with _taps(left, right) as (a, b):

        def abort() -> None:
            a.closed_here = True
            a.wire.abort()

        b.wire.pause()
        flood = await _fill(a.wire)
        a.on_drained = abort
        b.wire.resume()
        async with anyio.create_task_group() as group:
            group.start_soon(b.until_ended)
            await a.wire.flush()
            await a.wire.pump()
        _same(b.received, flood)


async def closing_delivers_everything(left: Wire, right: Wire) -> None:
    async with _taps(left, right) as (a, b):
        b.wire.pause()
        flood = await _fill(a.wire)
        b.wire.resume()
        a.closed_here = True
        async with anyio.create_task_group() as group:
            group.start_soon(b.until_ended)
            await a.wire.aclose()
            await a.wire.aclose()
        _same(b.received, flood)
        assert b.ended == "eof"


async def a_cancelled_close_aborts(left: Wire, right: Wire) -> None:
    async with _taps(left, right) as (a, b):
        b.wire.pause()
        flood = await _fill(a.wire)
        with anyio.CancelScope() as scope:
            scope.cancel()
            a.closed_here = True
            await a.wire.aclose()
        assert scope.cancelled_caught
        assert a.wire.buffered == 0
        b.wire.resume()
        await b.until_ended()
        assert len(b.received) < len(flood)
        _same(b.received, flood[: len(b.received)])


async def closing_works_in_a_cancelled_scope(left: Wire, right: Wire) -> None:
    async with _taps(left, right) as (a, b):
        with anyio.CancelScope() as scope:
            scope.cancel()
            a.closed_here = True
            await a.wire.aclose()
        await b.until_ended()


async def time_is_the_event_loops(left: Wire, right: Wire) -> None:
    async with _taps(left, right) as (a, _):
        before = anyio.current_time()
        assert before <= a.wire.time() <= anyio.current_time()
        if a.wire.pulled:
            return
        rung = anyio.Event()
        kept = a.wire.call_at(before + _MOMENT, rung.set)
        dropped = a.wire.call_at(before, lambda: a.violations.append("rung"))
        dropped.cancel()
        dropped.cancel()
        await rung.wait()
        assert a.wire.time() > before + _MOMENT / 2  # some clocks tick in milliseconds
        kept.cancel()


async def without_tasks_of_the_owners_flush_sends(left: Wire, right: Wire) -> None:
    sent = _pattern(1_000_000)
    async with _taps(left, right, adopt=False) as (a, b):
        a.wire.write(sent)
        async with anyio.create_task_group() as group:
            group.start_soon(a.wire.flush)
            group.start_soon(a.wire.flush)
            await b.until(lambda: len(b.received) >= len(sent))
        _same(b.received, sent)
        b.wire.write(b"bye")
        b.closed_here = True
        async with anyio.create_task_group() as group:
            group.start_soon(a.until_ended)
            await b.wire.aclose()
        assert (bytes(a.received), a.ended) == (b"bye", "eof")


WireCheck = Callable[[Wire, Wire], Awaitable[None]]

WIRE_CHECKS: tuple[WireCheck, ...] = (
    bytes_arrive_whole_and_in_order,
    writing_within_feed_answers,
    an_end_is_told_once_and_pump_returns_after_it,
    a_peer_that_aborts_is_told_once,
    writing_never_fails,
    last_words_come_before_a_failed_write_is_told,
    flush_waits_for_the_kernel_and_a_cancelled_one_takes_nothing_back,
    flush_ends_with_the_wire,
    a_cancelled_pump_loses_nothing,
    pump_returns_after_each_feed,
    pause_stops_the_flow,
    reads_are_bounded_unless_they_are_widened,
    drain_feeds_what_is_readable_even_while_paused,
    shutdown_says_the_end_and_goes_on_with_the_peers_words,
    shutting_down_within_feed_goes_on_with_the_peers_words,
    finish_says_the_end_without_waiting,
    abort_wakes_and_silences,
    aborting_within_feed_ends_there,
    aborting_when_drained_ends_there,
    closing_delivers_everything,
    a_cancelled_close_aborts,
    closing_works_in_a_cancelled_scope,
    time_is_the_event_loops,
    without_tasks_of_the_owners_flush_sends,
)
"""Each sentence of the contract; each takes a fresh pair."""


async def check_wire(make_pair: MakePair, *, drains: bool = True) -> None:
    """
    Hold a kind of wire to the contract, in real or in virtual time.

    Args:
        make_pair: makes a fresh, connected, unstarted pair, once for each sentence.
        drains: whether ``drain`` can read; a foreign byte stream cannot be asked.

    Raises:
        AssertionError: the contract is broken; the traceback names the sentence.

    """
    for check in WIRE_CHECKS:
        if drains or check is not drain_feeds_what_is_readable_even_while_paused:
            async with make_pair() as (left, right):
                await check(left, right)
