"""Every call, cancelled at each of its checkpoints, on every wire."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
import pytest

from wsclient.errors import Close, ConnectionClosed
from wsclient.protocol import Limits, Role
from wsclient.transport.stream import GRACE

from ..checkpoints import Cancelling, cancelled_at, ways_to_cancel
from .peer import Certificates
from .sides import Side
from .talk import Simulated, Stack, same_dice

MOST = 200
"""Checkpoints in one call; more means that it never ends."""

Act = Callable[[Side], Coroutine[Any, Any, None]]


async def nothing(side: Side) -> None:
    """Only be there."""


def slow(talk: Simulated, side: Side) -> None:
    """Its kernel takes a few bytes at a time, so that each send waits."""
    few = 200 if talk.stack.tls else 10
    (talk.up if side is talk.client else talk.down).capacity = few


def drips(talk: Simulated, side: Side) -> None:
    """What comes to it comes in small pieces."""
    few = 20 if talk.stack.tls else 3
    (talk.down if side is talk.client else talk.up).chunk = few


def plain(talk: Simulated, side: Side) -> None:
    """Nothing is special."""


@dataclass(frozen=True, slots=True)
class Case:
    """
    A call to cancel.

    Attributes:
        act: the call, or several.
        other: what the other side does meanwhile.
        beside: what another task of this side does meanwhile.
        network: how the network is, once it is open.

    """

    act: Act
    other: Act = nothing
    beside: Act = nothing
    network: Callable[[Simulated, Side], None] = plain
    limits: Limits = Limits()  # noqa: RUF009 - frozen

    def __str__(self) -> str:
        return self.act.__name__


async def slowly(*pieces: str) -> AsyncIterator[str]:
    for piece in pieces:
        await anyio.sleep(0.02)
        yield piece


# -- receiving --------------------------------------------------------------------


async def says_three(side: Side) -> None:
    for number in range(3):
        await side.send(f"{number} of three")
        await anyio.sleep(0.01)


async def says_ten(side: Side) -> None:
    for number in range(10):
        await side.send(f"{number} of ten")


async def receives(side: Side) -> None:
    for _ in range(3):
        await side.recv()


async def receives_with_a_timeout(side: Side) -> None:
    while len(side.received) < 3:
        await side.recv(timeout=0.007)


async def iterates(side: Side) -> None:
    async for message in side.live:
        side.received.append(message)
        if len(side.received) == 3:
            return


async def receives_beside_who_reads(side: Side) -> None:
    await receives(side)


async def reads_too(side: Side) -> None:
    await side.live.wait_ended()


async def receives_through_a_full_queue(side: Side) -> None:
    await anyio.sleep(1)
    for _ in range(10):
        await side.recv()


async def receives_quickly(side: Side) -> None:
    await anyio.sleep(1)
    await side.recv_until(lambda: len(side.received) == 70)


async def says_seventy(side: Side) -> None:
    for number in range(70):
        await side.send(f"{number} of seventy")


async def receives_in_parts(side: Side) -> None:
    for _ in range(3):
        await side.recv_parts(MOST)


async def receives_parts_with_a_timeout(side: Side) -> None:
    while len(side.received) < 3:
        await side.recv_parts(MOST, timeout=0.007)


async def leaves_parts_early(side: Side) -> None:
    for most in (1, 2, 3):
        await side.recv_parts(most)


async def says_three_compressed(side: Side) -> None:
    for number in range(3):
        await side.send(f"{number} compressed, of which some are told already " * 2)


async def waits_for_the_end(side: Side) -> None:
    with anyio.move_on_after(0.1):
        await side.live.wait_ended()


# -- sending ----------------------------------------------------------------------


async def sends(side: Side) -> None:
    for number in range(3):
        await side.send(f"{number} of many bytes, so that it has to wait")


async def sends_compressed(side: Side) -> None:
    for number in range(3):
        await side.send(f"{number} is compressed with what came before " * 3)


async def sends_behind_fragments(side: Side) -> None:
    await anyio.sleep(0.001)
    await side.send("behind")
    await side.send("behind that")


async def sends_fragments_slowly(side: Side) -> None:
    await side.send("beside them", slowly("beside", " ", "them"))


async def sends_quickly(side: Side) -> None:
    for number in range(70):
        await side.send(f"{number} of seventy")


async def waits_for_room_and_commits(side: Side) -> None:
    for number in range(3):
        await side.live.wait_ready()
        await side.send(f"{number} when there is room, and many bytes")


async def flushes(side: Side) -> None:
    side.send_nowait("many bytes, so that it has to wait")
    await side.live.flush()


async def pings(side: Side) -> None:
    for _ in range(2):
        await side.ping()


async def pings_beside_who_receives(side: Side) -> None:
    await pings(side)


CASES = [
    Case(receives, says_three, network=drips),
    Case(receives_with_a_timeout, says_three),
    Case(iterates, says_three, network=drips),
    Case(receives_beside_who_reads, says_three, reads_too, network=drips),
    Case(receives_through_a_full_queue, says_ten, limits=Limits(max_queue=2)),
    Case(receives_quickly, says_seventy),
    Case(receives_in_parts, says_three, network=drips),
    Case(receives_in_parts, says_three_compressed, network=drips),
    Case(receives_parts_with_a_timeout, says_three, network=drips),
    Case(leaves_parts_early, says_three, network=drips),
    Case(leaves_parts_early, says_three_compressed, network=drips),
    Case(waits_for_the_end, says_three),
    Case(sends, network=slow),
    Case(sends_compressed, network=slow),
    Case(sends_behind_fragments, beside=sends_fragments_slowly, network=slow),
    Case(sends_quickly),
    Case(waits_for_room_and_commits, network=slow),
    Case(pings),
    Case(pings, network=slow),
    Case(flushes, network=slow),
    Case(pings_beside_who_receives, says_three, reads_too),
]


Wires = tuple[Stack, Role]

WIRES: list[Wires] = [
    (Stack(), Role.CLIENT),
    (Stack(), Role.SERVER),
    (Stack(stream=True), Role.CLIENT),
    (Stack(tls=True), Role.SERVER),
]
"""What lies under the connection, and which side's call is cancelled."""

over = pytest.mark.parametrize(
    "wires", WIRES, ids=lambda wires: f"{wires[0]}-{wires[1].value}"
)


class Cut:
    """
    A talk in which a call of one side is cancelled at its n-th checkpoint.

    Attributes:
        us, them: the two sides; it is our call.
        struck: when it was cancelled; None: it was done before that.

    """

    def __init__(
        self, talk: Simulated, role: Role, number: int, how: Cancelling
    ) -> None:
        self.talk = talk
        self.us, self.them = talk.client, talk.server
        self.be_us, self.be_them = talk.connect, talk.serve
        if role is Role.SERVER:
            self.us, self.them = self.them, self.us
            self.be_us, self.be_them = self.be_them, self.be_us
        self.struck: float | None = None
        self._number = number
        self._how = how

    async def cancel(self, call: Coroutine[Any, Any, None]) -> None:
        """Run the call; cancelling it takes no time, or a stream's second of grace."""
        self.struck = await cancelled_at(self._number, call, self._how)
        if self.struck is not None:
            grace = GRACE if self.talk.stack.stream else 0
            assert anyio.current_time() - self.struck <= grace, "it took its time"


class Everywhere:
    """Makes one talk for each checkpoint and each way of cancelling."""

    def __init__(
        self,
        backend: str,
        pushed: bool,
        wires: Wires,
        certificates: Certificates,
        **options: Any,
    ) -> None:
        self._ways = ways_to_cancel(backend)
        self._stack, self._role = wires
        self._new = partial(Simulated, self._stack, pushed, certificates, **options)

    async def cut(self, play: Callable[[Cut], Awaitable[None]]) -> None:
        """Play it until nothing is cut short any more, and judge it each time."""
        for how in self._ways:
            for number in range(MOST):
                same_dice(number)
                cut = Cut(self._new(), self._role, number, how)
                try:
                    await play(cut)
                    cut.talk.judge()
                except BaseException as error:
                    error.add_note(f"cancelled at checkpoint {number}, {how.value}")
                    raise
                if cut.struck is None:
                    break
            else:
                raise AssertionError("it never ends")


@over
@pytest.mark.parametrize("case", CASES, ids=str)
async def test_cancelled_at_any_checkpoint_a_call_leaves_everything_as_it_was(
    backend: str, pushed: bool, case: Case, wires: Wires, certificates: Certificates
) -> None:
    async def play(cut: Cut) -> None:
        async def us(side: Side) -> None:
            case.network(cut.talk, side)
            async with anyio.create_task_group() as group:
                group.start_soon(case.beside, side)
                await cut.cancel(case.act(side))
                assert side.live.ended is None
                await side.send("after it")  # it is our turn
                await side.hears("the last")
                await side.close()

        async def them(side: Side) -> None:
            async with anyio.create_task_group() as group:
                group.start_soon(case.other, side)
                await side.hears("after it")
            await side.send("the last")
            await side.recv_all()

        await cut.talk.run(partial(cut.be_us, us), partial(cut.be_them, them))
        for side in (cut.us, cut.them):
            ended = side.live.ended
            assert isinstance(ended, ConnectionClosed)
            assert ended.received == Close(1000)

    options = {"limits": case.limits}
    await Everywhere(backend, pushed, wires, certificates, **options).cut(play)


# -- what cannot be taken back ----------------------------------------------------


async def sends_fragments(side: Side) -> None:
    await side.send("some pieces", ["some", " ", "pieces"])


async def sends_fragments_as_they_come(side: Side) -> None:
    await side.send("some pieces", slowly("some", " ", "pieces"))


@over
@pytest.mark.parametrize("network", [plain, slow])
@pytest.mark.parametrize("act", [sends_fragments, sends_fragments_as_they_come])
async def test_fragments_cancelled_at_any_checkpoint_are_whole_or_end_it(
    backend: str,
    pushed: bool,
    act: Act,
    network: Callable[[Simulated, Side], None],
    wires: Wires,
    certificates: Certificates,
) -> None:
    async def play(cut: Cut) -> None:
        async def us(side: Side) -> None:
            network(cut.talk, side)
            await cut.cancel(act(side))
            begun = side.out().unfinished is not None
            assert (side.live.ended is not None) == begun
            await side.send("after it")
            if begun:
                assert side.asked[-1].outcome == "not sent"

        async def them(side: Side) -> None:
            await side.recv_all()

        await cut.talk.run(partial(cut.be_us, us), partial(cut.be_them, them))
        out = cut.us.out()
        if out.unfinished is not None:
            assert out.close in (None, Close(1011))  # none amid a frame
            assert network is slow or cut.them.into().close == out.close

    await Everywhere(backend, pushed, wires, certificates).cut(play)


@over
@pytest.mark.parametrize("network", [plain, slow])
async def test_closing_cancelled_at_any_checkpoint_ends_it_at_once(
    backend: str,
    pushed: bool,
    network: Callable[[Simulated, Side], None],
    wires: Wires,
    certificates: Certificates,
) -> None:
    async def play(cut: Cut) -> None:
        async def us(side: Side) -> None:
            network(cut.talk, side)
            await cut.cancel(side.close(4000, "that is all"))
            assert side.live.ended is not None
            assert side.live.ended.sent == Close(4000, "that is all")

        async def them(side: Side) -> None:
            await side.recv_all()

        await cut.talk.run(partial(cut.be_us, us), partial(cut.be_them, them))
        if network is plain:
            assert cut.them.into().close == Close(4000, "that is all")

    await Everywhere(backend, pushed, wires, certificates).cut(play)


# -- whole lives ------------------------------------------------------------------


async def lives(side: Side) -> None:
    """Say something, hear something, leave."""
    await side.send("hello")
    await side.ping()
    await side.recv()


async def stays(side: Side) -> None:
    """Say something, and stay until the other leaves."""
    await side.send("welcome")
    await side.recv_all()


@over
@pytest.mark.parametrize("network", [plain, slow])
async def test_a_life_cancelled_at_any_checkpoint_leaves_nothing_behind(
    backend: str,
    pushed: bool,
    network: Callable[[Simulated, Side], None],
    wires: Wires,
    certificates: Certificates,
) -> None:
    """From the dial or the request to the end of TCP."""

    async def play(cut: Cut) -> None:
        network(cut.talk, cut.us)
        cut.us.cut_short = True
        await cut.talk.run(
            lambda: cut.cancel(cut.be_us(lives)), partial(cut.be_them, stays)
        )
        out = cut.us.tap and cut.us.out()
        if out and cut.us.ws is not None and network is plain:
            assert cut.them.into().close == out.close

    await Everywhere(backend, pushed, wires, certificates).cut(play)


@pytest.mark.parametrize("role", Role, ids=lambda role: str(role.value))
@pytest.mark.parametrize("network", [plain, slow])
async def test_a_refusal_cancelled_at_any_checkpoint_leaves_nothing_behind(
    backend: str,
    pushed: bool,
    network: Callable[[Simulated, Side], None],
    role: Role,
    certificates: Certificates,
) -> None:
    async def play(cut: Cut) -> None:
        network(cut.talk, cut.us)
        cut.us.cut_short = True
        await cut.talk.run(
            lambda: cut.cancel(cut.be_us(lives)), partial(cut.be_them, stays)
        )
        assert cut.us.ws is None
        assert cut.them.ws is None

    wires = Stack(), role
    await Everywhere(backend, pushed, wires, certificates, refuses=True).cut(play)
