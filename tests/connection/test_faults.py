"""The network fails at every byte of a conversation, in every way, on every wire."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Literal

import anyio
import pytest
from anyio.lowlevel import checkpoint

from wsclient.errors import Close, ConnectionClosed
from wsclient.protocol import Role
from wsclient.testing.pipe import Pipe

from .conftest import KINDS
from .faults import FAULTS, HEALING, Break, Eof, Fault, Reset
from .peer import Certificates
from .sides import Side
from .talk import ALL, STACKS, Part, Simulated, Stack, same_dice

HEALS_AFTER = 0.5
"""Seconds: less than any deadline, so nobody may notice."""

GIVEN_UP = 60.0
"""Virtual seconds within which everything comes to its end, whatever happens."""

Way = Literal["up", "down"]


@dataclass(frozen=True, slots=True)
class Trial:
    """One way to fail, and who closes if it does not."""

    fault: type[Fault]
    heals: bool
    closer: Role

    def __str__(self) -> str:
        heals = ", heals" if self.heals else ""
        return f"{self.fault.__name__}{heals}, {self.closer.value} closes"


TRIALS = [
    Trial(fault, heals, closer)
    for fault, heals, closer in product(FAULTS, (False, True), Role)
    if fault in HEALING or not heals
]

KINDS_OF_FAULT = [
    [trial for trial in TRIALS if trial.fault in kind]
    for kind in ((Eof,), (Reset, Break), HEALING)
]

LONG = "a long message is compressed " * 3


async def say(side: Side) -> None:
    """Say something of every kind."""
    tag = side.role.value[0]
    await side.send(f"{tag} text")
    await side.send(f"{tag} binary".encode())
    await side.send(f"{tag} one two", [f"{tag} ", "one", " two"])
    await side.ping()  # before the last: who closes may no longer answer
    await side.send(f"{tag} {LONG}")


SAID = 4


async def closes(side: Side) -> None:
    """Leave when everything has been said and heard."""
    async with anyio.create_task_group() as group:
        group.start_soon(side.recv_until, lambda: len(side.received) >= SAID)
        await say(side)


async def waits(side: Side) -> None:
    """Leave when the other has."""
    async with anyio.create_task_group() as group:
        group.start_soon(side.recv_all)
        await say(side)


def parts(talk: Simulated, closer: Role) -> tuple[Part, Part]:
    """Who is to close does, if nothing happens before; the other waits for that."""
    client, server = (closes, waits) if closer is Role.CLIENT else (waits, closes)
    return partial(talk.connect, client), partial(talk.serve, server)


class Sweep:
    """One kind of wire under one conversation, failing in one direction."""

    def __init__(
        self, stack: Stack, pushed: bool, way: Way, certificates: Certificates
    ) -> None:
        self.stack = stack
        self.pushed = pushed
        self.way = way
        self.certificates = certificates
        self.undisturbed: dict[Role, bytes] = {}

    async def learn(self) -> None:
        """Learn what is said when nothing fails."""
        for closer in Role:
            talk = Simulated(self.stack, self.pushed, self.certificates)
            await talk.run(*parts(talk, closer))
            talk.judge()
            all_is_well(talk, closer)
            self.undisturbed[closer] = bytes(self.pipes(talk)[0].sent)

    def pipes(self, talk: Simulated) -> tuple[Pipe, Pipe]:
        pipes = talk.up, talk.down
        return pipes if self.way == "up" else pipes[::-1]

    async def run(self, trial: Trial, count: int) -> None:
        talk = Simulated(self.stack, self.pushed, self.certificates)
        fault = trial.fault(*self.pipes(talk), count)

        start = anyio.current_time()
        heal = partial(fault.heal_after, HEALS_AFTER) if trial.heals else checkpoint
        await talk.run(*parts(talk, trial.closer), heal)
        assert anyio.current_time() - start <= GIVEN_UP
        talk.judge()
        if trial.heals:
            all_is_well(talk, trial.closer)
        elif self.stack == Stack():
            self.check_reader(talk, fault, count, self.undisturbed[trial.closer])

    def check_reader(
        self, talk: Simulated, fault: Fault, count: int, whole: bytes
    ) -> None:
        """Who read got exactly what was let through, and was told how that ended."""
        reader = talk.server if self.way == "up" else talk.client
        assert reader.tap is not None
        assert reader.tap.fed == whole[:count]
        if count < len(whole):
            match fault:
                case Eof():
                    assert reader.tap.told == "eof"
                case Reset() | Break():
                    assert isinstance(reader.tap.told, ConnectionResetError)


def all_is_well(talk: Simulated, closer: Role) -> None:
    """Everything was said, heard, and closed."""
    for side in (talk.client, talk.server):
        assert [asked.outcome for asked in side.asked] == ["sent"] * SAID
        assert len(side.received) == SAID
        assert len(side.latencies) == 1
        error = side.live.ended
        assert isinstance(error, ConnectionClosed)
        assert (error.received, error.sent) == (Close(1000), Close(1000))
        assert (error.initiator.value == "us") == (side.role is closer)


def trials_at(count: int, stack: Stack, kind: str) -> list[Trial]:
    """
    Choose what happens at a byte, unless it is everything.

    On the wires themselves each byte has an end, a reset and a silence, one on each
    kind of wire. With something above them each byte has its turn on one of the kinds,
    with both above them every third byte.

    """
    if ALL:
        return TRIALS
    turn = count + list(KINDS).index(kind)
    if stack == Stack():
        choice = KINDS_OF_FAULT[turn % 3]
        return [choice[count // 3 % len(choice)]]
    stride = 9 if stack.stream and stack.tls else 3
    return [] if turn % stride else [TRIALS[turn // stride * 7 % len(TRIALS)]]


@pytest.mark.parametrize("way", ["up", "down"])
@pytest.mark.parametrize("stack", STACKS, ids=str)
async def test_a_fault_at_any_byte_is_told_as_it_is_and_loses_nothing_else(
    kind: str, pushed: bool, stack: Stack, way: Way, certificates: Certificates
) -> None:
    sweep = Sweep(stack, pushed, way, certificates)
    await sweep.learn()
    for count in range(len(sweep.undisturbed[Role.CLIENT]) + 1):
        for trial in trials_at(count, stack, kind):
            same_dice(count)
            try:
                await sweep.run(trial, count)
            except BaseException as error:
                error.add_note(f"{trial}, at byte {count} {way}")
                raise
