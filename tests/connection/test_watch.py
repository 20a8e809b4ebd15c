"""The deadlines of a connection, as arithmetic on a clock."""

from __future__ import annotations

from math import inf, nan
from random import Random

import pytest

from wsclient.connection.watch import Alarm, Timeouts, Watch
from wsclient.errors import ArgumentError


def late(low: float, high: float) -> float:
    return high


def watch(now: float = 0, **timeouts: float | None) -> Watch:
    quiet: dict[str, float | None] = {"ping_interval": None, "write_timeout": None}
    return Watch(Timeouts(**(quiet | timeouts)), now, late)


def test_without_timeouts_nothing_is_ever_due() -> None:
    assert watch().due() == inf
    assert watch().judge(1e9) is None


def test_a_ping_is_due_once_each_interval() -> None:
    keepalive = watch(ping_interval=20, ping_timeout=None)
    assert keepalive.due() == 20
    assert keepalive.judge(19.9) is None
    assert keepalive.judge(20) is Alarm.PING
    assert keepalive.judge(20) is None
    assert keepalive.due() == 40


def test_pings_are_jittered_towards_early() -> None:
    drawn: list[tuple[float, float]] = []

    def dice(low: float, high: float) -> float:
        drawn.append((low, high))
        return low

    keepalive = Watch(Timeouts(ping_interval=20), 0, dice)
    assert keepalive.due() == 18
    assert drawn == [(0.9, 1.0)]


@pytest.mark.parametrize("interval", [0.05, 1, 7, 20, 3600, inf])
def test_pings_of_many_connections_share_few_moments_and_none_is_late(
    interval: float,
) -> None:
    dice = Random(1)
    begun = [1e6 + dice.uniform(0, interval) for _ in range(1000)]
    begun = begun if interval < inf else [1e6]
    timeouts = Timeouts(ping_interval=interval)
    due = [Watch(timeouts, now, dice.uniform).due() for now in begun]
    assert len(set(due)) < 80
    for now, at in zip(begun, due, strict=True):
        assert now + 0.86 * interval <= at <= now + interval


def test_the_peer_is_dead_at_interval_plus_timeout_after_its_last_byte() -> None:
    keepalive = watch(ping_interval=20, ping_timeout=15)
    keepalive.heard_at = 7
    assert keepalive.judge(20) is Alarm.PING
    assert keepalive.judge(40) is Alarm.PING
    assert keepalive.judge(41.9) is None
    assert keepalive.due() == 42
    assert keepalive.judge(42) is Alarm.LIVENESS


def test_liveness_stands_still_while_we_do_not_read() -> None:
    keepalive = watch(ping_interval=20, ping_timeout=10)
    keepalive.paused(5)
    assert keepalive.judge(20) is Alarm.PING
    assert keepalive.judge(39) is None
    keepalive.resumed(39)
    assert keepalive.heard_at == 0  # nothing has come by itself
    assert keepalive.judge(40) is Alarm.PING
    assert keepalive.judge(60) is Alarm.PING
    assert keepalive.judge(69) is Alarm.LIVENESS


def test_a_slow_reader_has_slow_timeout() -> None:
    slow = watch(slow_timeout=60)
    slow.paused(10)
    assert slow.due() == 70
    assert slow.judge(69) is None
    assert slow.judge(70) is Alarm.SLOW_CONSUMER


def test_a_write_may_go_without_progress_for_write_timeout() -> None:
    stalled = watch(write_timeout=30)
    stalled.stalled(10, 5)
    stalled.stalled(20, 5)
    assert stalled.due() == 40
    stalled.stalled(25, 6)
    assert stalled.due() == 55
    assert stalled.judge(54) is None
    assert stalled.judge(55) is Alarm.WRITE_STALLED


def test_a_write_that_got_through_is_not_stalled() -> None:
    stalled = watch(write_timeout=30)
    stalled.stalled(10, 5)
    stalled.flowing()
    assert stalled.due() == inf
    assert stalled.judge(100) is None


def test_while_closing_nothing_else_counts() -> None:
    closing = watch(ping_interval=20, ping_timeout=10, write_timeout=30)
    closing.stalled(0, 0)
    closing.close_at = 100
    assert closing.due() == 100
    assert closing.judge(99) is None
    assert closing.judge(100) is Alarm.CLOSE_TIMEOUT


@pytest.mark.parametrize("name", Timeouts.__slots__)
@pytest.mark.parametrize("value", [-1, nan, "5", True])
def test_a_timeout_that_is_no_duration_is_refused_by_name(
    name: str, value: object
) -> None:
    with pytest.raises(ArgumentError, match=name):
        Timeouts(**{name: value})  # type: ignore[arg-type]


def test_a_ping_interval_of_nothing_is_refused() -> None:
    with pytest.raises(ArgumentError, match="None sends no pings"):
        Timeouts(ping_interval=0)
