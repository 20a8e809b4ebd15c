"""Two connections, and anything that can happen to them, in any order."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
import pytest
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wsclient.connection import Timeouts
from wsclient.errors import (
    ConcurrencyError,
    ConnectionClosed,
    ConnectionLost,
    NotSent,
    Reason,
    WouldBlock,
)
from wsclient.protocol import Limits, Role
from wsclient.testing.clock import virtual_backend
from wsclient.testing.pipe import Pipe

from .conftest import KINDS
from .faults import Break, Eof, Fault, Reset
from .peer import Certificates
from .sides import Side
from .talk import Simulated, Stack

EXAMPLES = int(os.environ.get("WSCLIENT_EXAMPLES", "0"))
"""How many examples to try, new ones each time; 0: a few, always the same."""

CERTIFICATES = Certificates()

CAPACITY = 65536
LATENCIES = [0.0, 0.001, 0.01]
CAPACITIES = [3, 50, 1000, CAPACITY]
CHUNKS = [None, 7, 100]


class Play:
    """A talk on which operations are played, one after the other."""

    def __init__(self, talk: Simulated, group: TaskGroup) -> None:
        self.talk = talk
        self.running: list[anyio.CancelScope] = []
        self.receiving = {Role.CLIENT: 0, Role.SERVER: 0}
        self.cut: set[bool] = set()
        self._group = group
        self._said = 0

    def side(self, role: Role) -> Side:
        return self.talk.client if role is Role.CLIENT else self.talk.server

    def pipes(self, up: bool) -> tuple[Pipe, Pipe]:
        pipes = self.talk.up, self.talk.down
        return pipes if up else pipes[::-1]

    def message(self, size: int) -> str:
        """Make a message that is no other."""
        self._said += 1
        return f"{self._said} ".ljust(size, "x")

    def start(self, call: Coroutine[Any, Any, None]) -> None:
        """Let it run beside what comes next, until it is done or cancelled."""
        self._group.start_soon(self._run, call)

    async def _run(self, call: Coroutine[Any, Any, None]) -> None:
        with anyio.CancelScope() as scope:
            self.running.append(scope)
            await call
        self.running.remove(scope)

    async def receive(
        self, role: Role, call: Callable[[], Coroutine[Any, Any, bool]]
    ) -> bool:
        """Receive, if nobody else does; return whether there may be more."""
        self.receiving[role] += 1
        try:
            return await call()
        except ConcurrencyError:
            assert self.receiving[role] > 1
            return False
        finally:
            self.receiving[role] -= 1

    async def finish(self) -> None:
        """Let the network be good again, everything be heard, and all end."""
        for pipe in self.pipes(True):
            pipe.heal()
            pipe.chunk = None
            pipe.capacity = CAPACITY
        for role in Role:
            self.side(role).live.resume()
            self._group.start_soon(self._drain, role)
        await anyio.sleep(5)
        for role in Role:
            await self.side(role).close()

    async def _drain(self, role: Role) -> None:
        side = self.side(role)
        while side.live.ended is None:
            while await self.receive(role, side.recv):
                pass
            await anyio.sleep(0.1)


# -- what can happen --------------------------------------------------------------


async def slowly(message: str, pieces: int) -> AsyncIterator[str]:
    size = max(1, len(message) // pieces)
    for begin in range(0, len(message), size):
        await anyio.sleep(0.003)
        yield message[begin : begin + size]


def cut_up(message: str, pieces: int) -> list[str]:
    size = max(1, len(message) // pieces)
    return [message[begin : begin + size] for begin in range(0, len(message), size)]


def says(play: Play, role: Role, size: int, binary: bool) -> None:
    message = play.message(size)
    play.start(play.side(role).send(message.encode() if binary else message))


def says_pieces(play: Play, role: Role, size: int, pieces: int, slow: bool) -> None:
    message = play.message(size)
    parts = slowly(message, pieces) if slow else cut_up(message, pieces)
    play.start(play.side(role).send(message, parts))


def says_at_once(play: Play, role: Role, size: int) -> None:
    try:
        play.side(role).send_nowait(play.message(size))
    except (WouldBlock, NotSent):
        play.side(role).asked.pop()


def hears(play: Play, role: Role, many: int, timeout: float | None) -> None:
    async def hear() -> None:
        for _ in range(many):
            if not await play.receive(role, partial(play.side(role).recv, timeout)):
                return

    play.start(hear())


def hears_parts(
    play: Play, role: Role, many: int, most: int, timeout: float | None
) -> None:
    recv_parts = partial(play.side(role).recv_parts, most, timeout)

    async def hear() -> None:
        for _ in range(many):
            if not await play.receive(role, recv_parts):
                return

    play.start(hear())


def pings(play: Play, role: Role) -> None:
    play.start(play.side(role).ping())


def pings_at_once(play: Play, role: Role) -> None:
    play.side(role).live.ping_nowait()


def flushes(play: Play, role: Role) -> None:
    async def flush() -> None:
        try:
            await play.side(role).live.flush()
        except (ConnectionClosed, ConnectionLost):
            return

    play.start(flush())


def cancels(play: Play, which: int) -> None:
    if play.running:
        play.running[which % len(play.running)].cancel()


async def passes(play: Play, seconds: float) -> None:
    await anyio.sleep(seconds)


async def turns(play: Play, number: int) -> None:
    for _ in range(number):
        await checkpoint()


def pauses(play: Play, role: Role) -> None:
    play.side(role).live.pause()


def resumes(play: Play, role: Role) -> None:
    play.side(role).live.resume()


def becomes(
    play: Play, up: bool, latency: float, capacity: int, chunk: int | None
) -> None:
    pipe, _ = play.pipes(up)
    pipe.latency = latency
    pipe.capacity = capacity
    pipe.chunk = chunk


def stalls(play: Play, up: bool) -> None:
    play.pipes(up)[0].stall()


def is_silent(play: Play, up: bool) -> None:
    play.pipes(up)[0].silence()


def heals(play: Play, up: bool) -> None:
    play.pipes(up)[0].heal()


def fails(play: Play, up: bool, fault: type[Fault], after: int) -> None:
    if not play.cut:
        play.cut.add(up)
        there, back = play.pipes(up)
        fault(there, back, len(there.sent) + after)


def closes(play: Play, role: Role, code: int) -> None:
    play.start(play.side(role).close(code))


def says_the_end(play: Play, role: Role) -> None:
    async def say() -> None:
        try:
            await play.side(role).live.send_eof()
        except NotSent:
            return

    play.start(say())


def ends(play: Play, role: Role, reason: Reason) -> None:
    play.side(role).end(reason)


@dataclass(frozen=True)
class Operation:
    """Something that can happen, with all that chance decides of it."""

    act: Callable[..., Any]
    arguments: dict[str, Any]

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value}" for name, value in self.arguments.items())
        return f"{self.act.__name__}({given})"

    async def do(self, play: Play) -> None:
        waiting = self.act(play, **self.arguments)
        if waiting is not None:
            await waiting


def operation(act: Callable[..., Any], **arguments: st.SearchStrategy[Any]) -> Any:
    return st.builds(Operation, st.just(act), st.fixed_dictionaries(arguments))


role = st.sampled_from(Role)
up = st.booleans()
size = st.sampled_from([5, 30, 200, 2000])
timeout = st.sampled_from([None, 0, 0.001, 0.01, 1])

USUAL = [
    operation(says, role=role, size=size, binary=st.booleans()),
    operation(
        says_pieces, role=role, size=size, pieces=st.integers(1, 5), slow=st.booleans()
    ),
    operation(says_at_once, role=role, size=size),
    operation(hears, role=role, many=st.sampled_from([1, 3, 40]), timeout=timeout),
    operation(
        hears_parts,
        role=role,
        many=st.integers(1, 5),
        most=st.integers(1, 3),
        timeout=timeout,
    ),
    operation(passes, seconds=st.sampled_from([0.001, 0.005, 0.01, 0.05, 1])),
    operation(turns, number=st.integers(1, 5)),
    operation(cancels, which=st.integers(0, 9)),
]

UNUSUAL = [
    operation(pings, role=role),
    operation(pings_at_once, role=role),
    operation(flushes, role=role),
    operation(pauses, role=role),
    operation(resumes, role=role),
    operation(
        becomes,
        up=up,
        latency=st.sampled_from(LATENCIES),
        capacity=st.sampled_from(CAPACITIES),
        chunk=st.sampled_from(CHUNKS),
    ),
    operation(stalls, up=up),
    operation(is_silent, up=up),
    operation(heals, up=up),
    operation(passes, seconds=st.sampled_from([15.0, 31.0, 45.0, 70.0])),
]

LAST = [
    operation(
        fails,
        up=up,
        fault=st.sampled_from([Eof, Reset, Break]),
        after=st.integers(0, 300),
    ),
    operation(closes, role=role, code=st.sampled_from([1000, 1011, 4000])),
    operation(says_the_end, role=role),
    operation(ends, role=role, reason=st.sampled_from([Reason.LOCAL, Reason.IDLE])),
]

anything = st.one_of(*USUAL, *USUAL, *USUAL, *UNUSUAL, *LAST)


@dataclass(frozen=True)
class Network:
    """What the two speak over, and how it is at first."""

    stack: Stack
    latency: float
    capacity: int
    chunk: int | None


networks = st.builds(
    Network,
    stack=st.sampled_from([Stack(), Stack(), Stack(stream=True), Stack(tls=True)]),
    latency=st.sampled_from(LATENCIES),
    capacity=st.sampled_from([CAPACITY, CAPACITY, *CAPACITIES]),
    chunk=st.sampled_from(CHUNKS),
)


async def played(operations: list[Operation], network: Network, pushed: bool) -> None:
    """Play them, end it, and judge both sides."""
    stack = network.stack
    talk = Simulated(
        stack,
        pushed,
        CERTIFICATES,
        latency=network.latency,
        timeouts=Timeouts(slow_timeout=60),
        limits=Limits(max_queue=3),
    )
    both, over = anyio.Event(), anyio.Event()

    async def drive(_: Side) -> None:
        await both.wait()
        async with anyio.create_task_group() as group:
            play = Play(talk, group)
            for up in (True, False):
                becomes(play, up, network.latency, network.capacity, network.chunk)
            for operation in operations:
                await operation.do(play)
            await play.finish()
        over.set()

    async def wait(_: Side) -> None:
        both.set()
        await over.wait()

    failures: list[dict[str, Any]] = []
    if pushed:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: failures.append(context))
    await talk.run(partial(talk.connect, drive), partial(talk.serve, wait))
    talk.judge()
    assert not failures


@pytest.mark.parametrize("kind", KINDS)
@settings(
    deadline=None,
    derandomize=not EXAMPLES,
    max_examples=EXAMPLES or 250,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    operations=st.lists(anything, max_size=40),
    network=networks,
)
def test_whatever_happens_both_sides_tell_what_the_wire_tells(
    kind: str, operations: list[Operation], network: Network
) -> None:
    name, pushed = KINDS[kind]
    backend, options = virtual_backend(name)
    anyio.run(
        played,
        operations,
        network,
        pushed,
        backend=backend,
        backend_options=options,
    )
