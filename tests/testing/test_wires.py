"""The simulated network."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from anyio.abc import SocketAttribute

from wsclient.testing.clock import VIRTUAL_BACKENDS, virtual_backend
from wsclient.testing.contract import (
    WIRE_CHECKS,
    WireCheck,
    drain_feeds_what_is_readable_even_while_paused,
)
from wsclient.testing.tap import lend
from wsclient.testing.wires import SimulatedWire, wire_pair


@pytest.fixture(params=VIRTUAL_BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return virtual_backend(request.param)


@pytest.mark.parametrize("check", WIRE_CHECKS, ids=lambda check: str(check.__name__))
@pytest.mark.parametrize(("latency", "capacity"), [(0.0, 65536), (0.005, 1_000_000)])
async def test_pulled_simulated_wires_keep_the_contract(
    check: WireCheck, latency: float, capacity: int
) -> None:
    await check(*wire_pair(latency=latency, capacity=capacity))


@pytest.mark.parametrize("anyio_backend", [virtual_backend("asyncio")])
@pytest.mark.parametrize("check", WIRE_CHECKS, ids=lambda check: str(check.__name__))
@pytest.mark.parametrize(
    ("latency", "pushed"),
    [(0.0, True), (0.005, True), (0.005, (True, False)), (0.0, (False, True))],
)
async def test_pushed_simulated_wires_keep_the_contract(
    check: WireCheck, latency: float, pushed: bool | tuple[bool, bool]
) -> None:
    await check(*wire_pair(latency=latency, pushed=pushed))


@pytest.mark.parametrize(
    "check",
    [
        check
        for check in WIRE_CHECKS
        if check is not drain_feeds_what_is_readable_even_while_paused
    ],
    ids=lambda check: str(check.__name__),
)
async def test_a_kernel_that_holds_little_changes_nothing_but_the_waiting(
    check: WireCheck,
) -> None:
    await check(*wire_pair(capacity=1000))


class Ear:
    """Pumps a wire and writes down what it tells, and when."""

    def __init__(self, wire: SimulatedWire) -> None:
        self.wire = wire
        self.told: list[tuple[float, Any]] = []
        wire.start(
            lambda chunk: self.tell(None if chunk is None else bytes(chunk)),
            self.tell,
            lambda: None,
        )

    def tell(self, what: Any) -> None:
        self.told.append((anyio.current_time() - self.start, what))

    @property
    def start(self) -> float:
        return STARTED[0]

    async def listen(self, count: int) -> list[tuple[float, Any]]:
        while len(self.told) < count:
            await self.wire.pump()
        return self.told


STARTED = [0.0]


# Trio has no pushed wires.
ways = pytest.mark.parametrize(
    ("anyio_backend", "pushed"),
    [("asyncio", False), ("asyncio", True), ("trio", False)],
    indirect=["anyio_backend"],
)


@pytest.fixture(autouse=True)
async def from_now_on() -> None:
    STARTED[0] = anyio.current_time()


@ways
async def test_bytes_arrive_after_the_latency(pushed: bool) -> None:
    left, right = wire_pair(latency=0.25, pushed=pushed)
    ear = Ear(right)
    left.write(b"one")
    await anyio.sleep(1)
    left.write(b"two")
    (first, one), (second, two) = await ear.listen(2)
    assert (one, two) == (b"one", b"two")
    # Nobody was in pump() when it arrived: a pulled wire feeds it when one is.
    assert (first, second) == pytest.approx((0.25 if pushed else 1, 1.25))


@ways
@pytest.mark.parametrize("capacity", [0, 1])
async def test_a_kernel_that_holds_nothing_passes_byte_by_byte(
    capacity: int, pushed: bool
) -> None:
    left, right = wire_pair(capacity=capacity, latency=0.5, pushed=pushed)
    Ear(left)
    ear = Ear(right)
    async with anyio.create_task_group() as group:
        left.adopt(lend(group))
        assert not left.write(b"abc")
        times, parts = zip(*await ear.listen(3), strict=True)
        assert times == pytest.approx((0.5, 1.0, 1.5))
        assert parts == (b"a", b"b", b"c")
    await left.flush()


@ways
async def test_reads_may_be_cut_into_pieces(pushed: bool) -> None:
    left, right = wire_pair(pushed=pushed)
    ear = Ear(right)
    left.out.chunk = 2
    left.write(b"abcde")
    await ear.listen(3)
    assert [what for _, what in ear.told] == [b"ab", b"cd", b"e"]


@ways
async def test_an_eof_comes_after_the_bytes_and_the_other_way_stays_open(
    pushed: bool,
) -> None:
    left, right = wire_pair(latency=0.1, pushed=pushed)
    ear, other = Ear(right), Ear(left)
    left.write(b"bye")
    left.out.eof()
    assert [what for _, what in await ear.listen(2)] == [b"bye", None]
    right.write(b"bye yourself")
    assert [what for _, what in await other.listen(1)] == [b"bye yourself"]


@ways
async def test_a_reset_comes_after_the_bytes(pushed: bool) -> None:
    left, right = wire_pair(latency=0.1, pushed=pushed)
    ear = Ear(right)
    left.write(b"half a")
    error = ConnectionResetError("pulled the plug")
    left.out.reset(error)
    assert [what for _, what in await ear.listen(2)] == [b"half a", error]


@ways
@pytest.mark.parametrize("error", [None, ConnectionResetError("cut")])
async def test_a_cut_lets_exactly_so_many_bytes_through(
    error: OSError | None, pushed: bool
) -> None:
    left, right = wire_pair(pushed=pushed)
    ear = Ear(right)
    left.out.cut_at(5, error)
    left.write(b"abc")
    left.write(b"defg")
    left.write(b"hij")
    while ear.told[-1:] == [] or isinstance(ear.told[-1][1], bytes):
        await right.pump()
    assert b"".join(what for _, what in ear.told[:-1]) == b"abcde"
    assert ear.told[-1][1] is error
    assert left.out.sent.startswith(b"abcdefg")
    assert left.out.received == b"abcde"


@ways
async def test_silence_swallows_until_it_is_healed(pushed: bool) -> None:
    left, right = wire_pair(latency=0.1, pushed=pushed)
    ear = Ear(right)
    left.out.silence()
    assert left.write(b"into the dark")
    with anyio.move_on_after(3600) as scope:
        await right.pump()
    assert scope.cancelled_caught
    left.out.heal()
    assert [what for _, what in await ear.listen(1)] == [b"into the dark"]


@ways
async def test_a_stall_holds_writes_back(pushed: bool) -> None:
    left, right = wire_pair(pushed=pushed)
    Ear(left)
    ear = Ear(right)
    left.out.stall()
    assert not left.write(b"stuck")
    with anyio.move_on_after(3600) as scope:
        await left.flush()
    assert scope.cancelled_caught
    assert left.buffered == 5
    left.out.heal()
    await left.flush()
    assert [what for _, what in await ear.listen(1)] == [b"stuck"]


@ways
async def test_a_view_that_is_kept_shows_it(pushed: bool) -> None:
    left, right = wire_pair(pushed=pushed)
    kept: list[memoryview] = []
    right.start(lambda chunk: kept.append(chunk or memoryview(b"")), print, print)
    left.write(b"fleeting")
    await right.pump()
    assert bytes(kept[0]) == b"\xdd" * 8


async def test_each_end_knows_the_others_address() -> None:
    left, right = wire_pair()
    for here, there in ((left, right), (right, left)):
        assert (
            here.extra_attributes[SocketAttribute.remote_address]()
            == there.extra_attributes[SocketAttribute.local_address]()
        )
