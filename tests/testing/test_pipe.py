"""One direction of a simulated connection, without a wire."""

from __future__ import annotations

from math import inf

import pytest

from wsclient.testing import Pipe


class Clock:
    """A clock that its test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def read(pipe: Pipe) -> bytes:
    """What can be read now."""
    buffer = bytearray(100_000)
    count = pipe.recv_into(memoryview(buffer))
    return bytes(buffer[:count])


def test_bytes_take_their_time_by_the_bandwidth_and_the_latency(clock: Clock) -> None:
    pipe = Pipe(clock, latency=1.0, bandwidth=1000.0)
    pipe.send(b"x" * 2000)
    assert pipe.arrival() == pytest.approx(1460 / 1000 + 1)
    clock.now = pipe.arrival()
    assert len(read(pipe)) == 1460
    assert pipe.arrival() == pytest.approx(2000 / 1000 + 1)


def test_what_is_sent_later_waits_for_its_turn(clock: Clock) -> None:
    pipe = Pipe(clock, bandwidth=100.0)
    pipe.send(b"x" * 100)
    pipe.send(b"y" * 100)
    pipe.eof()
    clock.now = 1.0
    assert read(pipe) == b"x" * 100
    assert pipe.arrival() == pytest.approx(2.0)
    clock.now = 2.0
    assert read(pipe) == b"y" * 100
    assert pipe.arrival() == pytest.approx(2.0)
    assert read(pipe) == b""


def test_nothing_overtakes_when_the_latency_falls(clock: Clock) -> None:
    pipe = Pipe(clock, latency=10.0)
    pipe.send(b"slow")
    pipe.latency = 1.0
    pipe.send(b"fast")
    pipe.eof()
    assert pipe.arrival() == 10.0
    clock.now = 10.0
    assert [read(pipe), read(pipe), read(pipe)] == [b"slow", b"fast", b""]


def test_silence_has_causes_and_the_last_one_heals(clock: Clock) -> None:
    pipe = Pipe(clock)
    pipe.silence("power")
    pipe.silence()
    pipe.send(b"held")
    pipe.heal()
    assert pipe.arrival() == inf
    pipe.heal("power")
    assert read(pipe) == b"held"


def test_a_cause_that_heals_does_not_end_a_stall(clock: Clock) -> None:
    pipe = Pipe(clock)
    pipe.stall()
    pipe.heal("power")
    with pytest.raises(BlockingIOError):
        pipe.send(b"x")
    pipe.heal()
    assert pipe.send(b"x") == 1


@pytest.mark.parametrize("losing", [False, True])
def test_a_reset_may_lose_what_is_on_its_way(clock: Clock, losing: bool) -> None:
    pipe = Pipe(clock, latency=1.0)
    pipe.send(b"on its way")
    pipe.reset(losing=losing)
    with pytest.raises(ConnectionResetError):
        pipe.send(b"more")
    clock.now = 1.0
    if not losing:
        assert read(pipe) == b"on its way"
    with pytest.raises(ConnectionResetError):
        read(pipe)


def test_each_refusal_is_an_error_of_its_own(clock: Clock) -> None:
    """One that is raised again would keep alive all through which it was raised."""
    pipe = Pipe(clock)
    pipe.refuse(BrokenPipeError("hung up"))
    with pytest.raises(BrokenPipeError, match="hung up") as first:
        pipe.send(b"one")
    with pytest.raises(BrokenPipeError, match="hung up") as second:
        pipe.send(b"two")
    assert first.value is not second.value
