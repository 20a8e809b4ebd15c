"""The pulled wire's own promises, on simulated sockets in virtual time."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from wsclient.testing.tap import lend
from wsclient.testing.wires import wire_pair

from .conftest import virtual

pytestmark = virtual


class Ear:
    """Writes down what a wire tells, one word for each call."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def fed(self, chunk: memoryview | None) -> None:
        self.told.append(None if chunk is None else bytes(chunk))

    def drained(self) -> None:
        self.told.append("drained")


async def test_a_pulled_wire_has_no_timers() -> None:
    left, right = wire_pair()
    with pytest.raises(RuntimeError, match="no timers"):
        left.call_at(1.0, lambda: None)
    left.abort()
    right.abort()


async def test_unsent_bytes_go_on_in_the_owners_task_from_adoption_on() -> None:
    left, right = wire_pair(capacity=10)
    ear, other = Ear(), Ear()
    left.start(ear.fed, ear.told.append, ear.drained)
    right.start(other.fed, other.told.append, other.drained)
    assert not left.write(b"0123456789abcdef")
    assert left.buffered == 6
    await right.pump()
    assert left.buffered == 6, "nobody sends yet"
    async with anyio.create_task_group() as group:
        left.adopt(lend(group))
        await right.pump()
    assert b"".join(other.told) == b"0123456789abcdef"
    assert ear.told == ["drained"]
    left.abort()
    right.abort()


async def test_a_flush_cancelled_after_adoption_hands_over_to_the_owner() -> None:
    left, right = wire_pair(capacity=10)
    ear, other = Ear(), Ear()
    left.start(ear.fed, ear.told.append, ear.drained)
    right.start(other.fed, other.told.append, other.drained)
    left.write(bytes(30))
    async with anyio.create_task_group() as group:

        async def adopt_meanwhile() -> None:
            left.adopt(lend(group))

        with anyio.move_on_after(1) as scope:
            group.start_soon(adopt_meanwhile)
            await left.flush()
        assert scope.cancelled_caught
        while len(b"".join(other.told)) < 30:
            await right.pump()
    assert ear.told == ["drained"]
    left.abort()
    right.abort()


@pytest.mark.parametrize("adopted", [True, False])
async def test_a_failed_write_is_told_by_a_task_or_by_who_waits_never_by_write(
    adopted: bool,
) -> None:
    left, right = wire_pair()
    ear = Ear()
    left.start(ear.fed, ear.told.append, ear.drained)
    right.write(b"last words")
    left.out.refuse(BrokenPipeError("gone"))
    async with anyio.create_task_group() as group:
        if adopted:
            left.adopt(lend(group))
        assert not left.write(b"one")
        assert not left.write(b"two")
        assert ear.told == []
        if not adopted:
            await left.pump()
    assert ear.told[0] == b"last words"
    assert isinstance(ear.told[1], BrokenPipeError)
    assert len(ear.told) == 2
    right.abort()


async def test_adoption_after_a_failed_write_tells_it() -> None:
    left, right = wire_pair()
    ear = Ear()
    left.start(ear.fed, ear.told.append, ear.drained)
    left.pause()
    left.out.refuse(BrokenPipeError("gone"))
    left.write(b"unheard")
    async with anyio.create_task_group() as group:
        left.adopt(lend(group))
    assert [type(item) for item in ear.told] == [BrokenPipeError]
    right.abort()


async def test_a_write_that_fails_after_the_peers_eof_is_no_loss() -> None:
    left, right = wire_pair()
    ear = Ear()
    left.start(ear.fed, ear.told.append, ear.drained)
    right.finish()
    await left.pump()
    left.write(b"unheard")
    await left.flush()
    assert ear.told == [None]
    assert left.write(b"over")


async def test_last_words_are_read_to_a_bound() -> None:
    """A peer that floods while our writes fail is not read for ever."""
    left, right = wire_pair(capacity=4_000_000)
    ear = Ear()
    left.start(ear.fed, ear.told.append, ear.drained)
    right.write(bytes(3_000_000))
    left.out.refuse(BrokenPipeError("gone"))
    left.write(b"unheard")
    await left.flush()
    fed = sum(len(item) for item in ear.told[:-1])
    assert 1_048_576 <= fed <= 1_048_576 + 65536
    right.abort()


async def test_finish_sends_what_the_kernel_takes_and_drops_the_rest() -> None:
    left, right = wire_pair(capacity=10)
    left.write(bytes(20))
    left.out.capacity = 15
    left.finish()
    assert len(left.out.sent) == 15
    assert left.buffered == 0
    right.abort()
