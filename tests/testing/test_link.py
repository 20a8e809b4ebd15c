"""One simulated connection: what breaking it does to its two ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from math import inf
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from wsclient.testing import (
    VIRTUAL_BACKENDS,
    Link,
    SimulatedWire,
    Tap,
    virtual_backend,
    wire_pair,
)

Ends = tuple[Link, Tap, Tap]


@pytest.fixture(params=VIRTUAL_BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return virtual_backend(request.param)


@pytest.fixture
async def ends(anyio_backend: object) -> AsyncIterator[Ends]:
    wires: tuple[SimulatedWire, SimulatedWire] = wire_pair(latency=1.0)
    async with anyio.create_task_group() as group:
        yield (
            Link(1, "here", "there", wires),
            Tap(wires[0], group, adopt=False),
            Tap(wires[1], group, adopt=False),
        )
        for wire in wires:
            wire.abort()


async def test_a_reset_is_told_to_both_ends_after_what_was_sent(ends: Ends) -> None:
    link, near, far = ends
    near.wire.write(b"up")
    link.reset()
    await far.until_ended()
    assert bytes(far.received) == b"up"
    assert isinstance(far.ended, ConnectionResetError)
    await near.until_ended()
    assert isinstance(near.ended, ConnectionResetError)


async def test_a_reset_may_lose_what_is_on_its_way(ends: Ends) -> None:
    link, near, far = ends
    near.wire.write(b"up")
    link.reset(losing=True)
    await far.until_ended()
    assert not far.received


async def test_an_eof_is_said_one_way_and_the_other_goes_on(ends: Ends) -> None:
    link, near, far = ends
    link.eof("down")
    await near.until_ended()
    assert near.ended == "eof"
    near.wire.write(b"up")
    await far.until(lambda: bytes(far.received) == b"up")


@pytest.mark.parametrize(
    ("way", "arrives"), [("up", [b"", b"down"]), ("down", [b"up", b""])]
)
async def test_silence_is_said_one_way_too(
    ends: Ends, way: Any, arrives: list[bytes]
) -> None:
    link, near, far = ends
    link.silence(way)
    near.wire.write(b"up")
    far.wire.write(b"down")
    for end in (near, far):
        with anyio.move_on_after(10):
            await end.until_ended()
    assert [bytes(far.received), bytes(near.received)] == arrives
    link.heal()
    await far.until(lambda: bytes(far.received) == b"up")
    await near.until(lambda: bytes(near.received) == b"down")


async def test_a_stalled_link_takes_nothing_until_it_is_healed(ends: Ends) -> None:
    link, near, _ = ends
    link.stall("up")
    assert not near.wire.write(b"up")
    assert link.up.departure() == inf
    link.heal()
    await near.wire.flush()
    assert bytes(link.up.sent) == b"up"


async def test_a_way_that_there_is_not_is_refused(ends: Ends) -> None:
    with pytest.raises(ValueError, match="'left': give 'up', 'down' or 'both'"):
        ends[0].silence("left")  # type: ignore[arg-type]


async def test_it_is_live_while_who_dialled_holds_it_and_over_when_nobody_does(
    ends: Ends,
) -> None:
    link, near, far = ends
    assert (link.live, link.over) == (True, False)
    near.wire.abort()
    await checkpoint()
    assert (link.live, link.over) == (False, False)
    far.wire.abort()
    await checkpoint()
    assert (link.live, link.over) == (False, True)
    assert repr(link) == "<Link 1 from here to there>"
